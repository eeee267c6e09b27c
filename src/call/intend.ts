import { demand, seal } from './seal.ts'
import { knownOf } from './decide.ts'
import { encodeFact } from '../flow/fact.ts'
import { intentOf } from './record.ts'
import { refuse, type Refused } from './refusal.ts'
import { written } from './spilled.ts'
import type { Approved, Intended } from './states.ts'
import type { IntendRequest, IntendResult } from '../store/ports.ts'
import type { Labels } from '../flow/labels.ts'
import type { Ports } from './ports.ts'

/**
 * Stage 6. THE COMMIT POINT. One transaction: compares what the decision read, takes the budget, consumes the approval
 * and writes the intent. If the process dies before it returns, nothing was sent; if after, `recover` settles the
 * intent as unknown. Returns `moved` when the decision must be made again.
 */
export async function intend(
  ports: Pick<Ports, 'calls' | 'clock' | 'owed' | 'policies' | 'recorder' | 'registry' | 'settings'>,
  product: Approved,
): Promise<Intended | Refused | 'moved'> {
  demand(product, 'approved')
  const { arrival, bound, caller, tool, fingerprint, approval, policy, known, flow } = product
  // Policies, the tool's definition or its review are others than those that were decided on: it is decided again.
  if (ports.policies.snapshot().version !== policy.version || ports.registry.find(arrival.wanted) !== tool)
    return 'moved'
  const at = ports.clock.now()
  const payload = ports.recorder.commit('arguments', judged(product))
  const reads = policy.reads(tool)
  const changes = tool.review?.effects.some((effect) => effect !== 'read') ?? true
  const request: IntendRequest = {
    call: arrival.call,
    chain: arrival.chain,
    task: bound.task.id,
    agent: caller.name,
    tool: tool.id,
    effects: tool.review?.effects ?? [],
    person: bound.task.owner,
    fact: arrival.leg === null ? encodeFact(flow.fact) : null,
    spilled: written(product, judged(product)),
    fingerprint,
    broker: ports.settings.broker,
    at,
    entry: ports.recorder.encode(intentOf(product, { at, payload, broker: ports.settings.broker })),
    payload,
    expect: {
      labels: reads.labels ? bound.labelsRevision : null,
      history: reads.history ? bound.historyRevision : null,
      // The path itself looks there before anything that changes the world (I2).
      memory: reads.memory || changes ? bound.memoryRevision : null,
      person: reads.person ? known.revision : null,
      heads: bound.heads,
    },
    // What the chain consumed at its first leg is not consumed again; an approval that this leg asked for itself is.
    ask: approval === null || approval.ask === arrival.leg?.ask ? null : approval.ask,
    leg: arrival.leg !== null,
  }
  const result = await commit(ports, request, bound.labels)
  const about = { known: knownOf(product) }
  switch (result.kind) {
    case 'intended':
      return seal('intended', { ...product })
    case 'moved':
      return 'moved'
    case 'budget-spent':
      return refuse('budget-spent', 'intend', result.what, about)
    case 'task-closed':
      return refuse('task-closed', 'intend', 'the task ended while the call was being decided', about)
    case 'approval-spent':
      return refuse(
        'approval-expired',
        'intend',
        `\`${approval?.ask}\` was used, refused or expired meanwhile`,
        about,
      )
    case 'duplicate':
      return refuse('already-made', 'intend', `\`${arrival.call}\` has an intent already`, about)
  }
}

/**
 * A store that fails here may have kept the intent all the same. Nothing was sent, so its outcome is known and owed: if
 * there is such an intent it gets that one (I2), if there is none nothing is written.
 */
async function commit(
  { calls, owed }: Pick<Ports, 'calls' | 'owed'>,
  request: IntendRequest,
  labels: Labels,
): Promise<IntendResult> {
  try {
    return await calls.intend(request)
  } catch (surprise) {
    owed.outcome({ call: request.call, task: request.task, lease: null, labels, outcome: 'not-sent' })
    throw surprise
  }
}

/** What a leg sends back is committed to with the arguments it belongs to. */
const judged = ({ arrival, arguments: args }: Approved) =>
  arrival.leg === null ? args : { arguments: args, inputResponses: arrival.leg.inputResponses }
