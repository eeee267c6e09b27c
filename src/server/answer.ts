import type { Json, JsonObject } from '../lib/json.ts'
import type { Lease } from '../credential/lease.ts'
import type { Definition } from '../registry/tool.ts'

/** What `invoke` asks of a server, in the broker's own serialisation (I8). */
export type Outgoing = {
  readonly server: string
  readonly task: string
  /** Whose task it is: agents share a server's places. */
  readonly agent: string
  readonly call: string
  readonly operation: Operation
  /** The pinned definition and its digest: a server that now offers another is not called (`definition-changed`). */
  readonly definition: Definition
  readonly digest: string
  readonly arguments: JsonObject
  /** Later leg of a chain: the server's own opaque state and the answers to what it asked, judged as arguments. */
  readonly leg: { readonly requestState: string | null; readonly inputResponses: JsonObject } | null
  readonly lease: Lease
  readonly signal: AbortSignal
  /** Numbers only (I3). */
  readonly progress: (progress: { readonly progress: number; readonly total?: number }) => void
  readonly takes: Takes
  /** The broker's own trace context (W3C `traceparent`), when servers are told one. Never what the agent sent (I8). */
  readonly trace?: { readonly traceparent: string }
}

/**
 * `call` a tool, `read` a resource by URI, `get` a prompt, `complete` an argument of a prompt or template, `subscribe` to
 * a resource by URI: from then on `Updates` tells that it has changed.
 */
export type Operation = 'call' | 'read' | 'get' | 'complete' | 'subscribe'

/**
 * What whoever waits for the answer can take besides it. The broker's own reading of what a client declares, out of
 * closed lists: nothing that a client writes passes (I8).
 */
export type Takes = {
  /** What a server may ask of it in the middle of the call. */
  readonly inputs: readonly InputKind[]
  /** Log lines of at least this level come with the answer; null: none. */
  readonly log: LogLevel | null
}

export const takesNothing: Takes = { inputs: [], log: null }

/** `form` and `url` are elicitation's modes. Sampling lets a server drive a client's model, roots let it look around. */
export const inputKinds = ['form', 'url', 'sampling', 'roots'] as const
export type InputKind = (typeof inputKinds)[number]

/** RFC 5424 section 6.2.1, the least severe first. */
export const logLevels = [
  'debug',
  'info',
  'notice',
  'warning',
  'error',
  'critical',
  'alert',
  'emergency',
] as const
export type LogLevel = (typeof logLevels)[number]

/** One line that a server logged for a client in the course of a call: the server's words, labelled with its answer. */
export type LogLine = { readonly level: LogLevel; readonly logger?: string; readonly data: Json }

type Beside = {
  /** What was logged since the last answer of the chain. It leaves with the answer or not at all (I3). */
  readonly log?: readonly LogLine[]
  /** What the server would have asked of the client, which cannot give it, and failed without. */
  readonly needs?: readonly InputKind[]
}

/** All of these are answers: the path settles each. */
export type ServerAnswer =
  /** A result of the era-independent shape of MCP 2026-07-28, without `resultType` and `_meta`. */
  | ({ readonly kind: 'result'; readonly result: JsonObject; readonly isError: boolean } & Beside)
  /** A JSON-RPC error from the server. */
  | ({
      readonly kind: 'error'
      readonly code: number
      readonly message: string
      readonly data: JsonObject | null
    } & Beside)
  /** The server needs more input (MRTR or a legacy server-to-client request). */
  | ({
      readonly kind: 'input'
      readonly inputRequests: JsonObject
      readonly requestState: string | null
    } & Beside)
  /** Nothing was sent: certain. */
  | {
      readonly kind: 'not-sent'
      readonly problem:
        | 'definition-changed'
        | 'unreachable'
        | 'busy'
        | 'cancelled'
        | 'bad-configuration'
        | 'revoked'
        | 'no-credential'
      readonly detail: string
    }
  /** Something may have been sent and no answer is known: time-out, death, broken stream, cancel. */
  | {
      readonly kind: 'unknown'
      readonly problem: 'timeout' | 'died' | 'disconnected' | 'cancelled' | 'bad-answer' | 'too-large'
      readonly detail: string
    }

export type Servers = {
  /** MUST send at most once and MUST never retry. MUST NOT throw for anything a server does. */
  invoke(outgoing: Outgoing): Promise<ServerAnswer>
  /** Ends everything that hung on a task: processes, sessions, leases of theirs. Idempotent. */
  endTask(task: string): Promise<void>
}

/** What comes of calls that subscribed to resources. */
export type Updates = {
  /** Told when a server says that a resource has changed to which a task has subscribed. Returns how to stop. */
  onUpdated(told: (subscription: Subscription) => void): () => void
  /** One who asked for it has no use for it any more. */
  unsubscribe(subscription: Subscription): void
}

/** A resource that a task watches. `uri` as the task wrote it, never as the server says it. */
export type Subscription = { readonly server: string; readonly task: string; readonly uri: string }
