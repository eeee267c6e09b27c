import { join, unlabelled } from '../flow/labels.ts'
import { rfc3339 } from '../lib/clock.ts'
import { seal } from './seal.ts'
import type { Answered, Equipped, Intended, Settled } from './states.ts'
import type { Labels } from '../flow/labels.ts'
import type { OutcomeEntry } from '../audit/entry.ts'
import type { Ports } from './ports.ts'

type Reached = Intended | Equipped | Answered
type FaultPorts = Pick<Ports, 'calls' | 'clock' | 'recorder' | 'lenders' | 'owed' | 'settings'>

/**
 * After the commit point something failed in the broker itself. Before the call was equipped nothing can have been sent;
 * after it, what the server did is not known: the outcome is `unknown`, the task is labelled as if it had read the
 * worst, and nothing of the answer leaves. If even this cannot be recorded, it is owed and written as soon as the log
 * can be written again. Never throws (I7).
 */
export async function closeAfterFault(
  ports: FaultPorts,
  reached: Reached,
  surprise: unknown,
): Promise<Settled> {
  const { arrival, bound, tool } = reached
  const isSent = 'lease' in reached
  const end = {
    outcome: isSent ? 'unknown' : 'not-sent',
    labels: isSent ? worstCase(reached) : bound.labels,
  } as const
  try {
    await close(ports, reached, { ...end, surprise })
  } catch {
    // What a process of the task holds ends with the task, not with this call.
    const lease = isSent && reached.lease?.span === 'call' ? reached.lease.id : null
    ports.owed.outcome({ call: arrival.call, task: bound.task.id, lease, ...end })
  }
  return seal('settled', {
    call: arrival.call,
    task: bound.task.id,
    agent: bound.task.agent,
    outcome: end.outcome,
    tool,
    ask: reached.approval?.ask ?? arrival.leg?.ask ?? null,
    answer: isSent ? unrecorded : notLent,
  })
}

type End = {
  readonly outcome: 'unknown' | 'not-sent'
  readonly labels: Labels
  readonly surprise: unknown
}

/** The lease first: an open one outlives this process, an outcome that is owed does not. */
async function close(ports: FaultPorts, reached: Reached, { outcome, labels, surprise }: End): Promise<void> {
  const { arrival, bound } = reached
  const lease = 'lease' in reached ? reached.lease : null
  if (lease !== null) await ports.lenders.close(lease)
  const at = ports.clock.now()
  const entry: OutcomeEntry = {
    v: 1,
    kind: 'outcome',
    at: rfc3339(at),
    broker: ports.settings.broker,
    call: arrival.call,
    task: bound.task.id,
    outcome,
    detail: `fault: ${surprise instanceof Error ? surprise.name : 'surprise'}`.slice(0, 100).toWellFormed(),
    result: null,
    labels,
    lease: lease === null ? null : { id: lease.id, secrets: lease.secrets },
    redacted: {},
    durationMs: Math.max(0, at - reached.now),
  }
  await ports.calls.settle({
    call: arrival.call,
    task: bound.task.id,
    outcome,
    at,
    entry: ports.recorder.encode(entry),
    payload: null,
    raise: labels,
    taught: null,
    spilled: null,
    lease: lease?.span === 'call' ? lease.id : null,
    expect: null,
  })
}

const unrecorded = {
  kind: 'withheld',
  problem: 'record-failed',
  detail: 'The outcome of this call could not be recorded. It may have happened; do not send it again.',
} as const

const notLent = {
  kind: 'not-sent',
  problem: 'no-credential',
  detail: 'the credential could not be lent',
} as const

function worstCase({ bound, tool }: Reached): Labels {
  const { confidentiality } = tool.review ?? unlabelled
  return join(bound.labels, { confidentiality, integrity: 'untrusted', sources: [tool.id] })
}
