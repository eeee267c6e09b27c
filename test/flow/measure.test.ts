import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, test } from 'node:test'
import { beyond, measure, parseMeasures, scanned, type Measure } from '../../src/flow/measure.ts'
import { mostFacts, PastTable } from '../../src/flow/past.ts'
import type { Fact } from '../../src/flow/fact.ts'

const hour = 3_600_000
const now = 1_000 * hour

const fact = (parts: Partial<Fact> = {}): Fact => ({
  at: now,
  agent: 'coder',
  tasks: ['t_1'],
  tool: 'mail/send',
  effects: ['egress'],
  keys: {},
  amount: null,
  risk: 1,
  ...parts,
})
const one = (text: string): Measure => {
  const parsed = parseMeasures(text)
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problem)
  const [first] = parsed.measures
  assert.ok(first !== undefined)
  return first
}
const pastOf = (facts: readonly Fact[]): PastTable => {
  const past = new PastTable()
  for (const each of facts) past.add(each)
  return past
}
const value = (text: string, facts: readonly Fact[], call = fact()): number =>
  measure(one(text), pastOf(facts), call)

describe('a measure', () => {
  test('counts the call that is being decided, too', () => {
    assert.equal(value('n = count by task', []), 1)
    assert.equal(value('n = count of mail/send by task', [fact({ at: now - 1 })]), 2)
    assert.equal(value('n = count of files/read by task', [fact({ at: now - 1 })]), 0)
  })

  test('looks as far back as its window', () => {
    const facts = [fact({ at: now - 3 * hour }), fact({ at: now - hour })]
    assert.equal(value('n = count within 2h by agent', facts), 2)
    assert.equal(value('n = count within 7200s by agent', facts), 2)
    assert.equal(value('n = count by agent', facts), 3)
  })

  test('goes by task, line, agent or person', () => {
    const facts = [
      fact({ at: now - 5, tasks: ['t_1'] }),
      fact({ at: now - 4, tasks: ['t_sub', 't_1'] }),
      fact({ at: now - 3, tasks: ['t_2'] }),
      fact({ at: now - 2, tasks: ['t_3'], agent: 'scout' }),
    ]
    assert.equal(value('n = count by task', facts), 2)
    assert.equal(value('n = count by line', facts), 3)
    assert.equal(value('n = count by agent', facts), 4)
    assert.equal(value('n = count by person', facts), 5)
  })

  test('counts only what came after the last call of `since`', () => {
    const facts = [
      fact({ at: now - 3 }),
      fact({ at: now - 2, tool: 'web/fetch', effects: ['read'] }),
      fact({ at: now - 1 }),
    ]
    assert.equal(value('n = count of mail/* since web/fetch by task', facts), 2)
    assert.equal(value('n = count of effect:egress since effect:read by task', facts), 2)
  })

  test('counts distinct targets, sums amounts, and knows the same value again', () => {
    const facts = [
      fact({ at: now - 3, keys: { account: ['a'] }, amount: 400 }),
      fact({ at: now - 2, keys: { account: ['b'] }, amount: 600.5 }),
      fact({ at: now - 1, keys: { account: ['a'] }, amount: 100 }),
    ]
    const call = fact({ keys: { account: ['a'] }, amount: 50 })
    assert.equal(value('n = distinct account by person', facts, call), 2)
    assert.equal(value('n = sum amount by person', facts, call), 1151)
    assert.equal(value('n = sum amount same account by person', facts, call), 550)
    assert.equal(value('n = count same account by person', facts, call), 3)
  })

  test('that would have to look further back than is known is beyond any ceiling', () => {
    const past = new PastTable()
    for (let n = 0; n <= mostFacts; n += 1) past.add(fact({ at: now - mostFacts + n }))
    const call = fact({ at: now + hour, agent: 'scout' })
    assert.equal(measure(one('n = count within 2h by agent'), past, call), beyond)
    assert.equal(measure(one('n = count within 30m by agent'), past, call), 1)
  })

  test('an amount that is no number is beyond any ceiling', () => {
    assert.equal(value('n = sum amount by person', [fact({ at: now - 1, amount: Number.NaN })]), beyond)
  })

  test('says what is wrong with its text', () => {
    for (const [text, problem] of [
      ['n = count', /expected `NAME/],
      ['n = count by everybody', /expected `by` one of/],
      ['n = distinct amount by task', /a kind of target/],
      ['n = count of egress by task', /expected tools such as/],
      ['n = count within 40d by task', /at most 31d/],
      ['n = count of effect:fly by task', /found `effect:fly`/],
    ] as const) {
      const parsed = parseMeasures(text)
      assert.ok(!parsed.ok)
      assert.match(parsed.problem, problem)
    }
  })

  test('never falls when calls are added within its window, but for `since` (property)', () => {
    const texts = [
      'n = count by person',
      'n = distinct id by agent',
      'n = sum amount by line',
      'n = sum risk by task',
    ]
    const facts = fc.array(
      fc.record({
        at: fc.integer({ min: now - 10 * hour, max: now }),
        amount: fc.nat(1000),
        task: fc.constantFrom('t_1', 't_2'),
        id: fc.constantFrom('a', 'b', 'c'),
      }),
      { maxLength: 30 },
    )
    fc.assert(
      fc.property(facts, fc.constantFrom(...texts), (made, text) => {
        const all = made
          .toSorted((a, b) => a.at - b.at)
          .map(({ at, amount, task, id }) => fact({ at, amount, tasks: [task], keys: { id: [id] } }))
        let last = value(text, [])
        for (let count = 1; count <= all.length; count += 1) {
          const next = value(text, all.slice(0, count))
          assert.ok(next >= last)
          last = next
        }
      }),
    )
  })
})

test('a window that moves says what looking at every call says (property)', () => {
  const texts = [
    'n = count of effect:egress within 2h by agent',
    'n = distinct id within 1h by person',
    'n = sum amount of mail/* within 90m by line',
    'n = sum risk within 3h by task',
    'n = count within 2h since web/fetch by agent',
    'n = distinct recipient of effect:egress since effect:read by person',
  ]
  const call = fc.record({
    wait: fc.integer({ min: -5, max: 45 }),
    amount: fc.nat(1000),
    task: fc.constantFrom('t_1', 't_2'),
    agent: fc.constantFrom('coder', 'scout'),
    id: fc.constantFrom('a', 'b', 'c'),
    reads: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
      const past = new PastTable()
      let at = now
      for (const { wait, amount, task, agent, id, reads } of calls) {
        at = Math.max(past.facts.at(-1)?.at ?? 0, at + wait * 60_000)
        const made = fact({
          at,
          amount,
          agent,
          tasks: [task, 't_0'],
          keys: { id: [id], recipient: [id] },
          ...(reads ? { tool: 'web/fetch', effects: ['read'] } : {}),
        })
        for (const text of texts) {
          const of = one(text)
          assert.equal(measure(of, past, made), Math.round(scanned(of, past, made)), text)
        }
        past.add(made)
      }
    }),
    { numRuns: 200 },
  )
})

describe('what is remembered of a person', () => {
  test('a stranger is one only once, within 31 days', () => {
    const past = new PastTable()
    const call = fact({ keys: { recipient: ['lee'], id: ['x'] } })
    assert.deepEqual(past.strangers(call), ['lee'])
    assert.ok(past.isFirstUse(call))
    past.add(fact({ ...call, at: now - hour }))
    assert.deepEqual(past.strangers(call), [])
    assert.equal(past.isFirstUse(call), false)
    assert.deepEqual(past.strangers({ ...call, at: now + 32 * 24 * hour }), ['lee'])
  })

  test('is bounded, and says from when on it is whole', () => {
    const past = new PastTable()
    for (let n = 0; n <= mostFacts; n += 1) past.add(fact({ at: n }))
    assert.ok(past.facts.length <= mostFacts)
    assert.ok(past.since > 0 && past.since <= (past.facts[0]?.at ?? 0))
  })
})
