/** A secret on its way to a server. Prints, serialises and logs as `[secret]`; `reveal` is named so that every use can be found. */
export type Secret = { reveal(): string; toJSON(): string; toString(): string }

/** What is lent: how the server connection must be equipped. The agent never sees one. */
export type Lease = {
  /** `l_` + 22 base62 characters. */
  readonly id: string
  /**
   * `call`: given back when the call is settled. `task`: a process of the task holds it, so it ends when the task ends;
   * until then every call of the task on that server uses the same one.
   */
  readonly span: 'call' | 'task'
  /** Header name → value, for HTTP servers. */
  readonly headers: { readonly [name: string]: Secret }
  /** Variable → value, for the process of this task alone. */
  readonly environment: { readonly [name: string]: Secret }
  /** Names of the secrets in the sealed store, for the log and for revocation keys. */
  readonly secrets: readonly string[]
  readonly expiresAt: number
}

export type LendProblem = { readonly problem: 'no-credential'; readonly detail: string }

export type Lenders = {
  /** MUST lend only what the server's configuration names, for this task, not beyond its end. No secret needed: an empty lease. */
  lend(request: {
    readonly server: string
    readonly task: string
    readonly call: string
    readonly until: number
    readonly now: number
  }): Promise<Lease | LendProblem>
  /**
   * MUST be called on every exit after `lend`. Gives back what was lent for a call; a task's own stays until the task
   * ends. `closed`: the transaction of the outcome has closed the lease's row already. Idempotent, never throws.
   */
  close(lease: Lease, row?: 'closed'): Promise<void>
}
