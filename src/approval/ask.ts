import type { JsonObject } from '../lib/json.ts'

/**
 * How an approver's presence was proven, weakest first. Monotone: a stronger class never allows less.
 * `terminal`: a key press in the terminal that runs the broker. `passphrase`, `passkey`: something an agent that runs
 * as the same user cannot read.
 */
export const proofClasses = ['terminal', 'passphrase', 'passkey'] as const
export type ProofClass = (typeof proofClasses)[number]

/** The least approval that the policy would accept, found by the ladder. */
export type Requirement = {
  readonly count: number
  /** The approver must not be the task's owner or the requester. */
  readonly independent: boolean
  readonly proof: ProofClass
}

/** The facts that the answers amount to; what Cedar sees as `context.approval`. */
export type ApprovalFacts = {
  readonly count: number
  readonly independent: boolean
  readonly proof: ProofClass
}

export type Answer = {
  readonly by: string
  readonly proof: ProofClass
  readonly answer: 'approve' | 'refuse'
  readonly reason: string
  readonly at: number
}

/** A question to a person, bound by `digest` to exactly one call as it would be sent. */
export type Ask = {
  /** `a_` + 22 base62 characters. Names the ask to people; it is no proof of anything. */
  readonly id: string
  readonly digest: string
  readonly call: string
  readonly task: string
  readonly agent: string
  readonly owner: string
  readonly tool: string
  readonly toolDigest: string
  readonly policy: string
  readonly requirement: Requirement
  /** Determining policies and what made the call need a person, in words. */
  readonly because: readonly string[]
  /** Exact arguments as they would be sent. */
  readonly arguments: JsonObject
  readonly askedAt: number
  readonly expiresAt: number
  readonly state: 'pending' | 'approved' | 'refused' | 'expired' | 'consumed'
  readonly answers: readonly Answer[]
}

export type Approvals = {
  get(id: string): Promise<Ask | null>
  /** The newest ask for this digest that is not consumed, or null. */
  find(digest: string, now: number): Promise<Ask | null>
  /** Records a question. MUST refuse (`too-many`) when the agent has more than the allowed number pending. */
  ask(
    ask: Ask,
  ): Promise<{ readonly ok: true; readonly ask: Ask } | { readonly ok: false; readonly problem: 'too-many' }>
}
