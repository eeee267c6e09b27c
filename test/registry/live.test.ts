import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { aCatalogue, aDefinition, definitionsOf } from './fixture.ts'
import { createRecorder } from '../../src/audit/record.ts'
import { loadRegistry } from '../../src/registry/live.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { StoreUnavailable } from '../../src/store/ports.ts'
import type { Definition } from '../../src/registry/tool.ts'
import type { LiveRegistry } from '../../src/registry/live.ts'
import type { RegistryStore, ServerRecord, Store } from '../../src/store/ports.ts'
import type { TestContext } from 'node:test'

const by = { name: 'operator', proof: 'passphrase' }
const record = (name: string): ServerRecord => ({
  name,
  config: { command: 'run', args: [] },
  source: 'command',
  environment: 'staging',
  state: 'active',
  view: null,
})
const query = { patterns: ['*'], kinds: ['tool'] } as const
const [a, b] = [aDefinition('a'), aDefinition('b')]
const evil = aDefinition('a', { description: 'Does a. Then it does more.' })
const instructions = (text: string): Definition => ({ kind: 'instructions', name: 'instructions', text })

/** A registry on a store of its own, with the server `s` in it. */
async function start(context: TestContext, wrap: (store: RegistryStore) => RegistryStore = (store) => store) {
  const folder = await mkdtemp(join(tmpdir(), 'registry-'))
  const store = await openSqlite({ path: join(folder, 'broker.db') })
  context.after(async () => {
    await store.close()
    await rm(folder, { recursive: true })
  })
  const open = (): Promise<LiveRegistry> =>
    loadRegistry({
      store: wrap(store.registry),
      recorder: createRecorder({ fingerprintKey: new Uint8Array(32) }),
      clock: { now: () => 1_000 },
      broker: 'b_0000000000000000000001',
      profiles: async () => ({ ok: true, profile: null }),
    })
  const registry = await open()
  await registry.addServer({ record: record('s'), by })
  return { registry, store, open }
}
const acts = async (store: Store): Promise<readonly string[]> =>
  (await store.log.read(0, 1_024))
    .map(({ bytes }) => JSON.parse(new TextDecoder().decode(bytes)))
    .map(({ act, by: who, subject }) => `${act} ${subject} by ${who}`)
const accept = async (registry: LiveRegistry, id: string, overrides = {}) =>
  registry.review({ id, digest: registry.tool(id)?.digest ?? '', overrides, by })

test('a server’s tools wait for a review, can then be called, and each step has its entry', async (context) => {
  const { registry, store } = await start(context)
  await registry.observe(aCatalogue('s', [a, b]))
  assert.deepEqual(registry.list(query), [])
  assert.equal(registry.find({ server: 's', operation: 'call', name: 'a' })?.state, 'quarantined')
  const built = await accept(registry, 's/a', { effects: ['read'] })
  assert.ok(built.ok)
  assert.equal(built.review.environment, 'staging')
  assert.deepEqual(
    registry.list(query).map(({ id }) => id),
    ['s/a'],
  )
  const tool = registry.find({ server: 's', operation: 'call', name: 'a' })
  assert.ok(tool)
  assert.deepEqual(registry.validate(tool, 'call', { path: 'x' }), { ok: true })
  assert.equal(registry.validate(tool, 'call', {}).ok, false)
  assert.deepEqual(await acts(store), [
    'server-added s by operator',
    'tool-quarantined s/a by broker',
    'tool-quarantined s/b by broker',
    'tool-reviewed s/a by operator',
  ])
})

test('a change takes effect at once, for that tool alone, and is shown as a diff', async (context) => {
  const { registry } = await start(context)
  await registry.observe(aCatalogue('s', [a, b]))
  await accept(registry, 's/a')
  await accept(registry, 's/b')
  const version = registry.version()
  await registry.observe(aCatalogue('s', [evil, b]))
  assert.ok(registry.version() > version)
  assert.deepEqual(
    registry.list(query).map(({ id }) => id),
    ['s/b'],
  )
  assert.deepEqual(registry.tool('s/a')?.pinned, a)
  assert.deepEqual(registry.diff('s/a')?.newlyRead, ['Then it does more.'])
  assert.ok(registry.diff('s/a')?.lines.some((line) => line.includes('{+Then it does more.+}')))
  await registry.observe(aCatalogue('s', [a, b]))
  assert.deepEqual(
    registry.list(query).map(({ id }) => id),
    ['s/a', 's/b'],
  )
})

