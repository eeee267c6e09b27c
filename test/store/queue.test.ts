import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { StoreConflict } from '../../src/store/conflict.ts'
import { maxBatch } from '../../src/store/jobs.ts'
import { SessionLost, concern } from '../../src/store/postgres/errors.ts'
import { insertEntries } from '../../src/store/postgres/later.ts'
import { lockNumber, locksOf } from '../../src/store/postgres/locks.ts'
import { createQueue } from '../../src/store/postgres/queue.ts'
import type { Batch, Planned } from '../../src/store/postgres/queue.ts'
import { decoderOf, encode } from '../../src/store/postgres/values.ts'
import { actEntry, aTask, intendRequest, refusedEntry, settleRequest } from '../../src/testing/samples.ts'

let made = 0
const change = (locks: readonly string[], alone = false, size = 1): Planned => {
  made += 1
  return { job: { id: made, name: 'log.append', input: null }, locks, alone, size, since: made }
}

const waiting = fc.array(
  fc.record({
    locks: fc.subarray(['a', 'b', 'c', 'd']),
    alone: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  }),
  { maxLength: 60 },
)

describe('the queue in front of the database', () => {
  it('never has two batches under way that share a lock, keeps the order of each lock, and loses nothing', () => {
    fc.assert(
      fc.property(waiting, fc.infiniteStream(fc.nat({ max: 3 })), (wanted, choices) => {
        const queue = createQueue()
        const put = wanted.map(({ locks, alone }) => change(alone ? ['all'] : locks, alone))
        const todo = [...put]
        const running: Batch[] = []
        const taken: Planned[] = []
        while (taken.length < put.length || running.length > 0) {
          for (const one of todo.splice(0, choices.next().value)) queue.put(one)
          const batch = queue.take(3 - running.length)
          if (batch !== null) {
            const held = running.flatMap(({ planned }) => planned.flatMap(({ locks }) => locks))
            for (const lock of batch.planned.flatMap(({ locks }) => locks)) assert.ok(!held.includes(lock))
            assert.equal(new Set(batch.planned.map(({ alone }) => alone)).size, 1)
            running.push(batch)
            taken.push(...batch.planned)
          }
          if (running.length === 3 || (batch === null && todo.length === 0)) {
            const [done] = running.splice(choices.next().value % Math.max(1, running.length), 1)
            if (done !== undefined) queue.done(done)
          }
        }
        assert.equal(new Set(taken).size, put.length)
        for (const lock of ['a', 'b', 'c', 'd', 'all']) {
          const ids = taken.filter(({ locks }) => locks.includes(lock)).map(({ job }) => job.id)
          assert.deepEqual(
            ids,
            [...ids].sort((a, b) => a - b),
          )
        }
      }),
    )
  })

  it('what must be alone and what need not take turns', () => {
    const queue = createQueue()
    for (let n = 0; n < 4; n += 1) queue.put(change(['all'], true))
    queue.put(change(['a']))
    const first = queue.take(1)
    assert.equal(first?.alone, true)
    // One of ours is alone: whatever else is sent would wait behind it.
    queue.put(change(['all'], true))
    assert.equal(queue.take(1), null)
    queue.done(first ?? assert.fail())
    assert.equal(queue.take(1)?.alone, false)
    assert.equal(queue.take(1)?.alone, true)
  })

  it('a batch is bounded in changes and in bytes, but takes one however large', () => {
    const queue = createQueue()
    for (let n = 0; n < maxBatch + 10; n += 1) queue.put(change(['a']))
    assert.equal(queue.take(1)?.planned.length, maxBatch)
    const large = createQueue()
    for (let n = 0; n < 3; n += 1) large.put(change([`${n}`], false, 40_000_000))
    assert.equal(large.take(1)?.planned.length, 1)
  })

  it('much is shared out between the connections that are free, little is not', () => {
    const queue = createQueue()
    for (let n = 0; n < 120; n += 1) queue.put(change([`${n}`]))
    assert.equal(queue.take(3)?.planned.length, 40)
    assert.equal(queue.take(2)?.planned.length, 40)
    const little = createQueue()
    for (let n = 0; n < 20; n += 1) little.put(change([`${n}`]))
    assert.equal(little.take(3)?.planned.length, 20)
  })

  it('what waited too long is taken out', () => {
    const queue = createQueue()
    const [old, young] = [change(['a']), change(['a'])]
    queue.put(old)
    queue.put(young)
    assert.deepEqual(queue.removeBefore(young.since), [old])
    assert.deepEqual(queue.take(1)?.planned, [young])
  })
})

