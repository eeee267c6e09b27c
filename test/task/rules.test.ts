import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { changes } from '../../src/task/context.ts'
import { covering, covers, isPattern, within } from '../../src/task/match.ts'
import { effects } from '../../src/registry/tool.ts'
import { ended } from '../../src/task/expire.ts'
import { remaining, tighter, widens, widensBudget, type Scope } from '../../src/task/narrow.ts'
import type { Budget, Task } from '../../src/task/task.ts'

const ids = [
  'files/read',
  'files/write',
  'files/resource:file:///',
  'mail/send',
  'mail/prompt:draft',
] as const
const pattern = fc.constantFrom('*', 'files/*', 'mail/*', ...ids)
const patterns = fc.uniqueArray(pattern, { minLength: 1, maxLength: 4 })
const limit = fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined })
const budget: fc.Arbitrary<Budget> = fc
  .record({ calls: limit, write: limit, spend: limit })
  .map(({ calls, write, spend }) => ({
    ...(calls === undefined ? {} : { calls }),
    effects: { ...(write === undefined ? {} : { write }), ...(spend === undefined ? {} : { spend }) },
  }))
const scope: fc.Arbitrary<Scope> = fc.record({
  agent: fc.constantFrom('coder', 'other'),
  owner: fc.constant('owner'),
  environment: fc.constantFrom('development', 'production'),
  purposeClass: fc.constantFrom('general', 'incident'),
  tools: patterns,
  budget,
  expiresAt: fc.integer({ min: 0, max: 5 }),
  idleMs: fc.integer({ min: 0, max: 3 }),
})

/** Random pairs hardly ever narrow: these do, but for one member that may be anything. */
const meddling = fc.option(
  fc.constantFrom('agent', 'environment', 'purposeClass', 'tools', 'budget', 'expiresAt', 'idleMs'),
  { nil: null, freq: 3 },
)
const narrowed = (outer: Scope, by: Scope, change: keyof Scope | null): Scope => ({
  ...outer,
  tools: outer.tools.filter((one) => within([one], by.tools)),
  budget: tighter(outer.budget, by.budget),
  expiresAt: Math.min(outer.expiresAt, by.expiresAt),
  ...(change === null ? {} : { [change]: by[change] }),
})

describe('patterns over tools', () => {
  it('cover one tool, one server or everything', () => {
    assert.equal(covers(['files/read'], 'files/read'), true)
    assert.equal(covers(['files/read'], 'files/read2'), false)
    assert.equal(covers(['files/*'], 'files/prompt:a/b'), true)
    assert.equal(covers(['files/*'], 'files2/read'), false)
    assert.equal(covers(['*'], 'mail/send'), true)
    assert.equal(covers(['*'], 'no-server'), false)
    assert.equal(covers([], 'files/read'), false)
  })

  it('nothing else is a pattern', () => {
    for (const text of ['*', 'files/*', 'files/read', 'a.b/resource:file:///x'])
      assert.equal(isPattern(text), true, text)
    for (const text of [
      '',
      '**',
      '*/read',
      'files/',
      '/read',
      'files',
      'files/ read',
      'Files/read',
      'files//x',
    ])
      assert.equal(isPattern(text), false, text)
  })

  it('covering says of many tools, in whatever order, what covers says of each', () => {
    const part = fc.constantFrom('a', 'b', 'ab', 'a/b', '')
    const id = fc.tuple(part, part).map(([server, name]) => `${server}/${name}`)
    const odd = fc.constantFrom('*', 'a/*', 'ab/*', 'no-server', '/x', '')
    fc.assert(
      fc.property(
        fc.array(fc.oneof(id, odd), { maxLength: 4 }),
        fc.array(fc.oneof(id, odd), { maxLength: 12 }),
        (patterns, ids) => {
          const isCovered = covering(patterns)
          for (const one of ids) assert.equal(isCovered(one), covers(patterns, one), `\`${one}\``)
        },
      ),
    )
  })

  it('within is what covers says: whatever the inner ones cover, the outer ones cover', () => {
    fc.assert(
      fc.property(patterns, patterns, (inner, outer) => {
        if (!within(inner, outer)) return true
        return ids.every((id) => !covers(inner, id) || covers(outer, id))
      }),
    )
  })
})

