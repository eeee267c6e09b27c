import type { Json, JsonObject } from '../lib/json.ts'
import type { Bearing } from '../flow/bears.ts'
import type { Confidentiality, Integrity } from '../flow/labels.ts'
import type { ResultLabels } from '../flow/fields.ts'

/** What a tool does to the world. Policy sees effects; a reviewer confirms them, a server only hints at them. */
export const effects = ['read', 'write', 'delete', 'execute', 'egress', 'spend'] as const
export type Effect = (typeof effects)[number]

/**
 * The unit of pinning (DESIGN.md, Choices). `resource` is a root (`scheme://authority/`), `template` a URI template;
 * a URI is an argument of either, so that new files are not new tools. `instructions` is a server's text for models.
 */
export type ToolKind = 'tool' | 'prompt' | 'resource' | 'template' | 'instructions'

/** `server/name` for tools, `server/kind:name` for everything else. Stable; tombstones keep it taken. */
export type ToolId = string

export const toolId = (server: string, kind: ToolKind, name: string): ToolId =>
  kind === 'tool' ? `${server}/${name}` : `${server}/${kind}:${name}`

/** A definition as the server gave it, reduced to the fields that a model or a policy could see. */
export type Definition = {
  readonly kind: ToolKind
  readonly name: string
  readonly title?: string
  readonly description?: string
  readonly inputSchema?: JsonObject
  readonly outputSchema?: JsonObject
  readonly annotations?: JsonObject
  readonly icons?: readonly Json[]
  readonly uri?: string
  readonly uriTemplate?: string
  readonly mimeType?: string
  /** Prompt arguments, as listed. */
  readonly arguments?: readonly Json[]
  /** The text itself, for `instructions`. */
  readonly text?: string
  readonly execution?: JsonObject
}

/** Which argument of a tool holds a common target, as a JSON pointer into the arguments (RFC 6901). */
export type Targets = {
  readonly path?: string
  readonly url?: string
  readonly recipient?: string
  readonly amount?: string
}

/** What a reviewer confirmed, and for which definition (digest) it was confirmed. */
export type Review = {
  readonly digest: string
  readonly effects: readonly Effect[]
  readonly environment: string
  readonly confidentiality: Confidentiality
  readonly integrity: Integrity
  readonly targets: Targets
  /** Every argument that decides where a call acts; an empty list says that none does. Left out: nobody has said. */
  readonly bears?: readonly Bearing[]
  /** Labels of single fields of its results; what no field covers carries the two above. */
  readonly results?: ResultLabels
  readonly reviewer: string
  /** RFC 3339. */
  readonly at: string
}

export type ToolState = 'reviewed' | 'quarantined' | 'removed'

/** One tool as the registry holds it. `definition` is the newest seen; `pinned` the reviewed one, which models are shown. */
export type Tool = {
  readonly id: ToolId
  readonly server: string
  readonly kind: ToolKind
  readonly name: string
  readonly state: ToolState
  /** `sha256:` + 64 hex over the canonical form of `definition`. */
  readonly digest: string
  readonly definition: Definition
  readonly pinned: Definition | null
  readonly review: Review | null
  /** Why it is in quarantine or what a reviewer should look at; empty when nothing was found. */
  readonly findings: readonly Finding[]
}

/** Something a reviewer should see before accepting a definition. */
export type Finding = {
  readonly rule: string
  readonly severity: 'note' | 'warning' | 'danger'
  readonly message: string
  /** Where, as a JSON pointer into the definition. */
  readonly at: string
}

/** Everything a server offered at one moment, page after page put together. Untrusted. */
export type Catalogue = {
  readonly server: string
  readonly definitions: readonly Definition[]
  /** Concrete resources as listed: a view for `resources/list`, never pinned. */
  readonly resources: readonly JsonObject[]
  readonly capabilities: JsonObject
  readonly serverInfo: JsonObject
  readonly era: Era
  readonly protocolVersion: string
}

export type Era = 'modern' | 'legacy'
