import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compare } from '../../conformance/compare.ts'
import { firstDifference } from '../../conformance/differ.ts'
import { parse } from '../../conformance/requirements.ts'
import { reportAsText } from '../../conformance/report.ts'
import type { Check, Status } from '../../conformance/suite.ts'

const check = (id: string, status: Status): Check => ({ id, status, message: '' })
const found = (checks: readonly Check[]) => new Map([['scenario', checks]])

describe('what is lost on the way', () => {
  const direct = found([check('a', 'SUCCESS')])

  it('is what succeeds directly and fails, warns or is missing behind the broker', () => {
    for (const status of ['FAILURE', 'WARNING'] as const)
      assert.deepEqual(compare(direct, found([check('a', status)])).lost, [
        { id: 'scenario:a', status, message: '' },
      ])
    assert.equal(compare(direct, new Map()).lost[0]?.status, 'MISSING')
    assert.deepEqual(compare(direct, direct).lost, [])
  })

  it('is nothing that was not there before', () => {
    const failing = found([check('a', 'FAILURE')])
    assert.deepEqual(compare(failing, failing), { direct: 0, through: 0, lost: [], quiet: [] })
  })

  it('counts the worst of several checks with one id', () => {
    const mixed = found([check('a', 'SUCCESS'), check('a', 'FAILURE')])
    assert.equal(compare(direct, mixed).lost.length, 1)
    assert.equal(compare(mixed, direct).lost.length, 0)
  })

  it('what is not exercised is told apart from what fails', () => {
    const { lost, quiet } = compare(direct, found([check('a', 'INFO')]))
    assert.deepEqual([lost, quiet], [[], ['scenario:a']])
  })

  it('is printed with what the suite says of it', () => {
    const lost = [{ id: 'scenario:a', status: 'FAILURE', message: 'because' } as const]
    const set = { requirements: '2026-07-28', direct: 1, through: 0, lost, quiet: [], scored: { of: 1, through: 0 } } as const // prettier-ignore
    const text = reportAsText({ suite: '1', sets: [set], cross: [], client: null, real: null })
    assert.match(text, /lost 2026-07-28 scenario:a \(FAILURE: because\)/)
  })
})

describe('requirement sets', () => {
  const text = [
    '# a comment', 'server:', '  - one', '  - two', '', 'client:', '  - auth/three', '', 'not_scored:',
    '  - scenario: four', '    leg: server', '    reason: pending', '    note: >-', '      words - of theirs',
  ].join('\n') // prettier-ignore

  it('are read as they are written', () => {
    assert.deepEqual(parse(text), {
      server: ['one', 'two'],
      client: ['auth/three'],
      unscored: [{ scenario: 'four', leg: 'server', reason: 'pending' }],
    })
  })

  it('that cannot be read are no empty sets', () => {
    assert.throws(() => parse('servers: [one]'), /expected a requirement set/)
  })
})

describe('two answers', () => {
  it('are alike when their members are, in whatever order', () => {
    assert.equal(firstDifference({ a: [1, { b: 2, c: null }] }, { a: [1, { c: null, b: 2 }] }), null)
  })

  it('differ where the first of their members does', () => {
    assert.match(firstDifference({ a: [1, { b: 2 }] }, { a: [1, { b: 3 }] }) ?? '', /^\/a\/1\/b: directly 2, through the broker 3/) // prettier-ignore
    assert.match(firstDifference({ a: 1 }, {}) ?? '', /through the broker nothing/)
    assert.notEqual(firstDifference([1], { 0: 1 }), null)
  })
})
