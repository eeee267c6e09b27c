import type { JsonObject } from '../lib/json.ts'
import type { Lease } from '../credential/lease.ts'
import type { Definition } from '../registry/tool.ts'

/** What `invoke` asks of a server, in the broker's own serialisation (I8). */
export type Outgoing = {
  readonly server: string
  readonly task: string
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
}

/** `call` a tool, `read` a resource by URI, `get` a prompt, `complete` an argument of a prompt or template. */
export type Operation = 'call' | 'read' | 'get' | 'complete'

/** All of these are answers: the path settles each. */
export type ServerAnswer =
  /** A result of the era-independent shape of MCP 2026-07-28, without `resultType` and `_meta`. */
  | { readonly kind: 'result'; readonly result: JsonObject; readonly isError: boolean }
  /** A JSON-RPC error from the server. */
  | {
      readonly kind: 'error'
      readonly code: number
      readonly message: string
      readonly data: JsonObject | null
    }
  /** The server needs more input (MRTR or a legacy server-to-client request). */
  | { readonly kind: 'input'; readonly inputRequests: JsonObject; readonly requestState: string | null }
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
