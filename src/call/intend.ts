import { demand, seal } from './seal.ts'
import { describe, whoOf } from './record.ts'
import { refuse, type Refused } from './refusal.ts'
import { rfc3339 } from '../lib/clock.ts'
import type { Approved, Intended } from './states.ts'
import type { IntentEntry, Payload } from '../audit/entry.ts'
import type { Ports } from './ports.ts'

/**
 * Stage 6. THE COMMIT POINT. One transaction: compares what the decision read, takes the budget, consumes the approval
 * and writes the intent. If the process dies before it returns, nothing was sent; if after, `recover` settles the
 * intent as unknown. Returns `moved` when the decision must be made again.
 */
export async function intend(
  ports: Pick<Ports, 'calls' | 'clock' | 'recorder' | 'settings'>,
  product: Approved,
): Promise<Intended | Refused | 'moved'> {
  demand(product, 'approved')
  const { arrival, bound, caller, tool, fingerprint, approval, policy } = product
  const at = ports.clock.now()
  const payload = ports.recorder.commit('arguments', judged(product))
  const reads = policy.reads(tool)
  const result = await ports.calls.intend({
    call: arrival.call,
    chain: arrival.chain,
    task: bound.task.id,
    agent: caller.name,
    tool: tool.id,
    effects: tool.review?.effects ?? [],
    fingerprint,
    broker: ports.settings.broker,
    at,
    entry: ports.recorder.encode(entryOf(product, { at, payload, broker: ports.settings.broker })),
    payload,
    expect: {
      labels: reads.labels ? bound.labelsRevision : null,
      history: reads.history ? bound.historyRevision : null,
      revocations: product.revocationEpoch,
    },
    ask: arrival.leg === null ? (approval?.ask ?? null) : null,
    leg: arrival.leg !== null,
  })
  const known = {
    caller,
    task: bound.task.id,
    tool,
    operation: arrival.wanted.operation,
    arguments: product.arguments,
    policy: policy.version,
  }
  switch (result.kind) {
    case 'intended':
      return seal('intended', { ...product, index: result.index })
    case 'moved':
      return 'moved'
    case 'budget-spent':
      return refuse('budget-spent', 'intend', result.what, { known })
    case 'task-closed':
      return refuse('task-closed', 'intend', 'the task ended while the call was being decided', { known })
    case 'approval-spent':
      return refuse(
        'approval-expired',
        'intend',
        `\`${approval?.ask}\` was used, refused or expired meanwhile`,
        { known },
      )
    case 'duplicate':
      return refuse('already-made', 'intend', `\`${arrival.call}\` has an intent already`, { known })
  }
}

/** What a leg sends back is committed to with the arguments it belongs to. */
const judged = ({ arrival, arguments: args }: Approved) =>
  arrival.leg === null ? args : { arguments: args, inputResponses: arrival.leg.inputResponses }

function entryOf(
  product: Approved,
  made: { readonly at: number; readonly payload: Payload; readonly broker: string },
): IntentEntry {
  const { arrival, bound, caller, tool, judgement, policy, approval } = product
  return {
    v: 1,
    kind: 'intent',
    at: rfc3339(made.at),
    broker: made.broker,
    call: arrival.call,
    chain: arrival.chain,
    who: whoOf(caller),
    task: bound.task.id,
    what: describe(tool, arrival.wanted.operation),
    arguments: made.payload.commitment,
    policy: policy.version,
    policies: judgement.policies,
    labels: bound.labels,
    approval:
      approval === null
        ? null
        : {
            ask: approval.ask,
            digest: approval.digest,
            answers: approval.answers,
            requirement: approval.requirement,
          },
  }
}
