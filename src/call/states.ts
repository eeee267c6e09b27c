import type { ApprovalFacts } from '../approval/ask.ts'
import type { Caller, Credential } from '../identity/caller.ts'
import type { Judgement, PolicySnapshot } from '../policy/judge.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Labels } from '../flow/labels.ts'
import type { Lease } from '../credential/lease.ts'
import type { Operation, ServerAnswer } from '../server/answer.ts'
import type { Outcome } from '../audit/entry.ts'
import type { Sealed } from './seal.ts'
import type { TaskSnapshot } from '../task/task.ts'
import type { Tool } from '../registry/tool.ts'

/**
 * What a door hands to the path: a snapshot, parsed once. The same arrival may be run again (an approval came); every
 * run checks everything again.
 */
export type Arrival = {
  /** `c_` + 22 base62, made by the door. One call id has at most one intent. */
  readonly call: string
  /** First call of the chain, when this is a later leg of one; else the same as `call`. */
  readonly chain: string
  readonly door: 'mcp' | 'http' | 'operator'
  readonly credential: Credential
  readonly wanted: Wanted
  /** As parsed from strict I-JSON; judged and forwarded as the broker's own serialisation. */
  readonly arguments: JsonObject
  readonly leg: { readonly requestState: string | null; readonly inputResponses: JsonObject } | null
  /** Aborts when the caller has gone or cancelled. */
  readonly signal: AbortSignal
  readonly progress: (progress: { readonly progress: number; readonly total?: number }) => void
}

/** `name` is a tool's or prompt's name, or a resource's URI. */
export type Wanted = { readonly server: string; readonly operation: Operation; readonly name: string }

export type Authenticated = Sealed<'authenticated', { readonly arrival: Arrival; readonly caller: Caller }>
export type Bound = Sealed<'bound', Unsealed<Authenticated> & { readonly bound: TaskSnapshot; readonly now: number; readonly revocationEpoch: number }>
export type Resolved = Sealed<'resolved', Unsealed<Bound> & { readonly tool: Tool; readonly arguments: JsonObject; readonly fingerprint: string }>
export type Decided = Sealed<'decided', Unsealed<Resolved> & { readonly judgement: Judgement; readonly policy: PolicySnapshot }>
export type Approved = Sealed<'approved', Unsealed<Decided> & { readonly approval: ApprovalUse | null }>
export type Intended = Sealed<'intended', Unsealed<Approved> & { readonly index: number }>
export type Equipped = Sealed<'equipped', Unsealed<Intended> & { readonly lease: Lease }>
export type Answered = Sealed<'answered', Unsealed<Intended> & { readonly lease: Lease | null; readonly answer: ServerAnswer }>
export type Labelled = Sealed<'labelled', Unsealed<Answered> & { readonly labels: Labels; readonly body: ServerAnswer; readonly redacted: { readonly [secret: string]: number }; readonly withheld: string | null }>
export type Settled = Sealed<'settled', { readonly call: string; readonly task: string; readonly outcome: Outcome; readonly tool: Tool; readonly answer: Released }>

/** What may leave through the door. `withheld` says why in the broker's words and holds nothing of the server's. */
export type Released =
  | ServerAnswer
  | { readonly kind: 'withheld'; readonly problem: 'revoked' | 'policy' | 'record-failed'; readonly detail: string }

/** The approval that a call uses: consumed at the commit point. */
export type ApprovalUse = { readonly ask: string; readonly digest: string; readonly answers: readonly import('../approval/ask.ts').Answer[]; readonly requirement: import('../approval/ask.ts').Requirement; readonly facts: ApprovalFacts }

type Unsealed<S> = S extends Sealed<infer _Name, infer Value> ? Value : never
