import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { rfc3339 } from '../../lib/clock.ts'
import { StoreConflict } from '../../store/conflict.ts'
import { actEntry, aPayload, aTask, anAsk, entryOf, intendRequest, refusedEntry } from '../samples.ts'
import { fixture } from './fixture.ts'
import type { Fixture, OpenStore } from './fixture.ts'

export function logContract(open: OpenStore): void {
  describe('log', () => {
    const at = fixture(open)
    entriesContract(at)
    payloadsContract(at)
    checkpointContract(at)
  })
}

function entriesContract({ store, reopen }: Fixture): void {
  /** Nobody else writes meanwhile: the last index is its own. */
  const append = async (entry: Uint8Array): Promise<number> => {
    await store().log.append(entry, null)
    return (await store().log.size()) - 1
  }

  it('indexes are contiguous from 0, however many write at once', async () => {
    await Promise.all(
      Array.from({ length: 50 }, (_, n) => store().log.append(actEntry({ detail: { n } }), null)),
    )
    const kept = await store().log.read(0, 99)
    assert.deepEqual(
      kept.map(({ index }) => index),
      Array.from({ length: 50 }, (_, n) => n),
    )
    assert.equal(new Set(kept.map(({ bytes }) => `${Buffer.from(bytes)}`)).size, 50)
    assert.equal(await store().log.size(), 50)
  })

  it('what was durable before something was asked for stands before it', async () => {
    for (let n = 0; n < 5; n += 1)
      await store().log.append(actEntry({ call: 'c_order', detail: { n } }), null)
    const order = (await store().log.byCall('c_order')).map(
      ({ bytes }) => JSON.parse(`${Buffer.from(bytes)}`).detail.n,
    )
    assert.deepEqual(order, [0, 1, 2, 3, 4])
  })

  it('an entry is kept to the byte, with its leaf hash', async () => {
    const entry = actEntry({ detail: { text: 'ü\u2028' } })
    const index = await append(entry)
    const [stored] = await store().log.read(index, 1)
    const leaf = new Uint8Array(
      createHash('sha256')
        .update(Buffer.concat([Buffer.from([0]), entry]))
        .digest(),
    )
    assert.deepEqual(stored, { index, leaf, bytes: entry })
  })

  it('reading is bounded and gives only what exists', async () => {
    const size = await store().log.size()
    assert.deepEqual(
      (await store().log.read(size - 2, 10)).map(({ index }) => index),
      [size - 2, size - 1],
    )
    assert.deepEqual(await store().log.read(size, 10), [])
    assert.deepEqual(await store().log.read(0, 0), [])
    await Promise.all(Array.from({ length: 1100 }, () => store().log.append(actEntry(), null)))
    assert.equal((await store().log.read(0, 5000)).length, 1024)
  })

  it('what is no entry, or too large for one, does not enter the log', async () => {
    const size = await store().log.size()
    const huge = actEntry({ detail: { text: 'x'.repeat(65_536) } })
    for (const bytes of [
      new Uint8Array([255]),
      new TextEncoder().encode('{}'),
      entryOf({ kind: 'act', at: 'yesterday' }),
      huge,
    ])
      await assert.rejects(store().log.append(bytes, null), StoreConflict)
    assert.equal(await store().log.size(), size)
  })

  it('is searched by call, task, agent and kind, newest first', async () => {
    const who = { kind: 'agent', name: 'searched', onBehalfOf: 'owner', proven: 'task-token', issuer: 'here' }
    const entry = (call: string) => refusedEntry({ call, task: 't_search', who, code: 'denied' })
    const first = await append(entry('c_s1'))
    const second = await append(entry('c_s2'))
    const found = async (filter: object) =>
      (await store().log.recent({ limit: 9, ...filter })).map(({ index }) => index)
    assert.deepEqual(await found({ task: 't_search' }), [second, first])
    assert.deepEqual(await found({ agent: 'searched', kind: 'refused' }), [second, first])
    assert.deepEqual(await found({ agent: 'searched', kind: 'intent' }), [])
    assert.deepEqual(await found({ kind: 'refused', before: second, limit: 1 }), [first])
    assert.deepEqual(
      (await store().log.byCall('c_s1')).map(({ index }) => index),
      [first],
    )
  })

  it('everything is there again after closing and opening', async () => {
    const size = await store().log.size()
    const last = await store().log.read(size - 1, 1)
    await reopen()
    assert.equal(await store().log.size(), size)
    assert.deepEqual(await store().log.read(size - 1, 1), last)
  })
}

function payloadsContract({ store }: Fixture): void {
  it('a payload lies beside the log until it is erased; its entry stays', async () => {
    await store().log.append(refusedEntry({ call: 'c_pay' }), aPayload('erase me'))
    const index = (await store().log.size()) - 1
    assert.deepEqual(await store().log.payload('sha256:erase me'), aPayload('erase me'))
    const act = actEntry({ act: 'erase' })
    assert.equal(await store().log.erase({ commitment: 'sha256:erase me' }, act), 1)
    assert.equal(await store().log.payload('sha256:erase me'), null)
    assert.equal((await store().log.read(index, 1)).length, 1)
    const size = await store().log.size()
    assert.equal(await store().log.erase({ commitment: 'sha256:erase me' }, act), 0)
    assert.equal(await store().log.size(), size)
  })

  it('erasing what is old leaves what is young', async () => {
    await store().log.append(entryOf({ kind: 'refused', call: 'c_old', at: rfc3339(100) }), aPayload('old'))
    await store().log.append(
      entryOf({ kind: 'refused', call: 'c_young', at: rfc3339(200) }),
      aPayload('young'),
    )
    assert.equal(await store().log.erase({ olderThan: 200 }, actEntry()), 1)
    assert.equal(await store().log.payload('sha256:old'), null)
    assert.notEqual(await store().log.payload('sha256:young'), null)
  })

  it('erased arguments are not left behind in an ask that nobody can answer any more', async () => {
    await store().tasks.open(aTask({ id: 't_erase' }), 0, actEntry())
    await store().approvals.ask(anAsk({ id: 'a_erase', digest: 'd_erase', task: 't_erase', call: 'c_erase' }))
    await store().calls.intend(intendRequest({ call: 'c_erase', task: 't_erase' }))
    const what = { commitment: 'sha256:arguments of c_erase' }
    await store().log.erase(what, actEntry({ at: rfc3339(20_000) }))
    assert.equal(await store().approvals.get('a_erase'), null)
  })
}

function checkpointContract({ store }: Fixture): void {
  it('the newest checkpoint is kept, never one that is smaller or larger than the log', async () => {
    const size = await store().log.size()
    assert.equal(await store().log.checkpoint(), null)
    assert.deepEqual(await store().log.putCheckpoint({ size: size + 1, text: 'too large' }), { ok: false })
    assert.deepEqual(await store().log.putCheckpoint({ size, text: 'right' }), { ok: true })
    assert.deepEqual(await store().log.putCheckpoint({ size: size - 1, text: 'smaller' }), { ok: false })
    assert.deepEqual(await store().log.checkpoint(), { size, text: 'right' })
  })
}
