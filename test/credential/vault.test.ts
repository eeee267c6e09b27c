import assert from 'node:assert/strict'
import { test } from 'node:test'
import { secretOf } from '../../src/credential/secret.ts'
import { createVault } from '../../src/credential/vault.ts'
import type { Vault } from '../../src/credential/vault.ts'
import { entryOf, memoryStore, owner, plainRecorder, testKey } from './fakes.ts'

function newVault(
  store = memoryStore(),
  key = testKey(),
): { vault: Vault; store: ReturnType<typeof memoryStore> } {
  const vault = createVault({
    store,
    key,
    recorder: plainRecorder,
    broker: 'b_test',
    clock: { now: () => 1000 },
  })
  return { vault, store }
}

test('a secret goes in sealed, comes out for the lender, and its entry holds the name only', async () => {
  const { vault, store } = newVault()
  assert.deepEqual(await vault.set('github', secretOf('marked-value'), owner), { ok: true, replaced: false })
  assert.deepEqual(await vault.set('github', secretOf('marked-value-2'), owner), { ok: true, replaced: true })
  const value = await vault.reveal('github')
  assert.ok(!('problem' in value))
  assert.equal(value.reveal(), 'marked-value-2')
  const entry = entryOf(store.entries[0])
  assert.deepEqual(
    [entry.act, entry.by, entry.proof, entry.subject],
    ['secret-set', 'owner', 'passphrase', 'github'],
  )
  const written = [...store.entries, ...[...store.rows.values()].map((row) => row.sealed)]
  for (const bytes of written) assert.ok(!Buffer.from(bytes).includes('marked'))
  assert.deepEqual(await vault.list(), [{ name: 'github', at: 1000 }])
})

test('removing leaves an entry, and removing nothing leaves none', async () => {
  const { vault, store } = newVault()
  assert.equal(await vault.remove('github', owner), false)
  assert.equal(store.entries.length, 0)
  await vault.set('github', secretOf('value'), owner)
  assert.equal(await vault.remove('github', owner), true)
  assert.equal(entryOf(store.entries[1]).act, 'secret-removed')
  assert.deepEqual(await vault.reveal('github'), {
    problem: 'missing',
    detail: 'the secret `github` is not in the sealed store',
  })
})

test('a name that could not be referred to, an empty secret and a huge one are refused', async () => {
  const { vault, store } = newVault()
  for (const [name, text] of [
    ['Git Hub', 'x'],
    ['a__b', 'x'],
    ['ok', ''],
    ['ok', 'x'.repeat(65537)],
  ] as const) {
    assert.equal((await vault.set(name, secretOf(text), owner)).ok, false)
  }
  assert.equal(store.rows.size, 0)
})

test('a row written under another key is unreadable, not missing', async () => {
  const store = memoryStore()
  await newVault(store).vault.set('github', secretOf('value'), owner)
  const value = await newVault(store).vault.reveal('github')
  assert.ok('problem' in value && value.problem === 'unreadable')
})
