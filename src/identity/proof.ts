import { decodeJwt, errors, importJWK, jwtVerify, SignJWT, type JWTPayload } from 'jose'
import { randomUUID } from 'node:crypto'
import { algorithmOf, type KeyPair } from './key.ts'
import type { Agent } from './caller.ts'
import type { Clock } from '../lib/clock.ts'
import type { AgentStore } from '../store/ports.ts'

/** How long a proof may be valid, in seconds: long enough for a slow start, too short to be worth stealing. */
const longest = 60
const tolerance = 5
const largestProof = 4096

/**
 * Proves that this process holds the agent's key: a JWT client assertion (RFC 7523 section 3) with `iss` = `sub` = the
 * agent, `aud` = the token endpoint, a fresh `jti`, and an end within 60 seconds.
 */
export async function signProof(proof: {
  readonly agent: string
  readonly key: KeyPair
  readonly audience: string
  readonly now: number
}): Promise<string> {
  const issued = Math.floor(proof.now / 1000)
  return new SignJWT({})
    .setProtectedHeader({ alg: proof.key.algorithm, typ: 'JWT', kid: proof.key.kid })
    .setIssuer(proof.agent)
    .setSubject(proof.agent)
    .setAudience(proof.audience)
    .setJti(randomUUID())
    .setIssuedAt(issued)
    .setExpirationTime(issued + longest - tolerance)
    .sign(await importJWK({ ...proof.key.jwk }, proof.key.algorithm))
}

export type Proved =
  { readonly ok: true; readonly agent: Agent } | { readonly ok: false; readonly detail: string }

export type Proofs = { verify(assertion: string): Promise<Proved> }

/**
 * Checks proofs of agents. The key is the one registered for the name, never one that the proof brings along; the
 * algorithm follows from that key, so that a proof cannot choose a weaker one.
 */
export function createProofs(parts: {
  readonly audience: string
  readonly agent: (name: string) => Promise<Agent | null>
  /** Remembers proofs until they expire, so that each counts once. */
  readonly used: Pick<AgentStore, 'useProof'>
  readonly clock: Clock
}): Proofs {
  return {
    async verify(assertion) {
      const claimed = claimedAgent(assertion)
      if (claimed === null)
        return failed("expected a signed JWT with `iss` and `sub` set to the agent's name")
      const agent = await parts.agent(claimed)
      if (agent === null || agent.state !== 'active') return failed(`no active agent \`${claimed}\``)
      const now = parts.clock.now()
      const payload = await checkSignature(assertion, agent, parts.audience, now)
      if (typeof payload === 'string') return failed(payload)
      const { jti, exp } = payload
      if (!isText(jti) || jti.length > 128 || exp === undefined)
        return failed('expected a `jti` of at most 128 characters')
      if (exp * 1000 > now + (longest + tolerance) * 1000)
        return failed(`expected an end within ${longest} seconds`)
      // Last, so that only proofs that are good otherwise can fill the memory of used ones.
      // A whole number, as stores keep them; the claim may have a fraction (RFC 7519 section 2, NumericDate).
      const until = Math.ceil((exp + tolerance) * 1000)
      if (!(await parts.used.useProof({ agent: agent.name, id: jti, until, now })))
        return failed('this proof was used before')
      return { ok: true, agent }
    },
  }
}

/** The library says that it is a text; the proof says what its maker wrote. */
const isText = (value: unknown): value is string => typeof value === 'string'

const failed = (detail: string): Proved => ({ ok: false, detail })

/** What could be an agent's name. Others' text goes into the entry about the refusal, which not every character fits. */
const printable = /^[\x21-\x7e]{1,63}$/

/** Only to find the key. Nothing else is believed before the signature holds. */
function claimedAgent(assertion: string): string | null {
  if (assertion.length > largestProof) return null
  try {
    const { iss, sub } = decodeJwt(assertion)
    return typeof iss === 'string' && iss === sub && printable.test(iss) ? iss : null
  } catch {
    return null
  }
}

async function checkSignature(
  assertion: string,
  agent: Agent,
  audience: string,
  now: number,
): Promise<JWTPayload | string> {
  const algorithm = algorithmOf(agent.publicKey)
  try {
    const key = await importJWK({ ...agent.publicKey }, algorithm)
    const { payload } = await jwtVerify(assertion, key, {
      algorithms: [algorithm],
      issuer: agent.name,
      subject: agent.name,
      audience,
      requiredClaims: ['iat', 'exp', 'jti'],
      // Bounds `iat` on both sides.
      maxTokenAge: longest,
      clockTolerance: tolerance,
      currentDate: new Date(now),
    })
    return typeof payload.aud === 'string' ? payload : 'expected one audience, as text'
  } catch (problem) {
    if (problem instanceof errors.JWTExpired) return 'the proof has expired; compare the clocks'
    if (problem instanceof errors.JWTClaimValidationFailed)
      return `the claim \`${problem.claim}\` is not as expected`
    if (problem instanceof errors.JOSEError) return 'the signature is not that of the registered key'
    throw problem
  }
}
