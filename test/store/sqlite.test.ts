import assert from 'node:assert/strict'
import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, it } from 'node:test'
import { StoreRefused } from '../../src/store/conflict.ts'
import { StoreUnavailable } from '../../src/store/ports.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { actEntry, aPayload, aTask, intendRequest, refusedEntry } from '../../src/testing/samples.ts'
import { aPath, opened } from './home.ts'

const refusedAs = (problem: string, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof StoreRefused)
  assert.equal(error.problem, problem)
  assert.match(error.message, words)
  return true
}

function edit(path: string, sql: string): void {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
}

describe('opening a store', () => {
  it('two brokers cannot open one store, by whatever name they call it', async (t) => {
    const path = aPath(t)
    await opened(t, { path })
    await assert.rejects(openSqlite({ path }), refusedAs('locked', /in use by another broker; stop that one/))
    const link = join(dirname(path), 'link.db')
    symlinkSync(path, link)
    await assert.rejects(openSqlite({ path: link }), refusedAs('locked', /in use/))
  })

  it('a store can be opened again once it was closed', async (t) => {
    const path = aPath(t)
    const first = await openSqlite({ path })
    await first.log.append(actEntry(), null)
    await first.close()
    assert.equal(await (await opened(t, { path })).log.size(), 1)
  })

  it('a store that a newer program wrote is refused', async (t) => {
    const path = aPath(t)
    await (await openSqlite({ path })).close()
    edit(path, "insert into migrations (version, checksum, applied_at) values (99, 'x', 0)")
    await assert.rejects(openSqlite({ path }), refusedAs('newer', /schema 99.*start the newer program/))
  })

  it('a store whose schema was made by a different program is refused', async (t) => {
    const path = aPath(t)
    await (await openSqlite({ path })).close()
    edit(path, "update migrations set checksum = 'other' where version = 1")
    await assert.rejects(openSqlite({ path }), refusedAs('changed', /made by a different program/))
  })

  it("another program's file is refused and left as it is", async (t) => {
    const path = aPath(t)
    edit(path, 'create table theirs (a)')
    const before = readFileSync(path)
    await assert.rejects(openSqlite({ path }), refusedAs('foreign', /another program/))
    assert.deepEqual(readFileSync(path), before)
    const text = join(dirname(path), 'notes.txt')
    writeFileSync(
      text,
      'these are notes of somebody, long enough to be read as the header of a database '.repeat(9),
    )
    await assert.rejects(openSqlite({ path: text }), refusedAs('foreign', /no SQLite file/))
    await assert.rejects(openSqlite({ path: ':memory:' }), refusedAs('path', /expected the path of a file/))
  })

  it('nobody but its owner can read a new store', async (t) => {
    const path = aPath(t)
    await (await opened(t, { path })).log.append(actEntry(), null)
    for (const file of [path, `${path}-wal`, `${path}.lock`])
      assert.equal(statSync(file).mode & 0o077, 0, file)
  })
})

describe('writing to a store', () => {
  it('a change that throws is undone alone; its neighbours in the batch are kept', async (t) => {
    const store = await opened(t, { path: aPath(t) })
    const results = await Promise.allSettled([
      store.log.append(actEntry(), null),
      store.tasks.open(aTask({ id: 't_orphan', parent: 't_none' }), 0, actEntry()),
      store.log.append(actEntry(), null),
      store.calls.hold({
        call: 'c',
        task: 't_none',
        agent: 'a',
        ask: 'x',
        expiresAt: 1,
        wanted: { server: 's', operation: 'call', name: 'n' },
        arguments: {},
      }),
      store.log.append(new Uint8Array([1]), null),
      store.log.append(actEntry(), null),
    ])
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'rejected', 'fulfilled'],
    )
    assert.deepEqual(
      (await store.log.read(0, 9)).map(({ index }) => index),
      [0, 1, 2],
    )
  })

  it('what cannot cross to the writer fails alone', async (t) => {
    const store = await opened(t, { path: aPath(t) })
    const value = Object.assign(JSON.parse('{}'), { f: () => 0 })
    const results = await Promise.allSettled([
      store.settings.put('a', value, null),
      store.settings.put('b', { ok: true }, null),
    ])
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'fulfilled'],
    )
  })

  it('a queue that is full refuses instead of growing', async (t) => {
    const store = await opened(t, { path: aPath(t), maxQueued: 10 })
    const results = await Promise.allSettled(
      Array.from({ length: 15 }, () => store.log.append(actEntry(), null)),
    )
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 10)
    for (const one of results)
      if (one.status === 'rejected') assert.ok(one.reason instanceof StoreUnavailable)
    assert.equal(await store.log.size(), 10)
  })

  it('the bytes that wait are bounded too', async (t) => {
    const store = await opened(t, { path: aPath(t), maxQueuedBytes: 100_000 })
    const big = { ...aPayload('big'), bytes: new Uint8Array(99_000) }
    await assert.rejects(store.log.append(refusedEntry({}), big), StoreUnavailable)
    await store.log.append(refusedEntry({}), aPayload('small'))
  })

  it('closing lets what was asked for be written, and refuses what comes after', async (t) => {
    const path = aPath(t)
    const store = await openSqlite({ path })
    const writes = Array.from({ length: 20 }, () => store.log.append(actEntry(), null))
    const closed = store.close()
    await assert.rejects(store.log.append(actEntry(), null), StoreUnavailable)
    await assert.rejects(store.log.size(), StoreUnavailable)
    assert.equal((await Promise.all(writes)).length, 20)
    await closed
    await store.close()
    assert.equal(await (await opened(t, { path })).log.size(), 20)
  })

  it('erased bytes are in none of the files', async (t) => {
    const path = aPath(t)
    const store = await opened(t, { path })
    const found = () => [path, `${path}-wal`].some((file) => readFileSync(file).includes('swordfish'))
    await store.tasks.open(aTask(), 0, actEntry())
    await store.calls.intend(
      intendRequest({ payload: { ...aPayload('p'), bytes: Buffer.from('swordfish '.repeat(2000)) } }),
    )
    assert.ok(found())
    await store.log.erase({ commitment: 'sha256:p' }, actEntry())
    assert.ok(!found())
  })
})
