import type { Labels } from '../flow/labels.ts'
import type { Flow } from '../flow/flow.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Caller } from '../identity/caller.ts'
import type { TaskSnapshot } from '../task/task.ts'
import type { Operation } from '../server/answer.ts'
import type { Tool } from '../registry/tool.ts'
import type { ApprovalFacts, Requirement } from '../approval/ask.ts'

/** All that a decision may look at. Nothing else reaches the judge: same question, same bytes of answer. */
export type Question = {
  readonly caller: Caller
  readonly bound: TaskSnapshot
  readonly tool: Tool
  readonly arguments: JsonObject
  readonly operation: Operation
  /** By which an equal call is recognised whose outcome is unknown (I2). */
  readonly fingerprint: string
  readonly labels: Labels
  /** Origins, counts and risk. Left out, nothing is known: no target was traced and every measure is beyond telling. */
  readonly flow?: Flow
  /** The broker's environment, for example `production`. */
  readonly environment: string
  readonly now: number
  /** Null while nobody has answered. */
  readonly approval: ApprovalFacts | null
}

export type Judgement = {
  readonly decision: 'allow' | 'ask' | 'deny'
  /** Ids of the policies that determined it; empty for default deny. */
  readonly policies: readonly string[]
  /** Set when `decision` is `ask`: the least approval that would allow. */
  readonly requirement: Requirement | null
  /** For people: `@reason` annotations of the determining policies, or why nothing allowed it. */
  readonly because: readonly string[]
  /** Evaluation errors; any makes the decision `deny`. */
  readonly errors: readonly string[]
}

/** A set of policies as loaded, never changed; swapped whole. */
export type PolicySnapshot = {
  /** `sha256:` + 64 hex over the policies' text and the schema's. */
  readonly version: string
  /** Which moving parts of the task the loaded policies read for this tool: `intend` compares those again. */
  reads(tool: Tool): {
    readonly labels: boolean
    readonly history: boolean
    readonly memory: boolean
    readonly person: boolean
  }
  /** Pure and synchronous. Never throws: a fault is a deny with `errors`. */
  judge(question: Question): Judgement
}

export type Policies = {
  /** The live snapshot at this moment. */
  snapshot(): PolicySnapshot
}
