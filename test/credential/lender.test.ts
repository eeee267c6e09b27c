import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { serverSchema } from '../../src/config/schema.ts'
import type { ServerConfig } from '../../src/config/schema.ts'
import type { Lease, LendProblem } from '../../src/credential/lease.ts'
import { createLenders, urlWith } from '../../src/credential/lender.ts'
import type { TaskLenders } from '../../src/credential/lender.ts'
import { lentSecrets, secretOf } from '../../src/credential/secret.ts'
import { createVault } from '../../src/credential/vault.ts'
import { StoreUnavailable } from '../../src/store/ports.ts'
import { memoryStore, owner, plainRecorder, testKey } from './fakes.ts'

type World = { lenders: TaskLenders; store: ReturnType<typeof memoryStore>; revoked: Set<string> }

async function world(
  servers: { readonly [name: string]: object },
  secrets: { readonly [name: string]: string },
): Promise<World> {
  const store = memoryStore()
  const clock = { now: () => 5000 }
  const vault = createVault({ store, key: testKey(), recorder: plainRecorder, broker: 'b_test', clock })
  for (const [name, text] of Object.entries(secrets)) await vault.set(name, secretOf(text), owner)
  const configs = new Map<string, ServerConfig>(
    Object.entries(servers).map(([name, config]) => [name, serverSchema.parse(config)]),
  )
  const revoked = new Set<string>()
  const revocations = { first: (keys: readonly string[]) => keys.find((key) => revoked.has(key)) ?? null }
  return {
    lenders: createLenders({ servers: (name) => configs.get(name), vault, store, revocations, clock }),
    store,
    revoked,
  }
}

const request = (server: string, task = 't_1') => ({ server, task, call: 'c_1', until: 9000, now: 5000 })

function lease(lent: Lease | LendProblem): Lease {
  assert.ok(!('problem' in lent), 'problem' in lent ? lent.detail : '')
  return lent
}

const servers = {
  github: { command: 'server', env: { TOKEN: 'secret:github', HOST: 'example.test' } },
  api: {
    url: 'https://api.example.test/mcp',
    headers: { Authorization: 'Bearer ${secret:api}', 'X-Plain': 'no' },
  },
  keyed: { url: 'https://api.example.test/mcp?key=${secret:api}' },
  open: { command: 'server', env: { HOST: 'secret-ish text' } },
}
const secrets = { github: 'gh-value-1', api: 'api value/1', unrelated: 'never-lent-1' }

test('a stdio server is lent its variables and nothing that its configuration does not name', async () => {
  const { lenders, store } = await world(servers, secrets)
  const lent = lease(await lenders.lend(request('github')))
  assert.deepEqual(Object.keys(lent.environment), ['TOKEN'])
  assert.equal(lent.environment['TOKEN']?.reveal(), 'gh-value-1')
  assert.deepEqual(lent.headers, {})
  assert.deepEqual([lent.secrets, lent.expiresAt], [['github'], 9000])
  assert.match(lent.id, /^l_[0-9A-Za-z]{22}$/)
  assert.equal(store.leases.get(lent.id)?.until, 9000)
})

test('an HTTP server is lent a header made around the secret', async () => {
  const { lenders } = await world(servers, secrets)
  const lent = lease(await lenders.lend(request('api')))
  assert.deepEqual(Object.keys(lent.headers), ['Authorization'])
  assert.equal(lent.headers['Authorization']?.reveal(), 'Bearer api value/1')
  assert.deepEqual(
    lentSecrets(lent).map(({ name }) => name),
    ['api'],
  )
})

test('a secret inside an address is filled in, encoded, at the last moment', async () => {
  const { lenders } = await world(servers, secrets)
  const lent = lease(await lenders.lend(request('keyed')))
  assert.equal(urlWith(servers.keyed.url, lent), 'https://api.example.test/mcp?key=api%20value%2F1')
})

test('a server that names no secret gets an empty lease and no row', async () => {
  const { lenders, store } = await world(servers, secrets)
  const lent = lease(await lenders.lend(request('open')))
  assert.deepEqual([lent.headers, lent.environment, lent.secrets], [{}, {}, []])
  assert.equal(store.leases.size, 0)
})

test('a missing secret, an unknown server, a revoked secret and a task at its end are no credential', async () => {
  const { lenders, store, revoked } = await world(servers, { api: 'x' })
  const missing = await lenders.lend(request('github'))
  assert.ok('problem' in missing && /`github`.*countersign secret set github/.test(missing.detail))
  assert.ok('problem' in (await lenders.lend(request('nobody'))))
  assert.ok('problem' in (await lenders.lend({ ...request('api'), until: 5000 })))
  revoked.add('secret:api')
  assert.ok('problem' in (await lenders.lend(request('api'))))
  assert.equal(store.leases.size, 0)
})

test('a secret whose value looks like a reference does not pull in another', async () => {
  const { lenders } = await world(servers, { ...secrets, api: '${secret:unrelated}' })
  const lent = lease(await lenders.lend(request('api')))
  assert.equal(lent.headers['Authorization']?.reveal(), 'Bearer ${secret:unrelated}')
})

