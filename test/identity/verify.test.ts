import { describe, it } from 'node:test'
import { createHmac } from 'node:crypto'
import { importJWK, SignJWT, UnsecuredJWT } from 'jose'
import { join } from 'node:path'
import { writeFile } from 'node:fs/promises'
import assert from 'node:assert/strict'
import { createIssuer, type IssuerConfig } from '../../src/identity/issuer.ts'
import { createKey, type KeyPair } from '../../src/identity/key.ts'
import { createTokens } from '../../src/identity/token.ts'
import { createVerifier } from '../../src/identity/verify.ts'
import { agentWith, movableClock, scratch } from './scratch.ts'
import type { Agent } from '../../src/identity/caller.ts'
import type { Issuer } from '../../src/identity/issuer.ts'

const issuer = 'http://127.0.0.1:7316'
const audience = 'http://127.0.0.1:7316/mcp'

async function world(
  more: {
    readonly agent?: Partial<Agent>
    readonly issuers?: readonly Issuer[]
    readonly cacheSize?: number
  } = {},
) {
  const key = createKey()
  const clock = movableClock()
  const steady = { now: 0 }
  const tokens = await createTokens({ issuer, audience, key })
  const agent = agentWith(createKey().publicKey, more.agent)
  const asked: string[] = []
  const verifier = createVerifier({
    tokens,
    issuers: more.issuers ?? [],
    agent: (name) => {
      asked.push(name)
      return Promise.resolve(name === agent.name ? agent : null)
    },
    sessions: { holds: (id, name) => id === 'o_inside' && name === 'operator' },
    monotonic: () => steady.now,
    ...(more.cacheSize === undefined ? {} : { cacheSize: more.cacheSize }),
  })
  const verify = (token: string) => verifier.verify({ kind: 'bearer', token }, clock.now())
  const mint = async (task = 't_1') =>
    (await tokens.mint({ agent: 'coder', owner: 'owner', task, now: clock.now() })).token
  return { key, clock, steady, tokens, verifier, verify, mint, asked }
}

async function forged(
  key: KeyPair,
  claims: { readonly [name: string]: unknown },
  header: { readonly [name: string]: string } = {},
) {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: key.algorithm, typ: 'at+jwt', kid: key.kid, ...header })
    .sign(await importJWK({ ...key.jwk }, key.algorithm))
}

const claimsAt = (now: number) => {
  const at = Math.floor(now / 1000)
  return {
    iss: issuer,
    aud: audience,
    sub: 'owner',
    client_id: 'coder',
    act: { sub: 'coder' },
    task: 't_1',
    jti: 'j',
    iat: at,
    exp: at + 300,
  }
}

