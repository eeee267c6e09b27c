import type { Requirement } from '../approval/ask.ts'
import type { Judgement, Question } from './judge.ts'
import { pathsOf } from './reads.ts'
import type { LoadedPolicies } from './snapshot.ts'

/** A judgement for people; plain JSON. */
export type Explanation = {
  readonly decision: Judgement['decision']
  readonly tool: string
  readonly agent: string
  readonly task: string
  readonly policy: string
  readonly because: readonly string[]
  readonly errors: readonly string[]
  /** Set when a person has to approve, with the same in words. */
  readonly requirement: (Requirement & { readonly words: string }) | null
  readonly policies: readonly ExplainedPolicy[]
  /** How many policies are about this tool at all. */
  readonly considered: number
}

export type ExplainedPolicy = {
  readonly id: string
  readonly effect: 'permit' | 'forbid'
  readonly file: string
  readonly line: number
  readonly reason: string | null
  /** What it looks at, for example `context.task.environment`. Names only: values can be private. */
  readonly reads: readonly string[]
}

/** Says which policies determined a judgement, where they stand, and what they looked at. */
export function explainJudgement(
  snapshot: LoadedPolicies,
  judgement: Judgement,
  question: Question,
): Explanation {
  const slice = question.tool.review === null ? new Map() : snapshot.policiesFor(question.tool)
  const { requirement } = judgement
  return {
    decision: judgement.decision,
    tool: question.tool.id,
    agent: question.caller.name,
    task: question.bound.task.id,
    policy: snapshot.version,
    because: judgement.because,
    errors: judgement.errors,
    requirement: requirement === null ? null : { ...requirement, words: requirementInWords(requirement) },
    policies: explainPolicies(snapshot, judgement.policies),
    considered: slice.size,
  }
}

/** Where policies stand and what they look at; ids that are not of this set are left out. */
export const explainPolicies = (
  snapshot: LoadedPolicies,
  ids: readonly string[],
): readonly ExplainedPolicy[] => ids.flatMap((id) => explained(snapshot, id))

function explained(snapshot: LoadedPolicies, id: string): readonly ExplainedPolicy[] {
  const policy = snapshot.policies.find((one) => one.id === id)
  if (policy === undefined) return []
  const { effect, file, reason, statement } = policy
  const reads = (['principal', 'resource', 'context'] as const).flatMap((root) =>
    pathsOf(policy.reads[root]).map((path) => (path === '*' ? root : `${root}.${path}`)),
  )
  return [{ id, effect, file, line: statement.line, reason, reads: reads.toSorted() }]
}

/** `one person, independent of the requester, by passphrase or stronger` */
export function requirementInWords(requirement: Requirement): string {
  const people = requirement.count === 1 ? 'one person' : `${requirement.count} people`
  const independent = requirement.independent ? ', independent of the task’s owner and the requester' : ''
  const proof = { terminal: '', passphrase: ', by passphrase or passkey', passkey: ', by passkey' }[
    requirement.proof
  ]
  return `${people}${independent}${proof}`
}
