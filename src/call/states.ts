import type { Answer, ApprovalFacts, Requirement } from '../approval/ask.ts'
import type { Caller, Credential } from '../identity/caller.ts'
import type { Judgement, PolicySnapshot } from '../policy/judge.ts'
import type { Flow, Known } from '../flow/flow.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Lesson } from '../flow/learn.ts'
import type { Labels } from '../flow/labels.ts'
import type { Lease } from '../credential/lease.ts'
import type { Sinks } from '../flow/sinks.ts'
import type { Operation, ServerAnswer, Takes } from '../server/answer.ts'
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
  readonly leg: Leg | null
  /** Aborts when the caller has gone or cancelled. */
  readonly signal: AbortSignal
  readonly progress: (progress: { readonly progress: number; readonly total?: number }) => void
  /** What the caller can be asked for and told besides the answer; nothing when left out. */
  readonly takes?: Takes
}

/** A later leg of a chain whose server asked for more input; the door unsealed it from its own state. */
export type Leg = {
  readonly requestState: string | null
  /** Judged as arguments are. */
  readonly inputResponses: JsonObject
  /** The ask that the chain consumed at its first leg, or null. */
  readonly ask?: string | null
}

/** `name` is a tool's or prompt's name, or a resource's URI. */
export type Wanted = { readonly server: string; readonly operation: Operation; readonly name: string }

/** Each product holds what its stage added to the one before. The values are spelled out; the seals are added at the end. */
type AuthenticatedValue = { readonly arrival: Arrival; readonly caller: Caller }
type BoundValue = AuthenticatedValue & {
  readonly bound: TaskSnapshot
  /** What the task has met and its person has done, as far as `bound` says. */
  readonly known: Known
  /** The clock's reading that this run decides by. */
  readonly now: number
}
type ResolvedValue = BoundValue & {
  readonly tool: Tool
  readonly arguments: JsonObject
  readonly fingerprint: string
}
type DecidedValue = ResolvedValue & {
  readonly judgement: Judgement
  readonly policy: PolicySnapshot
  /** Where its targets come from, and what it adds up to. */
  readonly flow: Flow
}
type ApprovedValue = DecidedValue & { readonly approval: ApprovalUse | null }
type IntendedValue = ApprovedValue
type EquippedValue = IntendedValue & { readonly lease: Lease }
type AnsweredValue = IntendedValue & {
  readonly lease: Lease | null
  readonly answer: ServerAnswer
  /** Tainted writes as of the answer. */
  readonly sinks: Sinks
}
type LabelledValue = AnsweredValue & {
  readonly labels: Labels
  /** Values that the task met in it, by which later targets are traced. */
  readonly lessons: readonly Lesson[]
  /** The answer after redaction. */
  readonly body: ServerAnswer
  /** How often each lent secret was found in it. */
  readonly redacted: { readonly [secret: string]: number }
  /** Why the body may not leave, or null. */
  readonly withheld: string | null
}

export type Authenticated = Sealed<'authenticated', AuthenticatedValue>
export type Bound = Sealed<'bound', BoundValue>
export type Resolved = Sealed<'resolved', ResolvedValue>
export type Decided = Sealed<'decided', DecidedValue>
export type Approved = Sealed<'approved', ApprovedValue>
export type Intended = Sealed<'intended', IntendedValue>
export type Equipped = Sealed<'equipped', EquippedValue>
export type Answered = Sealed<'answered', AnsweredValue>
export type Labelled = Sealed<'labelled', LabelledValue>
export type Settled = Sealed<
  'settled',
  {
    readonly call: string
    readonly task: string
    readonly agent: string
    readonly outcome: Outcome
    readonly tool: Tool
    /** The ask that the call's chain consumed, or null: the door seals it into the state of later legs. */
    readonly ask: string | null
    readonly answer: Released
  }
>

/** What may leave through the door. `withheld` says why in the broker's words and holds nothing of the server's. */
export type Released =
  | ServerAnswer
  | {
      readonly kind: 'withheld'
      readonly problem: 'revoked' | 'policy' | 'record-failed'
      readonly detail: string
    }

/** The approval that a call uses: consumed at the commit point. */
export type ApprovalUse = {
  readonly ask: string
  readonly digest: string
  readonly answers: readonly Answer[]
  readonly requirement: Requirement
  readonly facts: ApprovalFacts
}
