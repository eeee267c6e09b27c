import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { configSchema } from '../../src/config/schema.ts'
import { createServer } from 'node:net'
import { decodeJwt } from 'jose'
import { describe, test, type TestContext } from 'node:test'
import { join } from 'node:path'
import { keyNames, keysSetting, KeysDiffer, loadKeys, settleKeys } from '../../src/compose/keys.ts'
import { loadAgentKey } from '../../src/identity/key.ts'
import { request } from 'node:http'
import { signProof } from '../../src/identity/proof.ts'
import { startBroker, type Broker } from '../../src/broker.ts'
import { tmpdir } from 'node:os'
import type { JsonObject } from '../../src/lib/json.ts'
import type { SettingStore } from '../../src/store/ports.ts'

const folder = async (t: TestContext): Promise<string> => {
  const made = await mkdtemp(join(tmpdir(), 'countersign-keys-'))
  t.after(() => rm(made, { recursive: true, force: true }))
  return made
}

describe('keys in a folder of their own', () => {
  test('are all there, and `operator.token` with them; nothing of them is in the home folder', async (t) => {
    const at = await folder(t)
    const config = configSchema.parse({
      home: join(at, 'home'),
      keys: join(at, 'keys'),
      operator: 'operator',
    })
    await loadKeys(config)
    assert.deepEqual((await readdir(config.keys ?? '')).toSorted(), [
      'broker.key',
      'log.pem',
      'operator.token',
      'seal.key',
      'token.jwk',
    ])
    const broker = await startBroker(
      { config, file: null, base: at, digest: 'sha256:test' },
      { ports: { agents: 0, operators: 0 } },
    )
    await broker.close()
    const left = await readdir(config.home)
    assert.ok(!left.includes('keys') && !left.includes('operator.token'), left.join(' '))
  })

  test('are only read when they are there: nothing in the folder changes', async (t) => {
    const keys = join(await folder(t), 'keys')
    const config = configSchema.parse({ home: '/nonexistent', keys })
    const first = keyNames(await loadKeys(config))
    const before = await stat(keys)
    await chmod(keys, 0o500)
    assert.deepEqual(keyNames(await loadKeys(config)), first)
    assert.equal((await stat(keys)).mtimeMs, before.mtimeMs)
    await chmod(keys, 0o700)
  })

  test('one that is broken is named, and nothing of it is quoted', async (t) => {
    const keys = join(await folder(t), 'keys')
    const config = configSchema.parse({ home: '/nonexistent', keys })
    await loadKeys(config)
    await writeFile(join(keys, 'log.pem'), '-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n')
    await assert.rejects(loadKeys(config), (problem: unknown) => {
      assert.ok(problem instanceof Error)
      assert.match(problem.message, /log\.pem/)
      assert.doesNotMatch(problem.message, /secret/)
      return true
    })
  })
})

