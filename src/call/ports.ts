import type { Caller, Verifier } from '../identity/caller.ts'
import type { Confidentiality, Labels } from '../flow/labels.ts'
import type { Approvals } from '../approval/ask.ts'
import type { CallStore, Heads, LogStore, TaskStore } from '../store/ports.ts'
import type { Clock } from '../lib/clock.ts'
import type { LiveFlow } from '../flow/live.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Lenders } from '../credential/lease.ts'
import type { Operation, Servers } from '../server/answer.ts'
import type { Policies } from '../policy/judge.ts'
import type { Shadow } from '../policy/shadow.ts'
import type { Recorder } from '../audit/recorder.ts'
import type { Revocations } from '../revocation/revocations.ts'
import type { Turns } from './turns.ts'
import type { Tool } from '../registry/tool.ts'

/** Everything that the path may touch. `broker.ts` puts it together; nothing else reaches a stage. */
export type Ports = {
  readonly clock: Clock
  readonly verifier: Verifier
  readonly revocations: Revocations
  readonly tasks: Pick<TaskStore, 'snapshot'>
  readonly registry: Registry
  readonly policies: Policies
  /** Told of every judgement when another set is judged beside the live one; says nothing back. */
  readonly shadow?: Pick<Shadow, 'see'>
  readonly approvals: Approvals
  readonly catchUp: CatchUp
  readonly flow: Pick<LiveFlow, 'known' | 'sinks'>
  readonly calls: Pick<CallStore, 'intend' | 'settle' | 'hold'>
  readonly log: Pick<LogStore, 'append'>
  readonly recorder: Recorder
  readonly lenders: Lenders
  readonly servers: Servers
  readonly refusals: RefusalGate
  readonly owed: Owed
  readonly turns: Turns
  readonly settings: PathSettings
}

/**
 * Brings what this node keeps in memory (registry, policies, revocations) as far as `heads`, and throws when it cannot:
 * no call is decided on what another node has changed already. Costs three comparisons when nothing moved.
 */
export type CatchUp = (heads: Heads) => Promise<void>

export type PathSettings = {
  /** The broker's incarnation. */
  readonly broker: string
  readonly environment: string
  /** How long an ask stays open, in milliseconds. */
  readonly askMs: number
  /** Bodies above this are withheld. */
  readonly clearance: Confidentiality
  /** What tasks are bound to now: name → digest or version. A task opened under another value ends. */
  readonly context: () => { readonly [name: string]: string }
}

/** Keeps a flood of refusals from filling the log: what is only counted is written later as one entry with its count. */
export type RefusalGate = {
  admit(
    refusal: {
      readonly caller: Caller | null
      readonly door: string
      readonly code: string
      readonly tool: string | null
    },
    now: number,
  ): 'write' | 'count'
}

/** What could not be recorded when it happened; written as soon as the log can be written again (I7). */
export type Owed = {
  refusal(code: string): void
  outcome(call: {
    readonly call: string
    readonly task: string
    readonly lease: string | null
    readonly labels: Labels
    /** `not-sent` when nothing can have reached the server; `unknown` when left out. */
    readonly outcome?: 'not-sent' | 'unknown'
  }): void
}

/** The registry as the path sees it: pinned tools in memory, looked up by what was wanted. */
export type Registry = {
  /** Finds the pinned unit that answers for `wanted`; for resources the template or root that the URI falls under. */
  find(wanted: { readonly server: string; readonly operation: Operation; readonly name: string }): Tool | null
  /** Checks arguments against the pinned schema. Linear-time patterns, bounded depth; never runs code from the schema. */
  validate(
    tool: Tool,
    operation: Operation,
    args: JsonObject,
  ): { readonly ok: true } | { readonly ok: false; readonly problems: readonly string[] }
}
