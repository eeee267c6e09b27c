import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createLiveSet, PolicyError, startingPolicy } from '../../src/compose/policies.ts'
import { createPolicies } from '../../src/policy/live.ts'
import { readStarter } from '../../src/policy/starter.ts'
import type { PolicySet, PolicyStore } from '../../src/store/ports.ts'

const by = { name: 'owner', proof: 'passphrase' }
const everything = (id: string) => [
  { name: 'own.cedar', text: `@id("${id}") permit (principal, action, resource);` },
]
const broken = [{ name: 'own.cedar', text: 'permit (' }]

/** What several nodes share. */
function shared(): PolicyStore & { readonly puts: PolicySet[] } {
  const puts: PolicySet[] = []
  return {
    puts,
    live: async () => {
      const set = puts.at(-1)
      return set === undefined ? null : { head: puts.length, set }
    },
    put: async (set) => puts.push(set),
  }
}

async function node(store: PolicyStore, starter: 'guarded' | 'strict' = 'guarded') {
  const starting = await startingPolicy({ starter }, store)
  const started = await createPolicies({ sources: starting.files, tools: [] })
  assert.ok(started.ok)
  const clock = { now: 0 }
  const acts = () => new Uint8Array()
  const { policies } = started
  return {
    clock,
    policies,
    set: createLiveSet({ policies, store, acts, starting, now: () => clock.now }),
  }
}

describe('the set of policies to start with', () => {
  test('is the configured one, as long as none was swapped in', async () => {
    const { files } = await startingPolicy({ starter: 'strict' }, shared())
    assert.deepEqual(files, await readStarter('strict'))
  })

  test('is the swapped one after a restart', async () => {
    const store = shared()
    const { set } = await node(store)
    assert.ok((await set.swap(everything('own'), by)).ok)
    assert.deepEqual((await startingPolicy({ starter: 'guarded' }, store)).files, everything('own'))
  })

  test('is the configured one again when the configuration names another', async () => {
    const store = shared()
    const { set } = await node(store)
    assert.ok((await set.swap(everything('own'), by)).ok)
    assert.deepEqual((await startingPolicy({ starter: 'strict' }, store)).files, await readStarter('strict'))
  })
})

describe('one set of policies on several nodes', () => {
  test('is announced once: a node that starts with the same set adds no entry', async () => {
    const store = shared()
    const [first, second] = [await node(store), await node(store)]
    await first.set.announce()
    await second.set.announce()
    assert.equal(store.puts.length, 1)
    assert.deepEqual([first.set.head(), second.set.head()], [1, 1])
  })

  test('a swap on one node is what the other decides by, once it has caught up', async () => {
    const store = shared()
    const [first, second] = [await node(store), await node(store)]
    await first.set.announce()
    const swapped = await first.set.swap(everything('own'), by)
    assert.ok(swapped.ok)
    assert.notEqual(second.policies.snapshot().version, swapped.snapshot.version)
    await second.set.catchUp(first.set.head())
    assert.equal(second.policies.snapshot().version, swapped.snapshot.version)
    assert.deepEqual(second.set.files(), everything('own'))
  })

  test('a set that does not load here is not replaced by the old one: the node says so until one does', async () => {
    const store = shared()
    const { set, policies, clock } = await node(store)
    await set.announce()
    const before = policies.snapshot().version
    await store.put({ version: 'x', over: 'x', files: broken }, new Uint8Array())
    await assert.rejects(set.catchUp(2), PolicyError)
    await assert.rejects(set.catchUp(2), PolicyError)
    assert.equal(policies.snapshot().version, before)
    assert.equal(set.head(), 1)
    await store.put({ version: 'y', over: 'x', files: everything('own') }, new Uint8Array())
    await set.catchUp(3)
    clock.now = 2000
    await set.catchUp(3)
    assert.deepEqual(set.files(), everything('own'))
  })

  test('a broken set is never swapped in, and nothing is recorded', async () => {
    const store = shared()
    const { set } = await node(store)
    await set.announce()
    assert.equal((await set.swap(broken, by)).ok, false)
    assert.equal(store.puts.length, 1)
  })
})