describe('a task token', () => {
  it('says who asks, for whom and in which task', async () => {
    const { verify, mint } = await world()
    const found = await verify(await mint())
    assert.equal(found.ok && found.caller.name, 'coder')
    assert.equal(found.ok && found.caller.onBehalfOf, 'owner')
    assert.equal(found.ok && found.caller.task, 't_1')
    assert.equal(found.ok && found.caller.proven, 'task-token')
  })

  it('signed by another key, or naming another key, is refused', async () => {
    const { verify, key, clock } = await world()
    const other = createKey()
    const claims = claimsAt(clock.now())
    for (const token of [
      await forged(other, claims),
      await forged(other, claims, { kid: key.kid }),
      await forged(key, claims, { kid: 'other' }),
    ]) {
      const found = await verify(token)
      assert.equal(!found.ok && found.problem, 'bad-signature')
    }
    assert.equal((await verify(await forged(key, claims))).ok, true)
  })

  it('unsigned, or signed with the public key as a shared secret, is refused', async () => {
    const { verify, key, clock } = await world()
    const claims = claimsAt(clock.now())
    assert.equal((await verify(new UnsecuredJWT(claims).encode())).ok, false)
    const parts = [{ alg: 'HS256', typ: 'at+jwt', kid: key.kid }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    for (const secret of [
      Buffer.from(key.publicKey['x'] ?? '', 'base64url'),
      JSON.stringify(key.publicKey),
    ]) {
      const mac = createHmac('sha256', secret).update(parts).digest('base64url')
      const found = await verify(`${parts}.${mac}`)
      assert.equal(!found.ok && found.problem, 'bad-signature')
    }
  })

  const changes: readonly (readonly [string, { readonly [name: string]: unknown }, string])[] = [
    ['for another audience', { aud: 'http://elsewhere/mcp' }, 'wrong-audience'],
    ['of another issuer', { iss: 'https://elsewhere' }, 'unknown-issuer'],
    ['of an agent that is not registered', { client_id: 'x', act: { sub: 'x' } }, 'unknown-subject'],
    ['whose actor is not its client', { act: { sub: 'other' } }, 'malformed'],
    ['of an agent that works for another person now', { sub: 'somebody' }, 'unknown-subject'],
    ['without a task', { task: undefined }, 'malformed'],
    ['without a name of its own', { jti: undefined }, 'malformed'],
    ['that never ends', { exp: undefined }, 'malformed'],
  ]
  for (const [what, change, problem] of changes) {
    it(`${what} is refused`, async () => {
      const { verify, key, clock } = await world()
      const claims = Object.fromEntries(
        Object.entries({ ...claimsAt(clock.now()), ...change }).filter(([, value]) => value !== undefined),
      )
      const found = await verify(await forged(key, claims))
      assert.equal(!found.ok && found.problem, problem)
    })
  }

  it('of another type is refused, though the signature holds', async () => {
    const { verify, key, clock } = await world()
    for (const typ of ['JWT', 'dpop+jwt', 'logout+jwt'])
      assert.equal((await verify(await forged(key, claimsAt(clock.now()), { typ }))).ok, false)
  })

  it('lives five minutes whatever it says of itself', async () => {
    const { verify, key, clock } = await world()
    const token = await forged(key, {
      ...claimsAt(clock.now()),
      exp: Math.floor(clock.now() / 1000) + 86_400,
    })
    clock.move(306_000)
    const found = await verify(token)
    assert.equal(!found.ok && found.problem, 'expired')
  })

  it('is not valid before its time', async () => {
    const { verify, mint, clock } = await world()
    const token = await mint()
    clock.move(-60_000)
    const found = await verify(token)
    assert.equal(!found.ok && found.problem, 'not-yet-valid')
  })

  it('is remembered, but never past its end', async () => {
    const { verify, mint, clock, asked } = await world()
    const token = await mint()
    await verify(token)
    await verify(token)
    assert.deepEqual(asked, ['coder'])
    clock.move(300_000)
    const found = await verify(token)
    assert.equal(!found.ok && found.problem, 'expired')
  })

  it('that has expired stays expired when the clock jumps back', async () => {
    const { verify, mint, clock } = await world()
    const [seen, fresh] = [await mint(), await mint('t_2')]
    await verify(seen)
    clock.move(400_000)
    assert.equal((await verify(seen)).ok, false)
    assert.equal((await verify(fresh)).ok, false)
    clock.move(-400_000)
    assert.equal((await verify(seen)).ok, false)
    assert.equal((await verify(fresh)).ok, false)
  })

  it('does not live longer because the clock jumped back while it was remembered', async () => {
    const { verify, mint, clock, steady } = await world()
    const token = await mint()
    await verify(token)
    clock.move(-200_000)
    steady.now += 301_000
    assert.equal((await verify(token)).ok, false)
  })

  it('the memory is bounded: the one used longest ago is verified anew', async () => {
    const { verify, mint, asked } = await world({ cacheSize: 2 })
    const [a, b, c] = [await mint('t_a'), await mint('t_b'), await mint('t_c')]
    for (const token of [a, b, a, c, a, b]) await verify(token)
    assert.equal(asked.length, 4)
  })

  it('garbage, oversized and missing tokens are refused without a throw', async () => {
    const { verify, verifier, clock } = await world()
    for (const token of ['', 'x', 'a.b.c', `${'x'.repeat(9000)}.y.z`, 'eyJhbGciOiJFZERTQSJ9.e30.'])
      assert.equal((await verify(token)).ok, false)
    const none = await verifier.verify({ kind: 'none' }, clock.now())
    assert.equal(!none.ok && none.problem, 'missing')
  })

  it('whose time is over still names the task to close', async () => {
    const { tokens, mint, clock } = await world()
    const token = await mint()
    clock.move(3_600_000)
    assert.equal((await tokens.read(token, clock.now())).ok, false)
    const read = await tokens.readEnded(token, clock.now())
    assert.equal(read.ok && read.claims.task, 't_1')
    assert.equal((await tokens.readEnded(`${token.slice(0, -4)}AAAA`, clock.now())).ok, false)
  })
})

describe('an operator', () => {
  it('is a caller only while the door has them inside', async () => {
    const { verifier, clock } = await world()
    const operator = { kind: 'operator', name: 'operator', task: 't_1' } as const
    const inside = await verifier.verify({ ...operator, sessionId: 'o_inside' }, clock.now())
    assert.equal(inside.ok && inside.caller.kind, 'person')
    assert.equal((await verifier.verify({ ...operator, sessionId: 'o_made_up' }, clock.now())).ok, false)
    assert.equal(
      (await verifier.verify({ ...operator, name: 'boss', sessionId: 'o_inside' }, clock.now())).ok,
      false,
    )
  })
})

describe('a token of a configured issuer', () => {
  const foreign = 'https://issuer.example'
  async function issuerWorld(more: Partial<IssuerConfig> = {}) {
    const folder = await scratch()
    const key = createKey()
    await writeFile(
      join(folder, 'keys.json'),
      JSON.stringify({ keys: [{ ...key.publicKey, kid: key.kid, alg: 'EdDSA' }] }),
    )
    const config: IssuerConfig = {
      issuer: foreign,
      audience: 'countersign',
      jwks: 'keys.json',
      algorithms: ['ES256', 'EdDSA'],
      claims: { groups: ['agents'] },
      agentClaim: 'azp',
      agents: ['coder'],
      ...more,
    }
    const made = await world({ issuers: [await createIssuer(config, folder)] })
    const claims = (change = {}) => ({
      iss: foreign,
      aud: 'countersign',
      azp: 'coder',
      groups: ['x', 'agents'],
      task: 't_9',
      exp: Math.floor(made.clock.now() / 1000) + 60,
      ...change,
    })
    return { ...made, issuerKey: key, claims, folder, config }
  }

  it('names a registered agent and a task', async () => {
    const { verify, issuerKey, claims } = await issuerWorld()
    const found = await verify(await forged(issuerKey, claims(), { typ: 'JWT' }))
    assert.deepEqual(
      found.ok && [
        found.caller.name,
        found.caller.task,
        found.caller.proven,
        found.caller.issuer,
        found.caller.onBehalfOf,
      ],
      ['coder', 't_9', 'issuer-token', foreign, 'owner'],
    )
  })

  const wrong: readonly (readonly [string, { readonly [name: string]: unknown }])[] = [
    ['that names no task', { task: undefined }],
    ['that breaks a claim rule', { groups: ['x'] }],
    ['without the claim that a rule names', { groups: undefined }],
    ['for another audience', { aud: 'other' }],
    ['that has expired', { exp: 1 }],
    ['without an end', { exp: undefined }],
    ['of an unknown agent', { azp: 'nobody' }],
  ]
  for (const [what, change] of wrong) {
    it(`${what} is refused`, async () => {
      const { verify, issuerKey, claims } = await issuerWorld()
      const kept = Object.fromEntries(
        Object.entries(claims(change)).filter(([, value]) => value !== undefined),
      )
      assert.equal((await verify(await forged(issuerKey, kept))).ok, false)
    })
  }

  it('speaks for the agents that it is configured for, and for no other registered one', async () => {
    const { verify, issuerKey, claims } = await issuerWorld({ agents: ['another'] })
    const found = await verify(await forged(issuerKey, claims(), { typ: 'JWT' }))
    assert.ok(!found.ok)
    assert.match(found.detail, /may not speak for `coder`/)
  })

  it('cannot speak for the broker, nor the broker for it', async () => {
    const { verify, issuerKey, key, claims, clock } = await issuerWorld()
    assert.equal((await verify(await forged(issuerKey, claimsAt(clock.now())))).ok, false)
    assert.equal((await verify(await forged(key, claims()))).ok, false)
  })

  it('with a type for another purpose, or none, is refused', async () => {
    const { verify, issuerKey, claims } = await issuerWorld()
    for (const typ of ['dpop+jwt', 'secevent+jwt', ''])
      assert.equal((await verify(await forged(issuerKey, claims(), { typ }))).ok, false)
  })

  it('keys come over https or from a file, and a shared secret is no key', async () => {
    const { folder, config } = await issuerWorld()
    await assert.rejects(
      createIssuer({ ...config, jwks: 'http://issuer.example/keys' }, folder),
      /expected an https URL or a file/,
    )
    await writeFile(join(folder, 'secret.json'), JSON.stringify({ keys: [{ kty: 'oct', k: 'c2VjcmV0' }] }))
    await assert.rejects(createIssuer({ ...config, jwks: 'secret.json' }, folder), /expected public keys/)
  })
})
