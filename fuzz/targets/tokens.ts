import { createIssuer } from '../../src/identity/issuer.ts'
import { createKey } from '../../src/identity/key.ts'
import { createProofs } from '../../src/identity/proof.ts'
import { createRing, forge, publicJwk, type Forged, type Ring } from '../forge.ts'
import { createTokens } from '../../src/identity/token.ts'
import { createVerifier } from '../../src/identity/verify.ts'
import { isJsonObject, type Json, type JsonObject } from '../../src/lib/json.ts'
import { join } from 'node:path'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { parseIJson } from '../../src/lib/ijson.ts'
import { tmpdir } from 'node:os'
import { bytes, hold, type Target } from '../target.ts'
import type { Agent } from '../../src/identity/caller.ts'

const seconds = 1_800_000_000
const now = seconds * 1000
const issuer = 'http://127.0.0.1:7316'
const other = 'https://issuer.example'
const endpoint = `${issuer}/token`

/**
 * Tokens and proofs, put together by somebody who may hold any key but signs what he likes: taken are exactly those that
 * a few plain sentences allow. `{"key", "header", "payload"}`, see `forge.ts`; or the bytes of a token.
 */
export async function open(): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-fuzz-'))
  const [own, agent] = [createKey(), createKey()]
  const ring = createRing(own, agent)
  writeFileSync(join(folder, 'keys.json'), JSON.stringify({ keys: ['issuer', 'rsa'].flatMap((name) => (ring[name] === undefined ? [] : [publicJwk(ring[name])])) })) // prettier-ignore
  const tokens = await createTokens({ issuer, audience: issuer, key: own })
  const trusted = await createIssuer({ issuer: other, audience: 'countersign', jwks: 'keys.json', algorithms: ['ES256', 'EdDSA', 'RS256'], claims: { env: 'prod', groups: ['ops', 'dev'] }, agentClaim: 'sub', agents: ['coder', 'revoked'] }, folder) // prettier-ignore
  const agents = async (name: string): Promise<Agent | null> => registered(name, agent.publicKey)
  const verifier = createVerifier({
    tokens,
    issuers: [trusted],
    agent: agents,
    sessions: { holds: () => false },
  })
  const { token: minted } = await tokens.mint({ agent: 'coder', owner: 'owner', task: 't_1', now })
  return {
    atOnce: 1,
    json: true,
    most: 6000,
    words,
    seeds: [
      ...seeds().map((seed) => bytes(JSON.stringify(seed))),
      bytes(minted),
      bytes(`${minted}.${minted}`),
    ],
    async run(input) {
      const raw = Buffer.from(input).toString('latin1')
      const read = await verifier.verify({ kind: 'bearer', token: raw }, now)
      hold(!read.ok || sameToken(raw, minted), 'bytes that are taken for a token are that token')
      const parsed = parseIJson(input)
      const forged = parsed.ok && isJsonObject(parsed.value) ? forge(ring, fill(parsed.value, ring)) : null
      if (forged === null) return
      await judge(verifier, forged, ring)
      await ended(tokens, forged)
      await prove(forged, agents)
    },
    async close() {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** `$own` in a `kid` is the fingerprint of that key: fresh in each run. */
const fill = (order: JsonObject, ring: Ring): JsonObject =>
  JSON.parse(
    JSON.stringify(order).replace(
      /\$(own|agent)(?![A-Za-z])/g,
      (all, name: string) => ring[name]?.kid ?? all,
    ),
  )

function registered(name: string, publicKey: Agent['publicKey']): Agent | null {
  if (name !== 'coder' && name !== 'revoked' && name !== 'lent') return null
  const template = { purposeClass: 'general', environment: 'development', tools: ['*'], budget: {}, lifetimeMs: 1, idleMs: 0 } // prettier-ignore
  const state = name === 'revoked' ? 'revoked' : 'active'
  return { name, owner: name === 'lent' ? 'somebody' : 'owner', publicKey, state, createdAt: 0, template }
}

/** One signature has several spellings in base64url; a different one of those is no other token. */
function sameToken(a: string, b: string): boolean {
  const [head, body, signature = '', ...rest] = a.split('.')
  const [head2, body2, signature2 = ''] = b.split('.')
  const same = Buffer.from(signature, 'base64url').equals(Buffer.from(signature2, 'base64url'))
  return head === head2 && body === body2 && same && rest.length === 0
}

async function judge(verifier: ReturnType<typeof createVerifier>, forged: Forged, ring: Ring): Promise<void> {
  const found = await verifier.verify({ kind: 'bearer', token: forged.token }, now)
  const should = isOwn(forged, ring) || isTrusted(forged, ring)
  const shown = (): string => JSON.stringify([found, forged.by, forged.header, forged.payload])
  if (found.ok) hold(should, 'a token that is taken is one that should be', shown)
  else hold(!should, 'a token that should be taken is', shown)
  if (!found.ok) hold(!found.detail.includes(forged.token), 'a problem does not quote the token')
  if (found.ok)
    hold(found.caller.name === 'coder' || found.caller.name === 'lent', 'the caller is an active agent')
}

const isText = (value: Json | undefined): value is string => typeof value === 'string' && value !== ''
const isNumber = (value: Json | undefined): value is number => typeof value === 'number'

/** RFC 7515: what is critical must be understood, and we understand nothing of it. `b64` changes what is signed. */
const plainHeader = (header: JsonObject): boolean => !Object.hasOwn(header, 'crit')

const hasAudience = (aud: Json | undefined, wanted: string): boolean =>
  aud === wanted || (Array.isArray(aud) && aud.includes(wanted))

/** `nbf` and `iat` not in the future, `exp` not in the past, five seconds either way. */
function inTime({ exp, nbf, iat }: JsonObject, age: number | null): boolean {
  if (!isNumber(exp) || !(exp > seconds - 5)) return false
  if (nbf !== undefined && (!isNumber(nbf) || nbf > seconds + 5)) return false
  if (age === null) return iat === undefined || isNumber(iat)
  return isNumber(iat) && iat <= seconds + 5 && seconds - iat <= age + 5
}

const typeOf = (typ: Json | undefined): string => (typeof typ === 'string' ? typ.toLowerCase() : '')

function isOwn({ by, header, payload }: Forged, ring: Ring): boolean {
  const { sub, client_id: agent, act, task, jti, iss, aud } = payload
  return (
    by === 'own' && header['alg'] === 'EdDSA' && header['kid'] === ring['own']?.kid && plainHeader(header) &&
    ['at+jwt', 'application/at+jwt'].includes(typeOf(header['typ'])) &&
    iss === issuer && hasAudience(aud, issuer) && inTime(payload, 300) && isText(jti) && isText(task) &&
    isJsonObject(act) && Object.keys(act).join() === 'sub' && act['sub'] === agent &&
    ((agent === 'coder' && sub === 'owner') || (agent === 'lent' && sub === 'somebody'))
  )
} // prettier-ignore

function isTrusted({ by, header, payload }: Forged, ring: Ring): boolean {
  const { sub, task, iss, aud, env, groups } = payload
  const signer = by === null ? undefined : ring[by]
  const { kid } = header
  // A key set is searched by algorithm, and by name when one is given.
  const kidFits = kid === undefined || kid === signer?.kid
  const isIn = (claim: Json | undefined, wanted: readonly string[]): boolean =>
    Array.isArray(claim) ? claim.some((one: Json) => isIn(one, wanted)) : typeof claim === 'string' && wanted.includes(claim)
  return (
    (by === 'issuer' || by === 'rsa') && header['alg'] === signer?.alg && kidFits && plainHeader(header) &&
    ['at+jwt', 'application/at+jwt', 'jwt'].includes(typeOf(header['typ'])) &&
    iss === other && hasAudience(aud, 'countersign') && inTime(payload, null) && sub === 'coder' &&
    isText(task) && isIn(env, ['prod']) && isIn(groups, ['ops', 'dev'])
  )
} // prettier-ignore

/** An agent may close its task with the last token it had, whenever that was; with nothing else. */
async function ended(tokens: Awaited<ReturnType<typeof createTokens>>, forged: Forged): Promise<void> {
  const read = await tokens.readEnded(forged.token, now)
  hold(!read.ok || forged.by === 'own', 'an ended token is one that was ours')
}

/** A memory of used proofs, as the store keeps one. */
function once(): { useProof(proof: { readonly agent: string; readonly id: string }): Promise<boolean> } {
  const used = new Set<string>()
  return {
    useProof: async ({ agent, id }) => {
      const key = JSON.stringify([agent, id])
      const isFirst = !used.has(key)
      used.add(key)
      return isFirst
    },
  }
}

async function prove(
  { token, by, header, payload }: Forged,
  agent: (name: string) => Promise<Agent | null>,
): Promise<void> {
  const proofs = createProofs({ audience: endpoint, agent, used: once(), clock: { now: () => now } })
  const proved = await proofs.verify(token)
  const { iss, sub, aud, jti, exp } = payload
  const should =
    by === 'agent' && header['alg'] === 'EdDSA' && plainHeader(header) && (iss === 'coder' || iss === 'lent') && sub === iss &&
    aud === endpoint && inTime(payload, 60) && typeof jti === 'string' && jti.length <= 128 && isNumber(exp) && exp <= seconds + 65 && token.length <= 4096 // prettier-ignore
  const shown = (): string => JSON.stringify([proved, by, header, payload])
  if (proved.ok) {
    hold(should, 'a proof that is taken is one that should be', shown)
    hold(!(await proofs.verify(token)).ok, 'a proof counts once')
  } else hold(!should, 'a proof that should be taken is', shown)
}

const words = ['alg', 'none', 'None', 'HS256', 'EdDSA', 'ES256', 'RS256', 'PS256', 'typ', 'at+jwt', 'JWT', 'dpop+jwt', 'application/at+jwt', 'kid', '$own', '$agent', 'issuer-1', 'issuer-2', '../../keys', 'jwk', 'jku', 'x5c', 'crit', 'b64', 'iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'act', 'client_id', 'task', 'env', 'prod', 'groups', 'ops', issuer, other, endpoint, 'countersign', 'coder', 'lent', 'revoked', 'owner', 'somebody', 't_1', 'key', 'own', 'agent', 'issuer', 'rsa', 'stranger', 'hmac', 'own:pem', 'own:jwk', 'own:raw', 'rsa:pem', 'tail', '.', '1800000000', '1800000300', '1799999700', '__proto__', 'enc', 'zip', 'cty'] // prettier-ignore

function seeds(): readonly Json[] {
  const header = { alg: 'EdDSA', typ: 'at+jwt', kid: '$own' }
  const payload = { iss: issuer, aud: issuer, sub: 'owner', client_id: 'coder', act: { sub: 'coder' }, task: 't_1', jti: 'j', iat: seconds, exp: seconds + 300 } // prettier-ignore
  const trusted = { iss: other, aud: ['countersign', 'x'], sub: 'coder', task: 't_1', env: 'prod', groups: ['dev'], exp: seconds + 60, iat: seconds } // prettier-ignore
  const proof = { iss: 'coder', sub: 'coder', aud: endpoint, jti: 'p', iat: seconds, exp: seconds + 55 }
  return [
    { key: 'own', header, payload },
    { key: 'agent', header: { alg: 'EdDSA' }, payload: { ...proof, jti: 5, exp: seconds + 5.5 } },
    { key: 'issuer', header: { alg: 'ES256', typ: 'JWT' }, payload: { ...trusted, jti: [''] } },
    { key: 'own', header, payload: { ...payload, iat: seconds - 400, exp: seconds - 100 } },
    { key: 'issuer', header: { alg: 'ES256', typ: 'JWT', kid: 'issuer-1' }, payload: trusted },
    {
      key: 'rsa',
      header: { alg: 'RS256', typ: 'at+jwt', kid: 'issuer-2' },
      payload: { ...trusted, jti: 'x' },
    },
    { key: 'agent', header: { alg: 'EdDSA', typ: 'JWT', kid: '$agent' }, payload: proof },
    { key: 'none', header: { alg: 'none', typ: 'at+jwt' }, payload },
    { hmac: 'own:raw', header: { ...header, alg: 'HS256' }, payload },
    { hmac: 'rsa:pem', header: { alg: 'HS256', typ: 'JWT', kid: 'issuer-2' }, payload: trusted },
    { key: 'agent', header: { ...header, kid: '$agent' }, payload },
    { key: 'stranger', header: { ...header, jwk: { kty: 'OKP', crv: 'Ed25519', x: 'AAAA' } }, payload },
    { key: 'own', header: { ...header, crit: ['b64'], b64: false }, payload },
    { key: 'own', header: '{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"$own"}', payload: JSON.stringify(payload).replace('"coder"', '"revoked"') }, // prettier-ignore
  ]
}