test('the row is open before the lease is handed out, and closing is idempotent', async () => {
  const { lenders, store } = await world(servers, secrets)
  const lent = lease(await lenders.lend(request('api')))
  assert.equal(store.leases.get(lent.id)?.closedAt, null)
  await lenders.close(lent)
  await lenders.close(lent)
  assert.equal(store.leases.get(lent.id)?.closedAt, 5000)
})

test('when the store cannot say that the row is open nothing is lent', async () => {
  const { lenders, store } = await world(servers, secrets)
  store.openLease = async () => Promise.reject(new StoreUnavailable('disk full'))
  await assert.rejects(lenders.lend(request('api')), StoreUnavailable)
})

test('a close that fails does not throw and is made up for by the next', async () => {
  const { lenders, store } = await world(servers, secrets)
  const first = lease(await lenders.lend(request('api')))
  const second = lease(await lenders.lend(request('api')))
  const works = store.closeLease
  store.closeLease = async () => Promise.reject(new StoreUnavailable('disk full'))
  await lenders.close(first)
  store.closeLease = works
  await lenders.close(second)
  assert.deepEqual(await store.openLeases(), [])
})

test("the end of a task closes its leases and no other task's", async () => {
  const { lenders, store } = await world(servers, secrets)
  await lenders.lend(request('api', 't_1'))
  await lenders.lend(request('github', 't_1'))
  const kept = lease(await lenders.lend(request('api', 't_2')))
  await lenders.closeAll('t_1')
  assert.deepEqual(
    (await store.openLeases()).map((row) => row.id),
    [kept.id],
  )
})

test('what a dead broker left open is closed by the next, not what is in use', async () => {
  const { lenders, store } = await world(servers, secrets)
  await store.openLease({
    id: 'l_old',
    task: 't_0',
    call: 'c_0',
    server: 'api',
    secrets: ['api'],
    at: 1,
    until: 2,
  })
  const used = lease(await lenders.lend(request('api')))
  assert.equal(await lenders.reclaim([]), 1)
  assert.deepEqual(
    (await store.openLeases()).map((row) => row.id),
    [used.id],
  )
})

test('marked secrets reach nothing that leaves but the lease itself', async () => {
  await fc.assert(
    fc.asyncProperty(fc.stringMatching(/^[a-z0-9]{12,24}$/), async (text) => {
      const marked = `marked-${text}`
      const { lenders, store } = await world(servers, { github: `${marked}-1`, api: `${marked}-2` })
      const seen: unknown[] = []
      for (const server of ['github', 'api', 'keyed', 'nobody']) {
        const lent = await lenders.lend(request(server))
        seen.push(lent, inspect(lent, { depth: 9, showHidden: true }), `${JSON.stringify(lent)}`)
        if (!('problem' in lent)) await lenders.close(lent)
      }
      const bytes = [...store.entries, ...[...store.rows.values()].map((row) => row.sealed)].map((part) =>
        Buffer.from(part).toString('latin1'),
      )
      const leaves = JSON.stringify([seen, bytes, [...store.leases.values()]])
      assert.ok(!leaves.includes(marked))
      await lenders.closeAll(request('github').task)
      assert.deepEqual(await store.openLeases(), [])
    }),
    { numRuns: 20 },
  )
})

test('what a process of a task holds stays lent until the task ends; its calls share one lease', async () => {
  const { lenders, store } = await world(servers, { github: 'first-value', api: 'other-value' })
  const first = await lenders.lend(request('github'))
  assert.ok(!('problem' in first))
  await lenders.close(first)
  const second = await lenders.lend(request('github'))
  assert.equal(second, first)
  assert.equal((await store.openLeases()).length, 1)
  await lenders.closeAll(request('github').task)
  assert.deepEqual(await store.openLeases(), [])
  const third = await lenders.lend(request('github'))
  assert.notEqual(third, first)
})

test('a lease whose row the outcome has closed is not closed in the store a second time', async () => {
  const { lenders, store } = await world(servers, secrets)
  let closed = 0
  const closeLease = store.closeLease
  store.closeLease = (id, at) => {
    closed += 1
    return closeLease(id, at)
  }
  await lenders.close(lease(await lenders.lend(request('api'))), 'closed')
  assert.equal(closed, 0)
  const other = lease(await lenders.lend(request('api')))
  await lenders.close(other)
  await lenders.close(other)
  assert.equal(closed, 1)
})

test('calls that end at once close each its own row, and not all of them all rows', async () => {
  const { lenders, store } = await world(servers, secrets)
  const all = await Promise.all(
    Array.from({ length: 50 }, async () => lease(await lenders.lend(request('api')))),
  )
  let closed = 0
  const closeLease = store.closeLease
  store.closeLease = async (id, at) => {
    closed += 1
    await new Promise((after) => setImmediate(after))
    return closeLease(id, at)
  }
  await Promise.all(all.map((one) => lenders.close(one)))
  assert.equal(closed, 50)
  assert.deepEqual(await store.openLeases(), [])
})
