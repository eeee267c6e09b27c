import { sayDoubtful } from '../flow/say.ts'
import type { ApprovalFacts, Requirement } from '../approval/ask.ts'
import type { Decided, Resolved, Wanted } from './states.ts'
import type { Flow } from '../flow/flow.ts'
import type { Judgement, PolicySnapshot, Question } from '../policy/judge.ts'

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
