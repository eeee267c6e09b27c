import { join, unlabelled } from '../flow/labels.ts'
import { rfc3339 } from '../lib/clock.ts'
import { seal } from './seal.ts'
import type { Answered, Equipped, Intended, Settled } from './states.ts'
import type { Labels } from '../flow/labels.ts'
import type { OutcomeEntry } from '../audit/entry.ts'
import type { Ports } from './ports.ts'

/**
 * After the commit point something failed in the broker itself. What the server did is not known, so the outcome is
 * `unknown`, the task is labelled as if it had read the worst, and nothing of the answer leaves. If even this cannot
 * be recorded, it is owed and written as soon as the log can be written again.
 */
export async function closeAfterFault(
  ports: Pick<Ports, 'calls' | 'clock' | 'recorder' | 'lenders' | 'owed' | 'settings'>,
  reached: Intended | Equipped | Answered,
  surprise: unknown,
): Promise<Settled> {
  const { arrival, bound, tool } = reached
  const lease = 'lease' in reached ? reached.lease : null
  const labels = worstCase(reached)
  const at = ports.clock.now()
  const entry: OutcomeEntry = {
    v: 1,
    kind: 'outcome',
    at: rfc3339(at),
    broker: ports.settings.broker,
    call: arrival.call,
    task: bound.task.id,
    outcome: 'unknown',
    detail: `fault: ${surprise instanceof Error ? surprise.name : 'surprise'}`,
    result: null,
    labels,
    lease: lease === null ? null : { id: lease.id, secrets: lease.secrets },
    redacted: {},
    durationMs: Math.max(0, at - reached.now),
  }
  try {
    if (lease !== null) await ports.lenders.close(lease)
    await ports.calls.settle({
      call: arrival.call,
      task: bound.task.id,
      outcome: 'unknown',
      at,
      entry: ports.recorder.encode(entry),
      payload: null,
      raise: labels,
      lease: lease?.id ?? null,
    })
  } catch {
    ports.owed.outcome({ call: arrival.call, task: bound.task.id, lease: lease?.id ?? null, labels })
  }
  return seal('settled', {
    call: arrival.call,
    task: bound.task.id,
    agent: bound.task.agent,
    outcome: 'unknown',
    tool,
    ask: reached.approval?.ask ?? arrival.leg?.ask ?? null,
    answer: {
      kind: 'withheld',
      problem: 'record-failed',
      detail: 'The outcome of this call could not be recorded. It may have happened; do not send it again.',
    },
  })
}

function worstCase({ bound, tool }: Intended | Equipped | Answered): Labels {
  const { confidentiality } = tool.review ?? unlabelled
  return join(bound.labels, { confidentiality, integrity: 'untrusted', sources: [tool.id] })
}
