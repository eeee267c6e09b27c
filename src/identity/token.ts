import { errors, importJWK, jwtVerify, SignJWT } from 'jose'
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { KeyPair } from './key.ts'

/** Seconds that an access token lives. It names a task; the task itself may live longer and is looked up at each call. */
export const tokenSeconds = 300

/** Seconds by which clocks may differ. */
export const tolerance = 5

/** What a token of this broker says, once its signature has been checked. Times in milliseconds. */
export type TokenClaims = {
  readonly agent: string
  readonly owner: string
  readonly task: string
  readonly tokenId: string
  readonly expiresAt: number
}

export type TokenProblem =
  'malformed' | 'bad-signature' | 'expired' | 'not-yet-valid' | 'wrong-audience' | 'unknown-issuer'
export type TokenRead =
  | { readonly ok: true; readonly claims: TokenClaims }
  | { readonly ok: false; readonly problem: TokenProblem; readonly detail: string }

export type Tokens = {
  readonly issuer: string
  /** A token of type `at+jwt` (RFC 9068): `sub` is the person it is done for, `act.sub` the agent (RFC 8693 section 4.1). */
  mint(token: {
    readonly agent: string
    readonly owner: string
    readonly task: string
    readonly now: number
  }): Promise<{ readonly token: string; readonly expiresIn: number }>
  /** Checks everything but whether the subject is still registered. */
  read(token: string, now: number): Promise<TokenRead>
  /** As `read`, but takes tokens whose time is over: an agent may close its task with the last token it had. */
  readEnded(token: string, now: number): Promise<TokenRead>
}

const claimsSchema = z.object({
  sub: z.string().min(1),
  client_id: z.string().min(1),
  act: z.strictObject({ sub: z.string().min(1) }),
  task: z.string().min(1),
  jti: z.string().min(1),
  exp: z.number(),
  iat: z.number(),
})

/** Makes and reads this broker's access tokens: one issuer, one audience, one key, one algorithm. */
export async function createTokens(own: {
  readonly issuer: string
  readonly audience: string
  readonly key: KeyPair
}): Promise<Tokens> {
  const { issuer, audience, key } = own
  const signingKey = await importJWK({ ...key.jwk }, key.algorithm)
  const publicKey = await importJWK({ ...key.publicKey }, key.algorithm)

  const check = async (token: string, at: number): Promise<TokenRead> => {
    try {
      const { payload } = await jwtVerify(token, pick, {
        algorithms: [key.algorithm],
        typ: 'at+jwt',
        issuer,
        audience,
        requiredClaims: ['exp', 'iat', 'jti', 'sub', 'client_id', 'task'],
        maxTokenAge: tokenSeconds,
        clockTolerance: tolerance,
        currentDate: new Date(at),
      })
      return claimsOf(payload)
    } catch (problem) {
      return problemOf(problem)
    }
  }
  const pick = (header: { readonly kid?: string | undefined }) => {
    if (header.kid !== key.kid) throw new errors.JWKSNoMatchingKey()
    return publicKey
  }

  return {
    issuer,
    async mint({ agent, owner, task, now }) {
      const issued = Math.floor(now / 1000)
      const token = await new SignJWT({ client_id: agent, task, act: { sub: agent } })
        .setProtectedHeader({ alg: key.algorithm, typ: 'at+jwt', kid: key.kid })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(owner)
        .setJti(randomUUID())
        .setIssuedAt(issued)
        .setExpirationTime(issued + tokenSeconds)
        .sign(signingKey)
      return { token, expiresIn: tokenSeconds }
    },
    read: check,
    async readEnded(token, now) {
      const read = await check(token, now)
      if (read.ok || read.problem !== 'expired') return read
      // The signature held; only the time was over. Read it as of the moment it was made.
      return check(token, issuedAt(token) * 1000)
    },
  }
}

function claimsOf(payload: unknown): TokenRead {
  const parsed = claimsSchema.safeParse(payload)
  if (!parsed.success || parsed.data.act.sub !== parsed.data.client_id) {
    return { ok: false, problem: 'malformed', detail: 'the claims are not those of a task token' }
  }
  const { sub, client_id, task, jti, exp } = parsed.data
  return { ok: true, claims: { agent: client_id, owner: sub, task, tokenId: jti, expiresAt: exp * 1000 } }
}

function issuedAt(token: string): number {
  const payload = z
    .object({ iat: z.number() })
    .safeParse(JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()))
  return payload.success ? payload.data.iat : 0
}

/** Maps what `jose` found to a problem. Never quotes the token. Rethrows what is no finding about the token. */
export function problemOf(problem: unknown): {
  readonly ok: false
  readonly problem: TokenProblem
  readonly detail: string
} {
  const found = (kind: TokenProblem, detail: string) => ({ ok: false, problem: kind, detail }) as const
  if (problem instanceof errors.JWTExpired) return found('expired', 'the token has expired')
  if (problem instanceof errors.JWTClaimValidationFailed) {
    if (problem.claim === 'aud') return found('wrong-audience', 'the token is for another audience')
    if (problem.claim === 'iss') return found('unknown-issuer', 'the issuer is not the expected one')
    if (problem.claim === 'nbf' || (problem.claim === 'iat' && problem.reason === 'check_failed')) {
      return found('not-yet-valid', 'the token is from the future; compare the clocks')
    }
    return found('malformed', `\`${problem.claim}\` is not as expected`)
  }
  if (problem instanceof errors.JWTInvalid || problem instanceof errors.JWSInvalid)
    return found('malformed', 'not a signed token')
  if (problem instanceof errors.JOSEAlgNotAllowed)
    return found('bad-signature', 'the algorithm is not one that is accepted')
  if (problem instanceof errors.JWKSNoMatchingKey || problem instanceof errors.JWKSMultipleMatchingKeys) {
    return found('bad-signature', 'no single known key has this `kid`')
  }
  if (problem instanceof errors.JWSSignatureVerificationFailed)
    return found('bad-signature', 'the signature does not hold')
  if (problem instanceof errors.JOSENotSupported)
    return found('bad-signature', 'the token uses something unsupported')
  throw problem
}
