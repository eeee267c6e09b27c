import type { Agents } from '../../identity/agents.ts'
import type { ApprovalService } from '../../approval/approvals.ts'
import type { Arrival, Decided, Settled } from '../../call/states.ts'
import type { Bearing } from '../../flow/bears.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Confidentiality, Integrity } from '../../flow/labels.ts'
import type { Actor } from '../../identity/actor.ts'
import type { Effect, Targets, Tool } from '../../registry/tool.ts'
import type { Gate } from '../../identity/operator.ts'
import type { Hub } from '../../observe/hub.ts'
import type { JsonObject } from '../../lib/json.ts'
import type { LiveRevocations } from '../../revocation/live.ts'
import type { ProfileRead } from '../../registry/profiles.ts'
import type { Refused } from '../../call/refusal.ts'
import type { ResultLabels } from '../../flow/fields.ts'
import type { TaskTemplate } from '../../identity/caller.ts'
import type { Tasks } from '../../task/tasks.ts'
import type { Tokens } from '../../identity/token.ts'

/** Everything that the operators' API may touch. Each port is as narrow as its routes. */
export type OperatorParts = {
  readonly clock: Clock
  readonly gate: Gate
  readonly hub: Hub
  readonly agents: Agents
  readonly tasks: Tasks
  readonly approvals: ApprovalService
  readonly revocations: LiveRevocations
  readonly tokens: Pick<Tokens, 'mint'>
  readonly registry: RegistryPart
  readonly policy: PolicyPart
  readonly secrets: SecretPart
  readonly calls: CallPart
  readonly audit: AuditPart
  /** For people: version, listeners, what is protected. Holds no secret. */
  readonly status: () => Promise<JsonObject>
  readonly defaults: {
    /** Owner of an agent when none is named. */
    readonly owner: string
    readonly template: TaskTemplate
  }
  /** Told of a surprise; the caller is told nothing of it. */
  readonly onFault: (fault: unknown) => void
}

/** An act of another part: done, with what to show, or why not. */
export type PartResult =
  | { readonly ok: true; readonly value: JsonObject }
  | {
      readonly ok: false
      readonly problem: 'not-found' | 'conflict' | 'invalid' | 'unavailable'
      readonly message: string
      readonly hint?: string
    }

/** What a reviewer decides of one tool. `digest` is that of the definition that was looked at. */
export type Reviewing = {
  readonly tool: string
  readonly digest: string
  readonly accept: boolean
  readonly overrides: {
    readonly effects?: readonly Effect[]
    readonly environment?: string
    readonly confidentiality?: Confidentiality
    readonly integrity?: Integrity
    readonly targets?: Targets
    readonly bears?: readonly Bearing[]
    readonly results?: ResultLabels
  }
  /** Digest of the profile whose proposal was looked at, null for none. */
  readonly profile?: string | null
}

export type RegistryPart = {
  servers(): Promise<readonly JsonObject[]>
  server(name: string): Promise<JsonObject | null>
  /** `config` as in the configuration file (`serverSchema`); lists the tools and quarantines them for review. */
  addServer(server: { readonly name: string; readonly config: JsonObject }, by: Actor): Promise<PartResult>
  removeServer(name: string, by: Actor): Promise<PartResult>
  /** Lists the tools again now. */
  refreshServer(name: string, by: Actor): Promise<PartResult>
  tools(filter: { readonly server?: string; readonly state?: Tool['state'] }): Promise<readonly Tool[]>
  tool(id: string): Promise<Tool | null>
  /** The reviews of a server's tools in the form that a configuration's `reviewed` file has. */
  reviews(server: string): Promise<JsonObject | null>
  /** The profile that its configuration names, as it is now. */
  profile(server: string): Promise<ProfileRead>
  /**
   * The same with what it leaves unsaid, and which packaged one would fit when it names none: `{ profile, digest,
   * problem, suggested, findings }`. Null when there is no such server.
   */
  lint(server: string): Promise<JsonObject | null>
  /** What changed between the reviewed definition and the newest, and what a model would newly read. */
  diff(id: string): Promise<JsonObject | null>
  review(reviewing: Reviewing, by: Actor): Promise<PartResult>
}

export type PolicyFile = { readonly name: string; readonly text: string }

export type PolicyPart = {
  /** File, line, reason and what they look at, of live policies by id. */
  where(ids: readonly string[]): readonly JsonObject[]
  /** Version, files with their text, what they name. */
  show(): Promise<JsonObject>
  /** Validates without swapping: `{ ok, version, problems: [{ file, line, message, fix }] }`. */
  check(files: readonly PolicyFile[]): Promise<JsonObject>
  swap(files: readonly PolicyFile[], by: Actor): Promise<PartResult>
  /** A set that fits what was observed, for a person to read: text, questions a day, days, calls, tools left out. */
  suggestion(): Promise<JsonObject>
}

/** Values only go in. */
export type SecretPart = {
  list(): Promise<readonly { readonly name: string; readonly at: number }[]>
  set(secret: { readonly name: string; readonly value: string }, by: Actor): Promise<PartResult>
  remove(name: string, by: Actor): Promise<PartResult>
}

/** The one control path. */
export type CallPart = {
  run(arrival: Arrival): Promise<Settled | Refused>
  explain(arrival: Arrival): Promise<Decided | Refused>
}

export type LoggedEntry = { readonly index: number; readonly entry: JsonObject }

export type AuditPart = {
  recent(filter: {
    readonly limit: number
    readonly before?: number
    readonly task?: string
    readonly agent?: string
    readonly kind?: string
  }): Promise<readonly LoggedEntry[]>
  entry(index: number): Promise<LoggedEntry | null>
  call(id: string): Promise<readonly LoggedEntry[]>
  /** The entry with its proof of inclusion, as text anyone can verify; null beyond the newest checkpoint. */
  receipt(index: number): Promise<string | null>
  checkpoint(): Promise<{ readonly size: number; readonly text: string } | null>
  /** Writes a copy of the log below the broker's own folder; the request only names it. */
  export(name: string): Promise<PartResult>
  /** Deletes one payload; its commitment, and with it every proof, stays. */
  erase(commitment: string, reason: string, by: Actor): Promise<PartResult>
}
