import type { JsonObject } from '../lib/json.ts'
import type { BearingKind } from '../flow/bears.ts'
import type { Origin } from '../flow/trace.ts'
import type { Labels } from '../flow/labels.ts'
import type { Effect } from '../registry/tool.ts'
import type { Requirement, Answer } from '../approval/ask.ts'

/**
 * One record in the log. Written as canonical JSON (RFC 8785), well below the 65,535 bytes of a C2SP entry.
 * Payloads are not in it: only their salted digests (`Commitment`).
 */
export type Entry = RefusedEntry | IntentEntry | OutcomeEntry | ActEntry

type Common = {
  readonly v: 1
  /** RFC 3339, UTC, milliseconds. */
  readonly at: string
  /** The incarnation of the broker that wrote it: `b_` + 22 base62. */
  readonly broker: string
}

/** `sha256:` + hex over salt ‖ bytes. Salt and bytes live beside the log and can be erased; the commitment stays. */
export type Commitment = string

export type Who = {
  readonly kind: 'agent' | 'person'
  readonly name: string
  readonly onBehalfOf: string
  readonly proven: string
  readonly issuer: string
}

export type What = {
  readonly tool: string
  readonly digest: string
  readonly effects: readonly Effect[]
  readonly operation: string
}

export type RefusedEntry = Common & {
  readonly kind: 'refused'
  readonly call: string
  readonly stage: string
  readonly code: string
  /** The private reason, for operators. Never holds payload bytes. */
  readonly reason: string
  readonly who: Who | null
  readonly task: string | null
  readonly what: What | null
  /** As asked for, truncated, when nothing was resolved. */
  readonly wanted: string | null
  readonly arguments: Commitment | null
  readonly policy: string | null
  readonly policies: readonly string[]
  /** The ask that this refusal opened or waits on. */
  readonly ask: string | null
  /** How many like it this entry stands for (floods are counted, then written as one). */
  readonly count: number
}

export type IntentEntry = Common & {
  readonly kind: 'intent'
  readonly call: string
  /** First call of the chain this leg belongs to; the call itself when it is the first. */
  readonly chain: string
  readonly who: Who
  readonly task: string
  readonly what: What
  readonly arguments: Commitment
  readonly policy: string
  readonly policies: readonly string[]
  readonly labels: Labels
  /** Where its targets come from, sixteen at most; left out when it has none. */
  readonly flow?: {
    readonly targets: readonly {
      readonly at: string
      readonly kind: BearingKind
      readonly origin: Origin
      readonly call: string | null
      readonly tool: string | null
    }[]
    readonly risk: number
  }
  readonly approval: {
    readonly ask: string
    readonly digest: string
    readonly answers: readonly Answer[]
    readonly requirement: Requirement
  } | null
}

export type Outcome = 'ok' | 'failed' | 'withheld' | 'suspended' | 'not-sent' | 'unknown'

export type OutcomeEntry = Common & {
  readonly kind: 'outcome'
  readonly call: string
  readonly task: string
  readonly outcome: Outcome
  /** In words, for operators; never payload bytes. */
  readonly detail: string
  readonly result: Commitment | null
  /** The task's labels after the join. */
  readonly labels: Labels
  readonly lease: { readonly id: string; readonly secrets: readonly string[] } | null
  /** Redactions made in the result, by secret name and count. */
  readonly redacted: { readonly [secret: string]: number }
  readonly durationMs: number
}

/** An operator's or the broker's own act: task opened, tool reviewed, approval answered, policy swapped, revoked, key made … */
export type ActEntry = Common & {
  readonly kind: 'act'
  readonly act: string
  readonly by: string
  readonly proof: string
  readonly subject: string
  readonly detail: JsonObject
}

/** A payload to keep beside the log. `bytes` are what the commitment commits to, after the salt. */
export type Payload = {
  readonly commitment: Commitment
  readonly salt: Uint8Array
  readonly bytes: Uint8Array
  readonly kind: 'arguments' | 'result'
}
