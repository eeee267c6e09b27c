import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import { createRevocations, isRevocationKey } from '../../src/revocation/live.ts'
import { movableClock, plainActs } from '../identity/scratch.ts'
import type { Revocation } from '../../src/revocation/revocations.ts'

const by = { name: 'operator', proof: 'terminal' } as const

/** A store whose writes resolve when the test says so. */
function slowStore() {
  const waiting: (() => void)[] = []
  const state = { epoch: 7, failing: false, added: [] as Revocation[] }
  const write = () =>
    new Promise<number>((resolve, reject) => {
      waiting.push(() => (state.failing ? reject(new Error('disk full')) : resolve((state.epoch += 1))))
    })
  return {
    state,
    next: async () => {
      while (waiting.length === 0) await new Promise(setImmediate)
      waiting.shift()?.()
      await new Promise(setImmediate)
    },
    waiting,
    store: {
      add: (revocation: Revocation) => {
        state.added.push(revocation)
        return write()
      },
      lift: write,
      all: () =>
        Promise.resolve({
          epoch: state.epoch,
          revocations: [{ key: 'tool:mail/send', by: 'operator', reason: '', at: 0 }],
        }),
    },
  }
}

async function world() {
  const slow = slowStore()
  const revocations = await createRevocations({ store: slow.store, acts: plainActs, clock: movableClock() })
  return { ...slow, revocations }
}

describe('what is revoked', () => {
  it('is known from the start', async () => {
    const { revocations } = await world()
    assert.equal(revocations.first(['agent:coder', 'tool:mail/send']), 'tool:mail/send')
    assert.equal(revocations.first(['agent:coder']), null)
    assert.equal(revocations.epoch(), 7)
  })

  it('aborts calls in flight at once, and refuses new ones when it is durable', async () => {
    const { revocations, next } = await world()
    const watch = revocations.watch(['agent:coder', 'task:t_1'])
    const other = revocations.watch(['agent:other'])
    const revoking = revocations.revoke({ key: 'agent:coder', reason: 'x' }, by)
    assert.equal(watch.signal.aborted, true)
    assert.equal(other.signal.aborted, false)
    assert.equal(revocations.first(['agent:coder']), null)
    const between = revocations.watch(['agent:coder'])
    await next()
    await revoking
    assert.equal(revocations.first(['agent:coder']), 'agent:coder')
    assert.equal(between.signal.aborted, true)
    assert.equal(revocations.watch(['agent:coder']).signal.aborted, true)
  })

  it('is not claimed when it could not be made durable', async () => {
    const { revocations, next, state } = await world()
    state.failing = true
    const revoking = revocations.revoke({ key: 'agent:coder', reason: 'x' }, by)
    await Promise.all([assert.rejects(revoking, /disk full/), next()])
    assert.equal(revocations.first(['agent:coder']), null)
    state.failing = false
    const again = revocations.revoke({ key: 'agent:coder', reason: 'x' }, by)
    await next()
    await again
    assert.equal(revocations.first(['agent:coder']), 'agent:coder')
  })

  it('an epoch in memory stands for every change up to it', async () => {
    const { revocations, next, waiting } = await world()
    const both = [
      revocations.revoke({ key: 'agent:a', reason: '' }, by),
      revocations.revoke({ key: 'agent:b', reason: '' }, by),
    ]
    await new Promise(setImmediate)
    assert.equal(waiting.length, 1)
    await next()
    assert.deepEqual(
      [revocations.epoch(), revocations.first(['agent:a']), revocations.first(['agent:b'])],
      [8, 'agent:a', null],
    )
    await next()
    await Promise.all(both)
    assert.deepEqual([revocations.epoch(), revocations.first(['agent:b'])], [9, 'agent:b'])
  })

  it('the kill switch stops everything, whatever a call names', async () => {
    const { revocations, next } = await world()
    const watches = [revocations.watch([]), revocations.watch(['agent:coder'])]
    const revoking = revocations.revoke({ key: 'all', reason: '' }, by)
    assert.deepEqual(
      watches.map(({ signal }) => signal.aborted),
      [true, true],
    )
    await next()
    await revoking
    assert.equal(revocations.first([]), 'all')
    const lifting = revocations.lift({ key: 'all', reason: 'over' }, by)
    await next()
    assert.equal(await lifting, true)
    assert.equal(revocations.first([]), null)
    assert.equal(await revocations.lift({ key: 'all', reason: '' }, by), false)
  })

  it('a task that ends aborts its calls, and those that were just about to start', async () => {
    const { revocations } = await world()
    const before = revocations.watch(['task:t_1'])
    revocations.taskEnded('t_1')
    assert.equal(before.signal.aborted, true)
    assert.equal(revocations.watch(['task:t_1']).signal.aborted, true)
    assert.equal(revocations.watch(['task:t_2']).signal.aborted, false)
  })

  it('a watch that was disposed hears nothing, and watches are bounded', async () => {
    const { revocations } = await world()
    const disposed = revocations.watch(['task:t_1'])
    disposed.dispose()
    disposed.dispose()
    revocations.taskEnded('t_1')
    assert.equal(disposed.signal.aborted, false)
    const all = Array.from({ length: 10_000 }, () => revocations.watch(['task:t_2']))
    assert.equal(revocations.watch(['task:t_2']).signal.aborted, true)
    for (const watch of all) watch.dispose()
    assert.equal(revocations.watch(['task:t_2']).signal.aborted, false)
  })

  it('keys have a grammar', async () => {
    const { revocations } = await world()
    for (const key of ['all', 'agent:a', 'tool:files/read', 'token:x'])
      assert.equal(isRevocationKey(key), true)
    for (const key of ['', 'agent:', 'everything', 'AGENT:a', 'agents:a'])
      assert.equal(isRevocationKey(key), false)
    await assert.rejects(revocations.revoke({ key: 'everything', reason: '' }, by), TypeError)
  })
})
