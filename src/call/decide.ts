import { demand, seal } from './seal.ts'
import { judge } from './judge.ts'
import { refuse, type Known, type Refused } from './refusal.ts'
import { flowOf, type Flow } from '../flow/flow.ts'
import type { Decided, Resolved } from './states.ts'
import type { Ports } from './ports.ts'

/** Stage 4. Allow, ask or deny. Pure: the snapshot, the labels and the clock's reading are inputs; default is deny. */
export function decide(
  ports: Pick<Ports, 'policies' | 'settings' | 'shadow'>,
  product: Resolved,
): Decided | Refused {
  demand(product, 'resolved')
  const policy = ports.policies.snapshot()
  const flow = flowFor(product)
  const { environment } = ports.settings
  const judgement = judge(policy, { ...product, flow }, environment, null)
  ports.shadow?.see({
    call: product.arrival.call,
    tool: product.tool.id,
    at: product.now,
    live: judgement,
    judge: (other) => judge(other, { ...product, flow }, environment, null),
  })
  if (judgement.decision === 'deny') {
    return refuse('denied', 'decide', [...judgement.because, ...judgement.errors].join('; '), {
      ...(judgement.policies.length > 0 ? { hint: judgement.because.join(' ') } : {}),
      known: knownOf({ ...product, judgement, policy }),
    })
  }
  return seal('decided', { ...product, flow, judgement, policy })
}

/** What an entry about a refusal from here on can say. */
export const knownOf = (
  call: Pick<Decided, 'arrival' | 'caller' | 'bound' | 'tool' | 'arguments' | 'policy' | 'judgement'>,
): Known => ({
  caller: call.caller,
  task: call.bound.task.id,
  tool: call.tool,
  operation: call.arrival.wanted.operation,
  arguments: call.arguments,
  policy: call.policy.version,
  policies: call.judgement.policies,
})

export const flowFor = ({
  tool,
  arguments: args,
  caller,
  bound,
  known,
  now,
}: Pick<Resolved, 'tool' | 'arguments' | 'caller' | 'bound' | 'known' | 'now'>): Flow =>
  flowOf(
    {
      tool,
      arguments: args,
      agent: caller.name,
      tasks: [bound.task.id, ...bound.ancestors.map(({ id }) => id)],
      labels: bound.labels,
      now,
    },
    known,
  )
