/** Who asks, on whose behalf, and how that was proven. Never taken from a prompt, a header or a name the caller chose. */
export type Caller = {
  readonly kind: 'agent' | 'person'
  /** Name as registered with the broker. */
  readonly name: string
  /** The person it is done for; a person acts for itself. */
  readonly onBehalfOf: string
  readonly proven: Proof
  readonly issuer: string
  /** The task that the token names. */
  readonly task: string
  /** The token's `jti`, so that a single token can be revoked. */
  readonly tokenId: string
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

export type Proof = 'task-token' | 'issuer-token' | 'operator'

/** What arrives at a door as a claim to identity. A snapshot of bytes; verified once, by `authenticate`. */
export type Credential =
  | { readonly kind: 'bearer'; readonly token: string }
  /** An operator whose proof the operators' door has already checked; that door alone can make one. */
  | { readonly kind: 'operator'; readonly name: string; readonly task: string; readonly sessionId: string }
  | { readonly kind: 'none' }

export type Verification =
  | { readonly ok: true; readonly caller: Caller }
  | { readonly ok: false; readonly problem: VerificationProblem; readonly detail: string }

export type VerificationProblem =
  | 'missing'
  | 'malformed'
  | 'bad-signature'
  | 'expired'
  | 'not-yet-valid'
  | 'wrong-audience'
  | 'unknown-issuer'
  | 'unknown-subject'

export type Verifier = {
  /** MUST check signature, issuer, audience, times and subject; MAY cache by token digest, never past `expiresAt`. */
  verify(credential: Credential, now: number): Promise<Verification>
}

/** An agent as registered: a workload identity with a public key of its own. */
export type Agent = {
  readonly name: string
  readonly owner: string
  /** Public key as a JWK (RFC 7517), Ed25519 or P-256. */
  readonly publicKey: { readonly [name: string]: string }
  readonly state: 'active' | 'revoked'
  readonly createdAt: number
  /** What `connect` opens when the agent asks for no task of its own; also the ceiling of what it may ask for. */
  readonly template: TaskTemplate
}

export type TaskTemplate = {
  readonly purposeClass: string
  readonly environment: string
  readonly tools: readonly string[]
  readonly budget: import('../task/task.ts').Budget
  readonly lifetimeMs: number
  readonly idleMs: number
}
