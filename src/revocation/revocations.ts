/**
 * What is revoked, cheap enough to compare three times per call. Keys: `all`, `agent:NAME`, `person:NAME`, `task:ID`,
 * `tool:ID`, `server:NAME`, `secret:NAME`, `token:JTI`.
 */
export type Revocations = {
  /** The first of the keys that is revoked, or null. Synchronous: read from memory that every change reaches before its act returns. */
  first(keys: readonly string[]): string | null
  /** The first of these tasks that has ended while this process ran (bounded memory), or null: an answer to it comes too late. */
  ended(tasks: readonly string[]): string | null
  /** Moves with every change. `intend` hands it to the store, which compares in the same transaction. */
  epoch(): number
  /** A signal that aborts when one of the keys is revoked from now on (or already is). Dispose it when the call ends. */
  watch(keys: readonly string[]): { readonly signal: AbortSignal; dispose(): void }
}

export type Revocation = {
  readonly key: string
  readonly by: string
  readonly reason: string
  readonly at: number
}
