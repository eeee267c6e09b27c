import { demand, seal } from './seal.ts'
import { refuse, type Known, type Refused } from './refusal.ts'
import { flowOf, type Flow } from '../flow/flow.ts'
import { sayDoubtful } from '../flow/say.ts'
import type { ApprovalFacts, Requirement } from '../approval/ask.ts'
import type { Decided, Resolved, Wanted } from './states.ts'
import type { Judgement, PolicySnapshot, Question } from '../policy/judge.ts'
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

/** A call as the judge sees it: on the path, or rehearsed (`policy/rehearse.ts`). */
export type Judged = Pick<
  Decided,
  'caller' | 'bound' | 'tool' | 'arguments' | 'now' | 'fingerprint' | 'flow'
> & { readonly arrival: { readonly wanted: Pick<Wanted, 'operation'> } }

/** The one judge. `approve` puts the same question again with the answers; nothing else decides. */
export function judge(
  policy: PolicySnapshot,
  call: Judged,
  environment: string,
  approval: ApprovalFacts | null,
): Judgement {
  const question: Question = {
    caller: call.caller,
    bound: call.bound,
    tool: call.tool,
    arguments: call.arguments,
    operation: call.arrival.wanted.operation,
    fingerprint: call.fingerprint,
    flow: call.flow,
    labels: call.bound.labels,
    environment,
    now: call.now,
    approval,
  }
  // A target that cannot be read was not traced, and what was not traced must not act.
  if (call.flow.problem !== null) return unreadable(call.flow.problem)
  const judgement = told(policy.judge(question), call.flow)
  return repeatsUnknown(call) ? askAtLeast(judgement, approval) : judgement
}

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

/** A person who is asked, and an agent that is refused, hear which value came from where. */
const told = (judgement: Judgement, flow: Flow): Judgement =>
  judgement.decision === 'allow' || judgement.errors.length > 0
    ? judgement
    : { ...judgement, because: [...judgement.because, ...sayDoubtful(flow)] }

const unreadable = (problem: string): Judgement => ({
  decision: 'deny',
  policies: [],
  requirement: null,
  because: ['a target of the call could not be read, so it is denied'],
  errors: [problem],
})

/** I2: a call that changes the world and whose last outcome is unknown is never sent again on its own. `*`: some were forgotten. */
function repeatsUnknown({
  tool,
  bound,
  fingerprint,
}: Pick<Resolved, 'tool' | 'bound' | 'fingerprint'>): boolean {
  const changes = tool.review?.effects.some((effect) => effect !== 'read') ?? true
  const { unknown } = bound.history
  return changes && (unknown.includes(fingerprint) || unknown.includes('*'))
}

const anyPerson: Requirement = { count: 1, independent: false, proof: 'terminal' }

function askAtLeast(judgement: Judgement, approval: ApprovalFacts | null): Judgement {
  if (judgement.decision !== 'allow' || (approval !== null && approval.count >= 1)) return judgement
  return {
    ...judgement,
    decision: 'ask',
    requirement: anyPerson,
    because: [
      ...judgement.because,
      'the same call was sent before and its outcome is unknown: it may already have happened',
    ],
  }
}