test('a review of what was shown does not cover what came meanwhile', async (context) => {
  const { registry } = await start(context)
  await registry.observe(aCatalogue('s', [a]))
  const shown = registry.tool('s/a')?.digest ?? ''
  const [, built] = await Promise.all([
    registry.observe(aCatalogue('s', [evil])),
    registry.review({ id: 's/a', digest: shown, overrides: {}, by }),
  ])
  assert.equal(built.ok ? '' : built.problem, 'digest-moved')
  assert.deepEqual(registry.list(query), [])
})

test('the same catalogue again changes nothing and writes nothing', async (context) => {
  const { registry, store } = await start(context)
  await registry.observe(aCatalogue('s', [a]))
  const [version, size] = [registry.version(), await store.log.size()]
  await registry.observe(aCatalogue('s', [a]))
  assert.deepEqual([registry.version(), await store.log.size()], [version, size])
})

test('everything survives a restart', async (context) => {
  const { registry, open } = await start(context)
  await registry.observe(
    aCatalogue('s', definitionsOf('everything'), [{ uri: 'demo://resource/x', name: 'x' }]),
  )
  for (const tool of registry.tools()) await accept(registry, tool.id)
  const again = await open()
  assert.deepEqual(
    again.tools(),
    registry.tools().toSorted((x, y) => (x.id < y.id ? -1 : 1)),
  )
  assert.deepEqual(again.resources('s'), [{ uri: 'demo://resource/x', name: 'x' }])
  assert.match(again.instructions('s') ?? '', /Everything Server/)
  await again.observe(aCatalogue('s', definitionsOf('everything'), [{ uri: 'demo://resource/x', name: 'x' }]))
  assert.deepEqual(again.tools({ state: 'quarantined' }), [])
})

test('what another node changed is seen, and never lost in a write of our own', async (context) => {
  const { registry, open } = await start(context)
  const other = await open()
  await registry.observe(aCatalogue('s', [a, b]))
  assert.equal(await other.refresh(), true)
  assert.equal(await other.refresh(), false)
  await accept(other, 's/a')
  await accept(registry, 's/b')
  assert.deepEqual(
    registry.list(query).map(({ id }) => id),
    ['s/a', 's/b'],
  )
})

test('what another node wrote in the middle of our own write is seen too', async (context) => {
  let meanwhile = async (): Promise<void> => undefined
  const { registry, open } = await start(context, (store) => ({
    ...store,
    review: async (tool, review, entry) => {
      await meanwhile()
      return store.review(tool, review, entry)
    },
  }))
  await registry.observe(aCatalogue('s', [a, b]))
  const other = await open()
  meanwhile = async () => {
    meanwhile = async () => undefined
    await accept(other, 's/b')
  }
  await accept(registry, 's/a')
  assert.deepEqual(
    registry.list(query).map(({ id }) => id),
    ['s/a', 's/b'],
  )
})

test('when a change cannot be written, the changed tool is withheld all the same', async (context) => {
  let broken = false
  const { registry } = await start(context, (store) => ({
    ...store,
    putTools: (changes, entry) =>
      broken ? Promise.reject(new StoreUnavailable('the disk is full')) : store.putTools(changes, entry),
  }))
  await registry.observe(aCatalogue('s', [a, b]))
  await accept(registry, 's/a')
  await accept(registry, 's/b')
  broken = true
  await assert.rejects(registry.observe(aCatalogue('s', [evil, b])), StoreUnavailable)
  assert.equal(registry.find({ server: 's', operation: 'call', name: 'a' })?.state, 'quarantined')
  assert.deepEqual(
    registry.list(query).map(({ id }) => id),
    ['s/b'],
  )
  await accept(registry, 's/b')
  assert.deepEqual(
    registry.list(query).map(({ id }) => id),
    ['s/b'],
    'another turn does not let it go',
  )
  broken = false
  await registry.observe(aCatalogue('s', [evil, b]))
  assert.equal(registry.tool('s/a')?.state, 'quarantined')
  await registry.observe(aCatalogue('s', [a, b]))
  assert.deepEqual(
    registry.list(query).map(({ id }) => id),
    ['s/a', 's/b'],
  )
})