describe('narrowing', () => {
  it('is transitive: nothing that was given up is won back further down', () => {
    let chains = 0
    fc.assert(
      fc.property(scope, scope, scope, meddling, meddling, (a, b, c, one, other) => {
        const inner = narrowed(a, b, one)
        const innermost = narrowed(inner, c, other)
        if (widens(inner, a) !== null || widens(innermost, inner) !== null) return true
        chains += 1
        return widens(innermost, a) === null
      }),
      { numRuns: 1000 },
    )
    assert.equal(chains > 100, true, `only ${chains} chains were walked`)
  })

  it('is reflexive', () => {
    fc.assert(fc.property(scope, (a) => widens(a, a) === null))
  })

  it('never lets through a tool, a call, a moment or a place that the outer one has not', () => {
    let pairs = 0
    fc.assert(
      fc.property(scope, scope, meddling, (outer, by, change) => {
        const inner = narrowed(outer, by, change)
        if (widens(inner, outer) !== null) return true
        pairs += 1
        return (
          ids.every((id) => !covers(inner.tools, id) || covers(outer.tools, id)) &&
          (inner.budget.calls ?? Infinity) <= (outer.budget.calls ?? Infinity) &&
          effects.every(
            (one) => (inner.budget.effects?.[one] ?? Infinity) <= (outer.budget.effects?.[one] ?? Infinity),
          ) &&
          inner.expiresAt <= outer.expiresAt &&
          inner.environment === outer.environment &&
          inner.purposeClass === outer.purposeClass &&
          inner.agent === outer.agent
        )
      }),
      { numRuns: 1000 },
    )
    assert.equal(pairs > 100, true, `only ${pairs} pairs narrowed`)
  })

  it('leaving a limit out is widening it', () => {
    assert.notEqual(widensBudget({}, { calls: 5 }), null)
    assert.notEqual(widensBudget({ calls: 5 }, { calls: 5, effects: { write: 1 } }), null)
    assert.equal(widensBudget({ calls: 5, effects: { write: 1 } }, { calls: 5 }), null)
  })

  it('the tighter of two budgets widens neither', () => {
    fc.assert(
      fc.property(
        budget,
        budget,
        (a, b) => widensBudget(tighter(a, b), a) === null && widensBudget(tighter(a, b), b) === null,
      ),
    )
  })

  it('what remains is what was given less what was used, and never below nothing', () => {
    assert.deepEqual(remaining({ calls: 5, effects: { write: 2 } }, { calls: 3, effects: { write: 4 } }), {
      calls: 2,
      effects: { write: 0 },
    })
    assert.deepEqual(remaining({}, { calls: 3, effects: {} }), {})
  })
})

describe('the end of a task', () => {
  const task = (more: Partial<Task> = {}): Task => ({
    id: 't_1',
    parent: null,
    agent: 'coder',
    owner: 'owner',
    purpose: { class: 'general', words: '' },
    environment: 'development',
    tools: ['*'],
    budget: {},
    openedAt: 1000,
    expiresAt: 9000,
    idleMs: 500,
    state: 'open',
    closedAt: null,
    closedBecause: null,
    context: {},
    ...more,
  })

  it('comes at its time, when nothing is asked of it, or when it is closed', () => {
    assert.equal(ended(task(), 1000, 1499), null)
    assert.equal(ended(task(), 1000, 1500), 'idle')
    assert.equal(ended(task(), 1400, 1500), null)
    assert.equal(ended(task({ idleMs: 0 }), 1000, 8999), null)
    assert.equal(ended(task({ idleMs: 0 }), 8999, 9000), 'expired')
    assert.equal(ended(task({ state: 'closed' }), 1000, 1001), 'closed')
  })

  it('does not come because the clock jumps back, and is not undone by that', () => {
    assert.equal(ended(task(), 1000, 0), null)
    assert.equal(ended(task({ state: 'closed' }), 1000, 0), 'closed')
  })

  it('comes when what it was bound to changes or is gone', () => {
    assert.deepEqual(changes({ policy: 'a', files: 'x' }, { policy: 'a', files: 'x', new: 'y' }), [])
    assert.deepEqual(changes({ policy: 'a', files: 'x' }, { policy: 'b' }), ['files', 'policy'])
    assert.deepEqual(changes({ toString: 'a' }, {}), ['toString'])
  })
})
