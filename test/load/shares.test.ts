import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { createShares, type Taken } from '../../src/door/shares.ts'
import { createGate } from '../../src/server/gate.ts'
import { gather } from '../../src/lib/gather.ts'

/** What is scarce and wanted by many: places on the path, bytes, places at a server. */

describe('shares', () => {
  const limits = fc.record({
    total: fc.integer({ min: 1, max: 50 }),
    each: fc.integer({ min: 1, max: 30 }),
    least: fc.integer({ min: 0, max: 4 }),
  })
  const step = fc.record({
    who: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    amount: fc.integer({ min: 0, max: 9 }),
    how: fc.constantFrom('take', 'more', 'release'),
  })

  test('are never more than they may be, for one and for all, and come back whole (property)', () => {
    fc.assert(
      fc.property(limits, fc.array(step, { maxLength: 80 }), ({ total, each, least }, steps) => {
        const shares = createShares({ total, each, least })
        const held: { who: string; taken: Taken }[] = []
        for (const { who, amount, how } of steps) {
          const mine = held.find((one) => one.who === who)
          if (how === 'release') mine?.taken.release()
          else if (how === 'more') mine?.taken.more(amount)
          else {
            const taken = shares.take(who, amount)
            if (typeof taken !== 'string') held.push({ who, taken })
          }
          assert.ok(shares.taken(who) <= each)
          assert.ok(shares.taken() <= total * 2)
        }
        for (const { taken } of held) taken.release()
        assert.equal(shares.taken(), 0)
      }),
    )
  })

  test('leave something for the one who holds little, however many take all they can (property)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), (crowd) => {
        const shares = createShares({ total: 40, each: 10, least: 2 })
        for (let n = 0; n < crowd; n++) while (typeof shares.take(`greedy ${n % 5}`, 1) !== 'string');
        assert.notEqual(typeof shares.take('modest', 1), 'string')
        assert.notEqual(typeof shares.take('modest', 1), 'string')
      }),
    )
  })
})

describe('the places at a server', () => {
  const always = new AbortController().signal
  const wait = { width: 32, waitMs: 300, signal: always }

  test('are not all taken by one agent, and what comes free goes to whoever holds the fewest', async () => {
    const gate = createGate()
    const greedy = Array.from({ length: 64 }, () => gate.enter({ who: 'greedy', ...wait }))
    const given: string[] = []
    for (const one of greedy) void one.then(() => given.push('greedy'))
    assert.equal(await gate.enter({ who: 'modest', ...wait }), null)
    const inside = given.length
    assert.ok(inside < 32, 'some are kept')
    for (let n = 0; n < 3; n++) assert.equal(await gate.enter({ who: 'modest', ...wait }), null)
    const fifth = gate.enter({ who: 'modest', ...wait })
    gate.leave('greedy')
    assert.equal(await fifth, null)
    assert.equal(given.length, inside, 'the place went to the modest one')
  })

  test('are few in a queue that one agent cannot fill', async () => {
    const gate = createGate()
    const greedy = Array.from({ length: 300 }, () => gate.enter({ who: 'greedy', ...wait, waitMs: 100 }))
    for (let n = 0; n < 4; n++) assert.equal(await gate.enter({ who: 'modest', ...wait }), null)
    const queued = gate.enter({ who: 'modest', ...wait })
    gate.leave('greedy')
    assert.equal(await queued, null)
    const busy = (await Promise.all(greedy)).filter((one) => one?.problem === 'busy').length
    assert.equal(busy, 300 - 28)
  })
})

describe('bytes that come in pieces', () => {
  test('are kept as they came, up to the limit, however they were cut (property)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 40 }),
        fc.nat(400),
        (pieces, limit) => {
          const kept = gather(limit)
          const taken: Uint8Array[] = []
          for (const piece of pieces) if (kept.add(piece)) taken.push(piece)
          const whole = Buffer.concat(taken)
          assert.ok(whole.length <= limit)
          assert.equal(kept.size, whole.length)
          assert.deepEqual(kept.take(), whole)
          assert.equal(kept.size, 0)
        },
      ),
    )
  })
})
