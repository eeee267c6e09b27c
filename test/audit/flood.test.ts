import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import { createFlood } from '../../src/audit/flood.ts'
import { Seen } from '../../src/audit/seen.ts'
import type { Caller } from '../../src/identity/caller.ts'
import type { FloodKey } from '../../src/audit/flood.ts'

const minute = 60_000
const caller = (name: string): Caller => ({
  kind: 'agent',
  name,
  onBehalfOf: 'owner',
  proven: 'task-token',
  issuer: 'countersign',
  task: 't_1',
  tokenId: 'j1',
  expiresAt: 0,
})
const stranger = (more: Partial<FloodKey> = {}): FloodKey => ({
  caller: null,
  door: 'mcp',
  code: 'unauthenticated',
  tool: null,
  ...more,
})
const known = (more: Partial<FloodKey> = {}): FloodKey => ({
  caller: caller('reviewer'),
  door: 'mcp',
  code: 'denied',
  tool: 'files/write',
  ...more,
})

test('a flood of strangers gives one entry a minute for each door and reason', () => {
  const flood = createFlood()
  const said = Array.from({ length: 1000 }, (_, i) => flood.admit(stranger(), i))
  assert.deepEqual(said.slice(0, 3), ['write', 'count', 'count'])
  assert.equal(said.filter((one) => one === 'write').length, 1)
  assert.equal(flood.admit(stranger({ code: 'revoked' }), 5), 'write')
  assert.deepEqual(flood.drain(minute - 1), [])
  assert.deepEqual(flood.drain(minute), [{ ...stranger(), count: 999, since: 0, until: 999 }])
})

test('in the minute after, the drained entry was its entry: nothing else is written', () => {
  const flood = createFlood()
  for (let i = 0; i < 3; i++) flood.admit(stranger(), i)
  flood.drain(minute)
  assert.equal(flood.admit(stranger(), minute + 1), 'count')
  assert.deepEqual(flood.drain(2 * minute).map(({ count }) => count), [1]) // prettier-ignore
  assert.deepEqual(flood.drain(3 * minute), [])
  assert.equal(flood.admit(stranger(), 3 * minute), 'write')
})

test('a stranger does not get more entries by asking for other tools', () => {
  const flood = createFlood()
  const said = ['a', 'b', 'c'].map((tool) => flood.admit(stranger({ tool }), 0))
  assert.deepEqual(said, ['write', 'count', 'count'])
})

test('a known caller gets an entry for each refusal up to the rate, then one for each code and tool', () => {
  const flood = createFlood()
  const said = Array.from({ length: 150 }, (_, i) =>
    flood.admit(known({ tool: i % 2 === 0 ? 'a/x' : 'a/y' }), 0),
  )
  assert.equal(said.filter((one) => one === 'write').length, 100)
  assert.equal(flood.admit(known(), 50), 'write', '20 a second: one more after 50 ms')
  assert.equal(flood.admit(known(), 51), 'count')
  const drained = flood.drain(minute + 51)
  assert.deepEqual(drained.map(({ tool, count }) => `${tool} ${count}`).sort(), [
    'a/x 25',
    'a/y 25',
    'files/write 1',
  ])
})

test('one caller`s flood does not silence another`s refusals', () => {
  const flood = createFlood()
  for (let i = 0; i < 500; i++) flood.admit(known(), 0)
  assert.equal(flood.admit(known({ caller: caller('builder') }), 0), 'write')
})

test('a clock that goes back neither opens the gate nor closes it for good', () => {
  const flood = createFlood()
  for (let i = 0; i < 200; i++) flood.admit(known(), 1_000_000)
  assert.equal(flood.admit(known(), 0), 'count')
  assert.equal(flood.admit(known(), 50), 'write')
  assert.equal(flood.drain(1_000).length, 1, 'a window that lies in the future has ended')
})

test('groups are bounded: what has no room is counted together, and nothing is lost', () => {
  const flood = createFlood({ groups: 10 })
  for (let i = 0; i < 1000; i++)
    assert.ok(['write', 'count'].includes(flood.admit(stranger({ code: `c${i}` }), 0)))
  const drained = flood.drain(Infinity)
  assert.deepEqual(drained.map(({ code, count }) => [code, count]), [['…', 990]]) // prettier-ignore
})

test('written and counted add up to what came, in any order of events', () => {
  const event = fc.record({
    known: fc.boolean(),
    name: fc.constantFrom('a', 'b', 'c'),
    code: fc.constantFrom('denied', 'revoked', 'fault'),
    step: fc.integer({ min: -500, max: 40_000 }),
    drain: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(event, { maxLength: 400 }), fc.integer({ min: 1, max: 6 }), (events, groups) => {
      const flood = createFlood({ groups, burst: 3, perSecond: 1 })
      let now = 1_000_000
      let sum = 0
      for (const { known: isKnown, name, code, step, drain } of events) {
        now += step
        const key = { caller: isKnown ? caller(name) : null, door: name, code, tool: null }
        if (flood.admit(key, now) === 'write') sum++
        if (drain) sum += flood.drain(now).reduce((all, { count }) => all + count, 0)
      }
      sum += flood.drain(Infinity).reduce((all, { count }) => all + count, 0)
      assert.equal(sum, events.length)
      assert.deepEqual(flood.drain(Infinity), [])
    }),
  )
})

test('a set of names that were seen says what a set of names would say', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 3 }), { maxLength: 3000, size: 'max' }), (names) => {
      const [seen, set] = [new Seen(), new Set<string>()]
      for (const name of names) {
        assert.equal(seen.has(name), set.has(name))
        assert.equal(seen.add(name), !set.has(name))
        set.add(name)
      }
    }),
    { numRuns: 20 },
  )
})
