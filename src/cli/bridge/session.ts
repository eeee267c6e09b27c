import type { Access } from './access.ts'

/** What the era of sessions (MCP 2025-11-25 and older) makes a client remember. */
export type Session = {
  /** The client's own `initialize`, to be sent again when the broker has forgotten the session. */
  readonly initialize: { readonly params: unknown }
  readonly id: string | null
  readonly version: string
  readonly generation: number
  /** Ends the stream of notifications. */
  readonly stream: AbortController
}

/** Headers of every request in a session. */
export const sessionHeaders = (session: Session | null): { readonly [name: string]: string } =>
  session === null
    ? {}
    : {
        'mcp-protocol-version': session.version,
        ...(session.id === null ? {} : { 'mcp-session-id': session.id }),
      }

/** A session began under a token of another task: the broker binds sessions to identities, so it is as good as lost. */
export const outdated = (session: Session | null, access: Access): session is Session =>
  session !== null && session.generation !== access.generation
