import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { StoreUnavailable } from '../../src/store/ports.ts'
import type { Store } from '../../src/store/ports.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { injectStoreFault } from '../../src/store/fault.ts'
import type { StoreFault } from '../../src/store/fault.ts'
import { actEntry, aPayload, aTask, intendRequest, settleRequest } from '../../src/testing/samples.ts'
import { aPath, opened } from './home.ts'
import { demandWhole } from './whole.ts'

/** Opens a task (batch 1), then writes an intent (batch 2) into the fault. */
async function struck(
  t: Parameters<typeof aPath>[0],
  fault: Omit<StoreFault, 'batch'>,
): Promise<{ readonly path: string; readonly store: Store }> {
  const path = aPath(t)
  const store = await opened(t, { path, answerMs: 400, [injectStoreFault]: { batch: 2, ...fault } })
  await store.tasks.open(aTask(), 0, actEntry())
  const together = await Promise.allSettled([
    store.calls.intend(intendRequest()),
    store.log.append(actEntry(), null),
  ])
  for (const one of together) assert.ok(one.status === 'rejected' && one.reason instanceof StoreUnavailable)
  return { path, store }
}

describe('a store that fails', () => {
  for (const how of ['die', 'io-error', 'hang'] as const) {
    it(`before the commit (${how}): nothing is said to be done, and nothing is`, async (t) => {
      const { path, store } = await struck(t, { at: 'before-commit', how })
      await assert.rejects(store.log.append(actEntry(), null), StoreUnavailable)
      await store.close()
      const again = await opened(t, { path })
      assert.equal(await again.log.size(), 1)
      await demandWhole(again)
    })

    it(`after the commit (${how}): nothing is said to be done, though it is, and recovery finds it`, async (t) => {
      const { path, store } = await struck(t, { at: 'after-commit', how })
      await assert.rejects(store.log.append(actEntry(), null), StoreUnavailable)
      await store.close()
      const again = await opened(t, { path })
      assert.equal(await again.log.size(), 3)
      assert.deepEqual(
        (await again.calls.unsettled([])).map(({ call }) => call),
        ['c_1'],
      )
      await demandWhole(again)
    })
  }

  it('a commit that fails closes the store for writing: the file can no longer be trusted', async (t) => {
    const { store } = await struck(t, { at: 'commit', how: 'io-error' })
    await assert.rejects(store.log.append(actEntry(), null), /start the broker again/)
    assert.equal(await store.log.size(), 1)
  })

  it('a full disk refuses what does not fit, keeps what was there, and takes what fits again', async (t) => {
    const store = await opened(t, { path: aPath(t), maxPages: 120 })
    await store.tasks.open(aTask(), 0, actEntry())
    const big = { ...aPayload('big'), bytes: new Uint8Array(800_000) }
    await assert.rejects(store.calls.intend(intendRequest({ payload: big })), StoreUnavailable)
    assert.equal(await store.log.size(), 1)
    assert.equal((await store.tasks.snapshot('t_1', 0))?.usage.calls, 0)
    assert.equal((await store.calls.intend(intendRequest())).kind, 'intended')
    assert.deepEqual(await store.calls.settle(settleRequest()), { settled: true })
    await demandWhole(store)
  })
})

describe('a broker that is killed', () => {
  it('has kept everything it was told is durable, nothing half, and its lock is free', async (t) => {
    const path = aPath(t)
    const child = fork(new URL('./writes.ts', import.meta.url), [path], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    t.after(() => child.kill('SIGKILL'))
    const acknowledged = await killAfter(child, 150)
    const store = await opened(t, { path })
    for (const call of acknowledged.settled) assert.equal((await store.log.byCall(call)).length, 2, call)
    for (const call of acknowledged.intended) assert.ok((await store.log.byCall(call)).length >= 1, call)
    await demandWhole(store)
    await assert.rejects(openSqlite({ path }), /in use/)
  })
})

async function killAfter(
  child: ChildProcess,
  messages: number,
): Promise<{ intended: string[]; settled: string[] }> {
  const seen = { intended: [] as string[], settled: [] as string[] }
  const exited = once(child, 'exit')
  child.on('message', ({ intended, settled }: { intended?: string; settled?: string }) => {
    if (intended !== undefined) seen.intended.push(intended)
    if (settled !== undefined) seen.settled.push(settled)
    if (seen.intended.length + seen.settled.length === messages) child.kill('SIGKILL')
  })
  const [, signal] = await exited
  assert.equal(signal, 'SIGKILL')
  assert.ok(seen.settled.length > 0)
  return seen
}