describe('the keys that a store knows', () => {
  /** A store of settings, with the nodes that have a heartbeat. */
  const settings = (living: readonly string[] = []) => {
    const kept = new Map<string, JsonObject>()
    const entries: string[] = []
    const store: SettingStore = {
      get: async (name) => kept.get(name) ?? null,
      put: async (name, value, entry) => {
        kept.set(name, value)
        if (entry !== null) entries.push(Buffer.from(entry).toString())
      },
      beat: async () => undefined,
      beats: async () => [],
      living: async () => living,
    }
    return { store, kept, entries }
  }
  const database = { store: configSchema.parse({ store: { postgres: 'postgres://u@h/d' } }).store }
  const given = async (t: TestContext, store: SettingStore, config: object = {}) => ({
    config,
    keys: await loadKeys({ home: await folder(t) }),
    store: { settings: store },
    acts: (act: object) => Buffer.from(JSON.stringify(act)),
    clock: { now: () => 0 },
  })

  test('are remembered by names that lead back to none of them', async (t) => {
    const { store, kept, entries } = settings()
    const parts = await given(t, store)
    await settleKeys(parts)
    assert.deepEqual(kept.get(keysSetting), { ...keyNames(parts.keys) })
    assert.deepEqual(entries, [])
    for (const secret of [parts.keys.operator, Buffer.from(parts.keys.fingerprint).toString('base64url')])
      assert.ok(!JSON.stringify([...kept.values()]).includes(secret.slice(0, 16)))
  })

  test('a node that is alone may bring others, and the log says which', async (t) => {
    const { store, entries } = settings()
    const first = await given(t, store)
    await settleKeys(first)
    const second = await given(t, store)
    await settleKeys({ ...second, keys: { ...second.keys, operator: first.keys.operator } })
    assert.deepEqual(JSON.parse(entries[0] ?? '{}').detail, { changed: ['seal', 'token', 'log', 'broker'] })
  })

  test('a node with other keys does not start beside living ones', async (t) => {
    const { store, kept } = settings(['b_other'])
    const first = await given(t, store, database)
    await settleKeys(first)
    await assert.rejects(settleKeys(await given(t, store, database)), KeysDiffer)
    assert.deepEqual(kept.get(keysSetting), { ...keyNames(first.keys) })
    await settleKeys(first)
  })
})

describe('the address that agents know', () => {
  test('is what tokens are issued for, and its host is served beside loopback names', async (t) => {
    const at = await folder(t)
    const agentsUrl = 'https://tools.example.com'
    const config = configSchema.parse({
      home: join(at, 'home'),
      operator: 'operator',
      listen: { agents: '127.0.0.1:0', operators: '127.0.0.1:0', agentsUrl },
      agents: { coder: {} },
    })
    const port = await freePort()
    const broker = await startBroker(
      { config, file: null, base: at, digest: 'sha256:test' },
      { ports: { agents: port, operators: 0 } },
    )
    try {
      await askAsAgent({ broker, port, home: config.home, agentsUrl })
    } finally {
      await broker.close()
    }
  })
})

async function askAsAgent(given: {
  readonly broker: Broker
  readonly port: number
  readonly home: string
  readonly agentsUrl: string
}): Promise<void> {
  const { broker, port, home, agentsUrl } = given
  await broker.listed
  assert.equal(broker.urls.agents, agentsUrl)
  assert.equal(await status(port, 'tools.example.com'), 401)
  assert.equal(await status(port, `127.0.0.1:${port}`), 401)
  assert.equal(await status(port, 'evil.example.com'), 403)
  const key = await loadAgentKey(home, 'coder')
  // Proves itself to the name, and comes in by the address of this one node, as through a balancer.
  const proof = await signProof({ agent: 'coder', key, audience: `${agentsUrl}/token`, now: Date.now() })
  const answer = await fetch(`http://127.0.0.1:${port}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      authorization_details: JSON.stringify([{ type: 'task' }]),
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: proof,
    }),
  })
  const body: unknown = await answer.json()
  assert.ok(typeof body === 'object' && body !== null && 'access_token' in body, JSON.stringify(body))
  const { iss, aud } = decodeJwt(String(body.access_token))
  assert.deepEqual({ iss, aud }, { iss: agentsUrl, aud: agentsUrl })
}

const freePort = async (): Promise<number> => {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', () => done()))
  const address = server.address()
  await new Promise((done) => server.close(done))
  return typeof address === 'object' && address !== null ? address.port : 0
}

const status = (port: number, host: string): Promise<number | undefined> =>
  new Promise((done, fail) => {
    const asked = request({ host: '127.0.0.1', port, path: '/mcp', method: 'POST', headers: { host } })
    asked.on('response', (answer) => {
      answer.resume()
      done(answer.statusCode)
    })
    asked.on('error', fail)
    asked.setHeader('content-type', 'application/json')
    asked.setHeader('accept', 'application/json, text/event-stream')
    asked.end('{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
  })