describe('the locks of a change', () => {
  it('cover the line of a task, its agent, and nothing for what counts nowhere', () => {
    const person = ['person:operator']
    assert.deepEqual(locksOf('calls.intend', intendRequest()), {
      lines: ['t_1'],
      agents: ['worker'],
      things: person,
    })
    assert.deepEqual(locksOf('calls.intend', intendRequest({ spilled: '{}' }))?.things, [...person, 'sinks'])
    assert.deepEqual(locksOf('calls.settle', settleRequest()), { lines: ['t_1'], calls: ['c_1'], things: [] })
    const counted = refusedEntry({ task: 't_1', code: 'denied' })
    assert.deepEqual(locksOf('log.append', { entry: counted, payload: null }), { lines: ['t_1'] })
    for (const entry of [refusedEntry({ task: 't_1', code: 'fault' }), actEntry(), new Uint8Array([1])])
      assert.deepEqual(locksOf('log.append', { entry, payload: null }), {})
    const task = aTask({ parent: 't_up' })
    assert.deepEqual(locksOf('tasks.open', { task }), { agents: ['worker'], lines: ['t_up'] })
  })

  it('are everything for a change that nobody has thought about', () => {
    for (const name of [
      'registry.review',
      'revocations.add',
      'approvals.answer',
      'tasks.close',
      'log.erase',
    ] as const)
      assert.equal(locksOf(name, {}), null)
  })

  it('have numbers that differ by schema, kind and name, however these are cut', () => {
    const names = [
      ['a', 'b', 'c'],
      ['a', 'bc'],
      ['ab', 'c'],
      ['a', 'b,c'],
      ['a', 'b","c'],
    ] as const
    const numbers = names.map(([schema, ...name]) => lockNumber(schema, ...name))
    assert.equal(new Set(numbers).size, numbers.length)
    for (const number of numbers) assert.equal(BigInt.asIntN(64, BigInt(number)), BigInt(number))
  })
})

describe('what crosses to the database', () => {
  it('text comes back as it was, and no two texts become one', () => {
    const odd = fc.string({ unit: fc.constantFrom('\u0000', '\u001a', '0', '1', 'x') })
    fc.assert(
      fc.property(odd, odd, (a, b) => {
        assert.ok(!encode(a).includes('\u0000'))
        assert.equal(decoderOf(25)(encode(a)), a)
        assert.equal(encode(a) === encode(b), a === b)
      }),
    )
  })

  it('any number of entries makes few kinds of statements, in order', () => {
    fc.assert(
      fc.property(fc.nat({ max: 300 }), (count) => {
        const rows = Array.from({ length: count }, (_, n) => [
          `leaf ${n}`,
          'bytes',
          'act',
          null,
          null,
          null,
          n,
        ])
        const queries = insertEntries(rows)
        assert.deepEqual(
          queries.flatMap(({ params }) => params),
          rows.flat(),
        )
        assert.ok(new Set(queries.map(({ sql }) => sql)).size <= 4)
      }),
    )
  })

  it("a change's own error is its own, a lost connection is tried again", () => {
    assert.equal(concern(new StoreConflict('taken')), 'one')
    assert.equal(concern(new SessionLost('gone')), 'again')
  })
})
