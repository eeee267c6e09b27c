import { chmod, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import {
  agentKeyPath,
  createAgentKey,
  createKey,
  loadAgentKey,
  loadTokenKey,
  publicKeyOf,
} from '../../src/identity/key.ts'
import { scratch } from './scratch.ts'

describe('the key of an agent', () => {
  it('lies in a file that only its user can read', async () => {
    const home = await scratch()
    const made = await createAgentKey(home, 'coder')
    assert.equal((await stat(agentKeyPath(home, 'coder'))).mode & 0o777, 0o600)
    assert.equal((await stat(join(home, 'agents'))).mode & 0o777, 0o700)
    assert.deepEqual(await loadAgentKey(home, 'coder'), made)
    assert.equal('d' in made.publicKey, false)
  })

  it('is never replaced by making it again', async () => {
    const home = await scratch()
    await createAgentKey(home, 'coder')
    const before = await readFile(agentKeyPath(home, 'coder'), 'utf8')
    await assert.rejects(createAgentKey(home, 'coder'), {
      name: 'PrivateFileError',
      message: /exists already/,
    })
    assert.equal(await readFile(agentKeyPath(home, 'coder'), 'utf8'), before)
  })

  for (const mode of [0o640, 0o604, 0o620, 0o666]) {
    it(`is refused when its file is open to others (${mode.toString(8)})`, async () => {
      const home = await scratch()
      await createAgentKey(home, 'coder')
      await chmod(agentKeyPath(home, 'coder'), mode)
      await assert.rejects(loadAgentKey(home, 'coder'), { name: 'PrivateFileError', hint: /^chmod 600 / })
    })
  }

  it('is refused behind a link, so nobody can point it at another file', async () => {
    const home = await scratch()
    await createAgentKey(home, 'coder')
    await symlink(agentKeyPath(home, 'coder'), agentKeyPath(home, 'other'))
    await assert.rejects(loadAgentKey(home, 'other'), { message: /is a link/ })
  })

  it('is not quoted by the error when its file is broken', async () => {
    const home = await scratch()
    await createAgentKey(home, 'coder')
    await writeFile(agentKeyPath(home, 'coder'), '{"d":"very-secret-text"')
    await assert.rejects(
      loadAgentKey(home, 'coder'),
      (problem: Error) => !String(problem.stack).includes('very-secret-text'),
    )
  })

  it('a name cannot lead out of the folder', () => {
    for (const name of ['../operator', 'a/b', '', '.x', 'a__b', 'A', 'x'.repeat(64)])
      assert.throws(() => agentKeyPath('/home', name), { name: 'PrivateFileError' }, name)
  })

  it('the key for tokens is made once and kept', async () => {
    const home = await scratch()
    const [one, two] = await Promise.all([loadTokenKey(home), loadTokenKey(home)])
    assert.equal(one.kid, two.kid)
    assert.equal((await loadTokenKey(home)).kid, one.kid)
  })

  it('a public key is taken only with the members that count', () => {
    const { publicKey, jwk } = createKey()
    assert.deepEqual(publicKeyOf({ ...jwk, kid: 'chosen', alg: 'none' }), publicKey)
    for (const odd of [
      null,
      [],
      { kty: 'oct', k: 'x' },
      { kty: 'RSA', n: 'x', e: 'AQAB' },
      { kty: 'OKP', crv: 'X25519', x: publicKey['x'] },
      { kty: 'OKP', crv: 'Ed25519', x: 'short' },
    ]) {
      assert.equal(publicKeyOf(odd), null)
    }
  })
})
