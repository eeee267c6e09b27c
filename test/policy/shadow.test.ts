import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import { createShadow, type Seen } from '../../src/policy/shadow.ts'
import type { Judgement, PolicySnapshot } from '../../src/policy/judge.ts'

const said = (decision: Judgement['decision'], more: Partial<Judgement> = {}): Judgement => ({
  decision,
  policies: ['p'],
  requirement: null,
  because: ['a reason'],
  errors: [],
  ...more,
})

const policy: PolicySnapshot = {
  version: 'sha256:shadow',
  reads: () => ({ labels: false, history: false, memory: false, person: false }),
  judge: () => said('deny'),
}

const seen = (call: string, shadow: () => Judgement, more: Partial<Seen> = {}): Seen => ({
  call,
  tool: 'mail/send',
  at: 1000,
  live: said('allow'),
  judge: shadow,
  ...more,
})

describe('a shadow', () => {
  it('notes a difference once a window, with the calls that it is of', () => {
    const shadow = createShadow(() => policy)
    shadow.see(seen('c_1', () => said('deny')))
    shadow.see(seen('c_2', () => said('deny'), { at: 2000 }))
    assert.deepEqual(shadow.drain(3000), [])
    const [one, ...others] = shadow.drain(61_000)
    assert.deepEqual(others, [])
    assert.equal(one?.count, 2)
    assert.deepEqual(one?.calls, ['c_1', 'c_2'])
    assert.equal(one?.until, 2000)
    assert.deepEqual(one?.live, { decision: 'allow', policies: ['p'], requirement: null })
    assert.deepEqual(shadow.drain(Infinity), [])
  })

  it('says nothing of sets that agree for other reasons', () => {
    const shadow = createShadow(() => policy)
    shadow.see(seen('c_1', () => said('allow', { policies: ['q'], because: [] })))
    assert.deepEqual(shadow.drain(Infinity), [])
  })

  it('takes another requirement for a difference', () => {
    const shadow = createShadow(() => policy)
    const ask = (count: number) =>
      said('ask', { requirement: { count, independent: false, proof: 'terminal' } })
    shadow.see(seen('c_1', () => ask(2), { live: ask(1) }))
    shadow.see(seen('c_2', () => ask(1), { live: ask(1) }))
    assert.deepEqual(
      shadow.drain(Infinity).map(({ calls }) => calls),
      [['c_1']],
    )
  })

  it('counts a call that is judged again once', () => {
    const shadow = createShadow(() => policy)
    for (let n = 0; n < 3; n += 1) shadow.see(seen('c_1', () => said('deny')))
    assert.equal(shadow.drain(Infinity)[0]?.count, 1)
  })

  it('a fault of its own stays its own', () => {
    const shadow = createShadow(() => policy)
    const fault = (): Judgement => {
      throw new Error('the shadow fell')
    }
    assert.doesNotThrow(() => shadow.see(seen('c_1', fault)))
    assert.equal(shadow.drain(Infinity)[0]?.shadow, null)
  })

  it('a flood of differences stays bounded, and none is lost from the sum', () => {
    const shadow = createShadow(() => policy)
    for (let n = 0; n < 5000; n += 1)
      shadow.see(seen(`c_${n}`, () => said('deny'), { tool: `mail/tool${n}` }))
    const drained = shadow.drain(Infinity)
    assert.ok(drained.length <= 257)
    assert.equal(
      drained.reduce((sum, { count }) => sum + count, 0),
      5000,
    )
    assert.ok(drained.every(({ calls }) => calls.length <= 10))
  })

  it('judges nothing while there is no set', () => {
    const shadow = createShadow(() => null)
    shadow.see(seen('c_1', () => assert.fail('judged')))
    assert.deepEqual(shadow.drain(Infinity), [])
  })
})
