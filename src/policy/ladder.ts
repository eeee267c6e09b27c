import { proofClasses } from '../approval/ask.ts'
import type { ApprovalFacts, Requirement } from '../approval/ask.ts'
import type { ApprovalUse } from './monotone.ts'

/** What the policies of a slice compare of an approval: rungs that none can tell apart are one. */
export type Compared = { readonly count: boolean; readonly independent: boolean; readonly proof: boolean }

export const comparedBy = (uses: readonly ApprovalUse[]): Compared => ({
  count: uses.some(({ facts }) => facts.count),
  independent: uses.some(({ facts }) => facts.independent),
  proof: uses.some(({ facts }) => facts.proof),
})

/** The most people that a policy can ask for. */
const counts = [1, 2, 3]

/** Hypothetical approvals, least first: fewer people before independence before a stronger proof. The last is the most. */
export function rungs(compared: Compared): readonly ApprovalFacts[] {
  return (compared.count ? counts : [1]).flatMap((count) =>
    (compared.independent ? [false, true] : [false]).flatMap((independent) =>
      (compared.proof ? proofClasses : proofClasses.slice(0, 1)).map((proof) => ({
        count,
        independent,
        proof,
      })),
    ),
  )
}

/**
 * The least approval that allows, or null when not even the most does. Policies are monotone in approvals (checked at
 * load): the weakest, tried first, usually settles it, and the most settles whether asking makes sense at all.
 */
export function leastThatAllows(
  compared: Compared,
  allows: (facts: ApprovalFacts) => boolean,
): Requirement | null {
  const [first, ...others] = rungs(compared)
  if (first === undefined || allows(first)) return first ?? null
  const most = others.at(-1)
  if (most === undefined || !allows(most)) return null
  return others.find((facts) => facts === most || allows(facts)) ?? most
}

/** What satisfies both: the least approval under which every one of several targets is allowed. */
export const joinRequirements = (a: Requirement, b: Requirement): Requirement => ({
  count: Math.max(a.count, b.count),
  independent: a.independent || b.independent,
  proof: proofClasses.indexOf(a.proof) >= proofClasses.indexOf(b.proof) ? a.proof : b.proof,
})
