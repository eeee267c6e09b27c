import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { Answer } from '../../src/approval/ask.ts'
import { proofClasses } from '../../src/approval/ask.ts'
import { effects } from '../../src/registry/tool.ts'
import { noUsage } from '../../src/task/task.ts'
import type { Budget } from '../../src/task/task.ts'
import { decide } from '../../src/store/verbs/approvals.ts'
import { describe as describeEntry } from '../../src/store/verbs/about.ts'
import { maxUnknown, noMemory, overspent, remember, use, widens } from '../../src/store/verbs/line.ts'
import { leafHash } from '../../src/store/verbs/log.ts'
import { actEntry, refusedEntry } from '../../src/testing/samples.ts'

const limit = fc.option(fc.nat({ max: 5 }), { nil: undefined })
const budgets: fc.Arbitrary<Budget> = fc.tuple(limit, limit, limit).map(([calls, read, write]) => ({
  ...(calls === undefined ? {} : { calls }),
  effects: { ...(read === undefined ? {} : { read }), ...(write === undefined ? {} : { write }) },
}))
const calls = fc.array(fc.subarray([...effects], { minLength: 1 }), { maxLength: 8 })

const answers: fc.Arbitrary<Answer[]> = fc.array(
  fc.record({
    by: fc.constantFrom('owner', 'worker', 'operator', 'approver'),
    proof: fc.constantFrom(...proofClasses),
    answer: fc.constantFrom('approve' as const, 'refuse' as const),
    reason: fc.constant(''),
    at: fc.nat(),
  }),
  { maxLength: 6 },
)
const requirement = fc.record({
  count: fc.integer({ min: 0, max: 3 }),
  independent: fc.boolean(),
  proof: fc.constantFrom(...proofClasses),
})

describe('the rules of budgets', () => {
  it('what a narrower budget allows, the wider one allowed', () => {
    fc.assert(
      fc.property(budgets, budgets, calls, (old, next, made) => {
        const used = made.reduce(use, noUsage)
        if (!widens(old, next) && overspent(next, used) === null) assert.equal(overspent(old, used), null)
      }),
    )
  })

  it('a budget never widens itself, and no budget is wider than none', () => {
    fc.assert(
      fc.property(budgets, (budget) => {
        assert.ok(!widens(budget, budget))
        assert.ok(!widens({}, budget))
        assert.equal(
          widens(budget, {}),
          budget.calls !== undefined || Object.keys(budget.effects ?? {}).length > 0,
        )
      }),
    )
  })

  it('a call counts once in each of its effects, however often it names one', () => {
    assert.deepEqual(use(noUsage, ['write', 'write', 'spend']), { calls: 1, effects: { write: 1, spend: 1 } })
  })
})

describe('the rule of answers', () => {
  it('more approval never undoes one, and a refusal always refuses', () => {
    fc.assert(
      fc.property(requirement, answers, answers, (asked, first, more) => {
        const ask = { requirement: asked, owner: 'owner', agent: 'worker' }
        const all = [...first, ...more]
        if (all.some(({ answer }) => answer === 'refuse')) assert.equal(decide(ask, all), 'refused')
        else if (decide(ask, first) === 'approved') assert.equal(decide(ask, all), 'approved')
      }),
    )
  })

  it('nobody approves by saying nothing', () => {
    assert.equal(
      decide(
        { requirement: { count: 0, independent: false, proof: 'terminal' }, owner: 'owner', agent: 'worker' },
        [],
      ),
      'pending',
    )
  })
})

describe('what an agent remembers', () => {
  it('is bounded, and a write is forgotten only with `forgotten` set', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: 600 }), fc.boolean()), { minLength: 200, maxLength: 700 }),
        (outcomes) => {
          const end = outcomes.reduce((memory, [n, changes]) => remember(memory, `f${n}`, changes), noMemory)
          assert.ok(end.unknown.length <= maxUnknown)
          assert.equal(end.revision, outcomes.length)
          const last = new Map(outcomes.map(([n, changes]) => [`f${n}`, changes]))
          const known = new Set(end.unknown.map(({ fingerprint }) => fingerprint))
          if (!end.forgotten)
            for (const [fingerprint, changes] of last) assert.ok(!changes || known.has(fingerprint))
        },
      ),
      { numRuns: 30 },
    )
  })

  it('a write stays a write when a read of the same fingerprint is unknown later', () => {
    const memory = remember(remember(noMemory, 'f', true), 'f', false)
    assert.deepEqual(memory.unknown, [{ fingerprint: 'f', changes: true }])
  })
})

describe('entries', () => {
  it('a leaf is SHA-256 over 0x00 and the entry (RFC 6962: the leaf of nothing)', () => {
    assert.equal(
      Buffer.from(leafHash(new Uint8Array(0))).toString('hex'),
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    )
  })

  it('the columns are read from the entry', () => {
    const who = { kind: 'agent', name: 'worker' }
    assert.deepEqual(describeEntry(refusedEntry({ call: 'c', task: 't_1', who, code: 'denied', count: 3 })), {
      kind: 'refused',
      call: 'c',
      task: 't_1',
      agent: 'worker',
      at: 1000,
      code: 'denied',
      count: 3,
    })
    assert.equal(describeEntry(actEntry({ subject: 't_9' })).task, 't_9')
    assert.equal(describeEntry(actEntry({ subject: 'files/read' })).task, null)
  })
})
