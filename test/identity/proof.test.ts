import { describe, it } from 'node:test'
import { importJWK, SignJWT, UnsecuredJWT } from 'jose'
import { createHmac } from 'node:crypto'
import assert from 'node:assert/strict'
import { createKey } from '../../src/identity/key.ts'
import { createProofs, signProof } from '../../src/identity/proof.ts'
import { agentWith, movableClock } from './scratch.ts'

const audience = 'http://127.0.0.1:7316/token'

function onceEach() {
  const used = new Set<string>()
  return { useProof: async ({ id }: { readonly id: string }) => used.size < used.add(id).size }
}

function world() {
  const key = createKey()
  const clock = movableClock()
  const agent = agentWith(key.publicKey)
  const proofs = createProofs({
    audience,
    agent: (name) => Promise.resolve(name === agent.name ? agent : null),
    used: onceEach(),
    clock,
  })
  const proof = (more: Partial<Parameters<typeof signProof>[0]> = {}) =>
    signProof({ agent: 'coder', key, audience, now: clock.now(), ...more })
  return { key, clock, proofs, proof }
}

async function signed(
  key: ReturnType<typeof createKey>,
  claims: { readonly [name: string]: unknown },
): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'EdDSA' })
    .sign(await importJWK({ ...key.jwk }, 'EdDSA'))
}

describe('a proof of an agent', () => {
  it('counts once', async () => {
    const { proofs, proof } = world()
    const assertion = await proof()
    assert.equal((await proofs.verify(assertion)).ok, true)
    assert.deepEqual(await proofs.verify(assertion), { ok: false, detail: 'this proof was used before' })
    assert.equal((await proofs.verify(await proof())).ok, true)
  })

  it('does not count for another endpoint, another name or another key', async () => {
    const { proofs, proof } = world()
    for (const more of [
      { audience: 'http://127.0.0.1:9999/token' },
      { agent: 'somebody' },
      { key: createKey() },
    ]) {
      assert.equal((await proofs.verify(await proof(more))).ok, false)
    }
  })

  it('has an end within a minute, and is over then', async () => {
    const { proofs, proof, clock, key } = world()
    const early = await proof()
    clock.move(66_000)
    assert.equal((await proofs.verify(early)).ok, false)
    const now = Math.floor(clock.now() / 1000)
    const long = await signed(key, {
      iss: 'coder',
      sub: 'coder',
      aud: audience,
      jti: 'x',
      iat: now,
      exp: now + 3600,
    })
    assert.deepEqual(await proofs.verify(long), { ok: false, detail: 'expected an end within 60 seconds' })
  })

  it('is not taken from the future', async () => {
    const { proofs, proof, clock } = world()
    assert.equal((await proofs.verify(await proof({ now: clock.now() + 30_000 }))).ok, false)
  })

  it('needs each of its claims', async () => {
    const { proofs, key, clock } = world()
    const now = Math.floor(clock.now() / 1000)
    const whole = { iss: 'coder', sub: 'coder', aud: audience, jti: 'x', iat: now, exp: now + 30 }
    for (const name of Object.keys(whole)) {
      const claims = Object.fromEntries(Object.entries(whole).filter(([claim]) => claim !== name))
      assert.equal((await proofs.verify(await signed(key, claims))).ok, false, `without ${name}`)
    }
    assert.equal((await proofs.verify(await signed(key, whole))).ok, true)
  })

  it('unsigned, or signed with the public key as a shared secret, proves nothing', async () => {
    const { proofs, key, clock } = world()
    const now = Math.floor(clock.now() / 1000)
    const claims = { iss: 'coder', sub: 'coder', aud: audience, jti: 'x', iat: now, exp: now + 30 }
    assert.equal((await proofs.verify(new UnsecuredJWT(claims).encode())).ok, false)
    const parts = [{ alg: 'HS256', typ: 'JWT' }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    const mac = createHmac('sha256', Buffer.from(key.publicKey['x'] ?? '', 'base64url'))
      .update(parts)
      .digest('base64url')
    assert.equal((await proofs.verify(`${parts}.${mac}`)).ok, false)
  })

  it('of an agent that was revoked does not count', async () => {
    const key = createKey()
    const clock = movableClock()
    const proofs = createProofs({
      audience,
      agent: () => Promise.resolve(agentWith(key.publicKey, { state: 'revoked' })),
      used: onceEach(),
      clock,
    })
    assert.equal(
      (await proofs.verify(await signProof({ agent: 'coder', key, audience, now: clock.now() }))).ok,
      false,
    )
  })
})