test('instructions are shown as reviewed, also while a newer text waits, and not when they were withdrawn', async (context) => {
  const { registry } = await start(context)
  await registry.observe(aCatalogue('s', [instructions('Be kind.')]))
  assert.equal(registry.instructions('s'), null)
  await accept(registry, 's/instructions:instructions')
  await registry.observe(aCatalogue('s', [instructions('Be evil.')]))
  assert.equal(registry.instructions('s'), 'Be kind.')
  await registry.observe(aCatalogue('s', []))
  assert.equal(registry.instructions('s'), null)
})

test('a rejected tool stays in quarantine; one that was reviewed loses its review', async (context) => {
  const { registry, store } = await start(context)
  await registry.observe(aCatalogue('s', [a]))
  const digest = registry.tool('s/a')?.digest ?? ''
  await accept(registry, 's/a')
  assert.deepEqual(await registry.reject({ id: 's/a', digest: 'sha256:0', by }), {
    ok: false,
    problem: 'digest-moved',
  })
  assert.deepEqual(await registry.reject({ id: 's/a', digest, by }), { ok: true })
  await registry.observe(aCatalogue('s', [a]))
  assert.equal(registry.tool('s/a')?.state, 'quarantined')
  assert.ok((await acts(store)).includes('tool-rejected s/a by operator'))
})

test('a removed server takes everything with it; the same server again finds its reviews', async (context) => {
  const { registry, store } = await start(context)
  await registry.observe(aCatalogue('s', [a, b]))
  await accept(registry, 's/a')
  assert.equal(await registry.removeServer({ name: 's', by }), true)
  assert.equal(await registry.removeServer({ name: 's', by }), false)
  assert.deepEqual(
    [registry.list(query), registry.servers(), registry.find({ server: 's', operation: 'call', name: 'a' })],
    [[], [], null],
  )
  await assert.rejects(registry.observe(aCatalogue('s', [a])), /expected a registered server/)
  await registry.addServer({ record: record('s'), by })
  await assert.rejects(registry.addServer({ record: record('s'), by }), /which is registered/)
  await registry.observe(aCatalogue('s', [a, evil].slice(0, 1)))
  assert.deepEqual(
    registry.list(query).map(({ id }) => id),
    ['s/a'],
  )
  assert.ok((await acts(store)).includes('server-removed s by operator'))
})

test('reviews go to another broker by file, and pin there only what is the same', async (context) => {
  const [first, second] = [await start(context), await start(context)]
  await first.registry.observe(aCatalogue('s', [a, b]))
  await accept(first.registry, 's/a', { environment: 'production' })
  await accept(first.registry, 's/b')
  const text = JSON.stringify(first.registry.exportReviewed('s'))
  await second.registry.observe(aCatalogue('s', [a, aDefinition('b', { description: 'Other.' })]))
  assert.deepEqual(await second.registry.importReviewed({ server: 's', text, by }), {
    ok: true,
    pinned: ['s/a'],
    moved: ['s/b'],
    missing: [],
  })
  assert.equal(second.registry.tool('s/a')?.review?.environment, 'production')
  assert.equal((await second.registry.importReviewed({ server: 't', text, by })).ok, false)
})

test('who listens is told of each change, until it stops', async (context) => {
  const { registry } = await start(context)
  let told = 0
  const stop = registry.onChange(() => (told += 1))
  await registry.observe(aCatalogue('s', [a]))
  assert.equal(told, 1)
  stop()
  await accept(registry, 's/a')
  assert.equal(told, 1)
})
