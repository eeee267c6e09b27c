import { proofClasses, type Answer, type ApprovalFacts, type Ask, type ProofClass } from './ask.ts'

export const atLeast = (proof: ProofClass, wanted: ProofClass): boolean =>
  proofClasses.indexOf(proof) >= proofClasses.indexOf(wanted)

/** An approver who neither asks nor is the one it is done for. */
export const isIndependent = (by: string, ask: Pick<Ask, 'owner' | 'agent'>): boolean =>
  by !== ask.owner && by !== ask.agent

/** Why this answer counts nothing towards the requirement, or null. A refusal always counts. */
export function discounts(
  answer: Pick<Answer, 'by' | 'proof' | 'answer'>,
  ask: Pick<Ask, 'owner' | 'agent' | 'requirement'>,
): 'not-independent' | 'proof-too-weak' | null {
  if (answer.answer === 'refuse') return null
  if (ask.requirement.independent && !isIndependent(answer.by, ask)) return 'not-independent'
  return atLeast(answer.proof, ask.requirement.proof) ? null : 'proof-too-weak'
}

/**
 * What the answers amount to, in the terms of what was asked for; null when nothing counts or somebody refused. Pure.
 * Monotone: one approval more never lowers a fact, so policy can never be made to allow by fewer people (the facts
 * state the class that was asked for, not the weakest or strongest of those given, which one more answer could move).
 */
export function factsOf(ask: Pick<Ask, 'answers' | 'requirement' | 'owner' | 'agent'>): ApprovalFacts | null {
  if (ask.answers.some(({ answer }) => answer === 'refuse')) return null
  const people = new Set(ask.answers.filter((answer) => discounts(answer, ask) === null).map(({ by }) => by))
  if (people.size === 0) return null
  return { count: people.size, independent: ask.requirement.independent, proof: ask.requirement.proof }
}
