import { createLocalJWKSet, createRemoteJWKSet, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { problemOf, tolerance, type TokenRead } from './token.ts'
import type { issuerSchema } from '../config/schema.ts'

export type IssuerConfig = z.infer<typeof issuerSchema>

/** Another issuer whose tokens are taken. Reads a token to the agent's registered name and the task it names. */
export type Issuer = {
  readonly issuer: string
  read(token: string, now: number): Promise<TokenRead>
}

const types = new Set(['at+jwt', 'application/at+jwt', 'jwt'])

/**
 * Makes a reader for a configured issuer. Keys come from a file (relative to `base`), or over https, fetched when first
 * needed, without following redirects, cached for ten minutes and fetched anew for an unknown `kid` at most every 30 s.
 * Throws when the key set is neither.
 */
export async function createIssuer(config: IssuerConfig, base: string): Promise<Issuer> {
  const keys = await keySet(config.jwks, base)
  return {
    issuer: config.issuer,
    async read(token, now) {
      try {
        const { payload, protectedHeader } = await jwtVerify(token, keys, {
          algorithms: [...config.algorithms],
          issuer: config.issuer,
          audience: config.audience,
          requiredClaims: ['exp', config.agentClaim],
          clockTolerance: tolerance,
          currentDate: new Date(now),
        })
        // Tokens of other purposes (DPoP proofs, logout tokens) may carry the same signature.
        if (!types.has(textOr(protectedHeader.typ).toLowerCase()))
          return malformed('expected the type `at+jwt` or `JWT`')
        return claimsOf(config, payload, token)
      } catch (problem) {
        return problemOf(problem)
      }
    },
  }
}

async function keySet(jwks: string, base: string): Promise<JWTVerifyGetKey> {
  if (/^https:\/\//i.test(jwks)) {
    return createRemoteJWKSet(new URL(jwks), {
      timeoutDuration: 5_000,
      cooldownDuration: 30_000,
      cacheMaxAge: 600_000,
    })
  }
  if (/^[a-z]+:\/\//i.test(jwks))
    throw new TypeError(`expected an https URL or a file for the key set, found \`${jwks}\``)
  const path = resolve(base, jwks)
  const parsed = keySetSchema.safeParse(JSON.parse(await readFile(path, 'utf8')))
  if (!parsed.success)
    throw new TypeError(`expected public keys as a JWK set (RFC 7517 section 5) in \`${path}\``)
  return createLocalJWKSet(parsed.data)
}

const keySetSchema = z.object({
  // A shared secret is no identity: whoever can check with it can sign with it.
  keys: z.array(z.looseObject({ kty: z.enum(['RSA', 'EC', 'OKP']) })).min(1),
})

function claimsOf(config: IssuerConfig, payload: JWTPayload, token: string): TokenRead {
  for (const [name, wanted] of Object.entries(config.claims)) {
    if (!allowed(payload[name], typeof wanted === 'string' ? [wanted] : wanted))
      return malformed(`the claim \`${name}\` is not one of those that are accepted`)
  }
  const agent = payload[config.agentClaim]
  if (typeof agent !== 'string' || agent === '')
    return malformed(`expected the agent's name in the claim \`${config.agentClaim}\``)
  // An issuer that could name any agent would be one key to all of them.
  if (!config.agents.includes(agent))
    return malformed(`this issuer may not speak for \`${agent.slice(0, 63)}\``)
  const task = payload['task']
  if (typeof task !== 'string' || task === '')
    return malformed('expected the id of an open task in the claim `task`')
  // Without a `jti` the token itself is its name, so that it can still be revoked.
  const tokenId = textOr(payload.jti) || createHash('sha256').update(token).digest('base64url')
  return { ok: true, claims: { agent, owner: '', task, tokenId, expiresAt: (payload.exp ?? 0) * 1000 } }
}

/** A claim that is a list holds a value when one of its members is it (as `groups` or `scope` lists do). */
const allowed = (claim: unknown, wanted: readonly string[]): boolean =>
  Array.isArray(claim)
    ? claim.some((one) => allowed(one, wanted))
    : typeof claim === 'string' && wanted.includes(claim)

/** The library says that these are texts; a signed token says what its issuer wrote. */
const textOr = (value: unknown): string => (typeof value === 'string' ? value : '')

const malformed = (detail: string): TokenRead => ({ ok: false, problem: 'malformed', detail })
