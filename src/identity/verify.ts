import { hash } from 'node:crypto'
import { decodeJwt } from 'jose'
import type {
  Agent,
  Caller,
  Credential,
  Proof,
  Verification,
  VerificationProblem,
  Verifier,
} from './caller.ts'
import type { Issuer } from './issuer.ts'
import type { TokenRead, Tokens } from './token.ts'

const largestToken = 8192

/** `dead` stays after the end: a clock that jumps back brings no token back to life. */
type Cached = { readonly caller: Caller; readonly deadline: number } | 'dead'

/**
 * Verifies callers. What was found is kept by the token's SHA-256 digest, never beyond the token's end by the wall clock
 * nor by the monotonic one; whether it was revoked is asked at each call, elsewhere (`authenticate`).
 *
 * `sessions` says which operators the operators' door has proven just now: a made-up operator credential is refused.
 */
export function createVerifier(parts: {
  readonly tokens: Tokens
  readonly issuers: readonly Issuer[]
  readonly agent: (name: string) => Promise<Agent | null>
  readonly sessions: { holds(sessionId: string, name: string): boolean }
  readonly cacheSize?: number
  readonly monotonic?: () => number
}): Verifier {
  const monotonic = parts.monotonic ?? (() => performance.now())
  const cache = createCache(parts.cacheSize ?? 4096)

  const verifyToken = async (token: string, now: number): Promise<Verification> => {
    if (token.length > largestToken)
      return failed('malformed', `expected a token of at most ${largestToken} characters`)
    const digest = hash('sha256', token, 'base64url')
    const cached = cache.get(digest)
    if (cached === 'dead') return failed('expired', 'the token has expired')
    if (cached !== undefined) {
      if (now < cached.caller.expiresAt && monotonic() < cached.deadline)
        return { ok: true, caller: cached.caller }
      cache.set(digest, 'dead')
      return failed('expired', 'the token has expired')
    }
    const found = await readToken(parts, token, now)
    if (found.ok)
      cache.set(digest, {
        caller: found.caller,
        deadline: monotonic() + Math.max(0, found.caller.expiresAt - now),
      })
    else if (found.problem === 'expired') cache.set(digest, 'dead')
    return found
  }

  return {
    async verify(credential: Credential, now: number): Promise<Verification> {
      switch (credential.kind) {
        case 'none':
          return failed('missing', 'no token was sent')
        case 'bearer':
          return verifyToken(credential.token, now)
        case 'operator':
          return parts.sessions.holds(credential.sessionId, credential.name)
            ? { ok: true, caller: person(credential, parts.tokens.issuer, now) }
            : failed('unknown-subject', 'no operator was proven under this session')
      }
    },
  }
}

async function readToken(
  parts: Pick<Parameters<typeof createVerifier>[0], 'tokens' | 'issuers' | 'agent'>,
  token: string,
  now: number,
): Promise<Verification> {
  const claimed = claimedIssuer(token)
  if (claimed === null) return failed('malformed', 'not a signed token with an issuer')
  // The unproven `iss` only picks whose keys to check with; the check then insists on it.
  const own = claimed === parts.tokens.issuer
  const reader = own ? parts.tokens : parts.issuers.find(({ issuer }) => issuer === claimed)
  if (reader === undefined) return failed('unknown-issuer', 'the issuer is not configured')
  const read: TokenRead = await reader.read(token, now)
  if (!read.ok) return read
  const { claims } = read
  const agent = await parts.agent(claims.agent)
  if (agent === null || agent.state !== 'active')
    return failed('unknown-subject', `no active agent \`${claims.agent.slice(0, 63)}\``)
  if (own && agent.owner !== claims.owner)
    return failed('unknown-subject', 'the agent works for another person now')
  const proven: Proof = own ? 'task-token' : 'issuer-token'
  return {
    ok: true,
    caller: {
      kind: 'agent',
      name: agent.name,
      onBehalfOf: agent.owner,
      proven,
      issuer: claimed,
      task: claims.task,
      tokenId: claims.tokenId,
      expiresAt: claims.expiresAt,
    },
  }
}

const person = (
  operator: { readonly name: string; readonly task: string; readonly sessionId: string },
  issuer: string,
  now: number,
): Caller => ({
  kind: 'person',
  name: operator.name,
  onBehalfOf: operator.name,
  proven: 'operator',
  issuer,
  task: operator.task,
  tokenId: operator.sessionId,
  expiresAt: now + 60_000,
})

function claimedIssuer(token: string): string | null {
  try {
    const { iss } = decodeJwt(token)
    return typeof iss === 'string' ? iss : null
  } catch {
    return null
  }
}

const failed = (problem: VerificationProblem, detail: string): Verification => ({
  ok: false,
  problem,
  detail,
})

/** Least recently used first out. Only tokens whose signature held come in, so strangers cannot push others out. */
function createCache(size: number) {
  const entries = new Map<string, Cached>()
  return {
    get(digest: string): Cached | undefined {
      const found = entries.get(digest)
      if (found === undefined) return undefined
      entries.delete(digest)
      entries.set(digest, found)
      return found
    },
    set(digest: string, value: Cached): void {
      entries.delete(digest)
      entries.set(digest, value)
      if (entries.size > size) for (const oldest of entries.keys()) return void entries.delete(oldest)
    },
  }
}
