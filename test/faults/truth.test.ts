import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hear, judge, known, noTruth, type Intended, type Truth } from '../../scripts/kill/truth.ts'
import type { Told } from '../../scripts/kill/agent.ts'
import type { ToolName } from '../../scripts/kill/upstream.ts'

/** The judge of the kill-test, on stories that are short enough to be judged by hand. */

const sound = { unrecorded: 0, unsettled: 0, doubleSpent: 0, dishonest: [] }

const intent = (key: string, more: Partial<Intended> = {}): Intended => ({
  call: `c_${key}`,
  key,
  tool: 'one/note',
  task: 't_1',
  outcome: 'ok',
  ...more,
})

function story(told: { readonly [key: string]: readonly Told[] }, tool: ToolName = 'note'): Truth {
  const truth = noTruth()
  truth.tasks.set('t_1', { parent: null, calls: null })
  for (const [key, words] of Object.entries(told)) {
    truth.sent.set(key, { task: 't_1', tool })
    for (const one of words) truth.told.push({ key, told: one })
  }
  return truth
}

const done = (key: string): Told => ({ kind: 'done', call: `c_${key}`, text: `did ${key}` })
const refused = (key: string, code: string): Told => ({ kind: 'refused', call: `c_${key}`, code })
const lost: Told = { kind: 'lost' }

describe('the judge of what happened outside', () => {
  it('has nothing to say of a call that was made, recorded and told', () => {
    assert.deepEqual(judge(story({ a: [done('a')] }), { a: 1 }, [intent('a')]), sound)
  })

  it('counts a request that no intent stands for', () => {
    assert.equal(judge(story({ a: [lost] }), { a: 1 }, []).unrecorded, 1)
    assert.equal(judge(story({ a: [lost, lost] }), { a: 2, b: 1 }, [intent('a')]).unrecorded, 2)
  })

  it('does not let one call too few make up for one too many', () => {
    const intents = [intent('a'), intent('a', { call: 'c_a2' })]
    assert.equal(judge(story({ a: [lost], b: [lost] }), { b: 1 }, intents).unrecorded, 1)
  })

  it('counts intents without outcome', () => {
    assert.equal(judge(story({ a: [lost] }), { a: 1 }, [intent('a', { outcome: null })]).unsettled, 1)
  })

  it('counts calls beyond the budget of a task and of those above it', () => {
    const truth = story({ a: [done('a')], b: [done('b')], c: [done('c')] })
    truth.tasks.set('t_1', { parent: 't_0', calls: 5 })
    truth.tasks.set('t_0', { parent: null, calls: 2 })
    const intents = ['a', 'b', 'c'].map((key) => intent(key))
    assert.equal(judge(truth, { a: 1, b: 1, c: 1 }, intents).doubleSpent, 1)
    truth.tasks.set('t_1', { parent: 't_0', calls: 1 })
    assert.equal(judge(truth, { a: 1, b: 1, c: 1 }, intents).doubleSpent, 3)
  })

  it('counts a write that arrived more often than a person approved it', () => {
    const truth = story({ a: [done('a'), done('a')] }, 'write')
    truth.approved.set('a', 1)
    assert.equal(judge(truth, { a: 2 }, [intent('a'), intent('a', { call: 'c_2' })]).doubleSpent, 1)
    truth.approved.set('a', 2)
    assert.equal(judge(truth, { a: 2 }, [intent('a'), intent('a', { call: 'c_2' })]).doubleSpent, 0)
  })

  it('finds a success that is in no log, and a refusal of what was done', () => {
    assert.equal(judge(story({ a: [done('a')] }), {}, []).dishonest.length, 1)
    assert.equal(
      judge(story({ a: [done('a')] }), { a: 1 }, [intent('a', { outcome: 'unknown' })]).dishonest.length,
      1,
    )
    const denied = story({ a: [refused('a', 'denied')] })
    assert.equal(judge(denied, { a: 1 }, [intent('a')]).dishonest.length, 1)
    assert.equal(judge(denied, { a: 1 }, []).dishonest.length, 1)
  })

  it('takes no offence at what nobody could know', () => {
    const unheard = story({ a: [refused('a', 'approval-required'), lost] })
    assert.deepEqual(judge(unheard, { a: 1 }, [intent('a')]).dishonest, [])
    const withheld = story({ a: [refused('a', 'withheld')] })
    assert.deepEqual(judge(withheld, { a: 1 }, [intent('a')]).dishonest, [])
    const resumed = story({ a: [done('a'), refused('a', 'approval-required')] })
    assert.deepEqual(judge(resumed, { a: 1 }, [intent('a')]).dishonest, [])
  })

  it('knows which requests are under way, and keeps what was known at a moment', async () => {
    const truth = story({ a: [] })
    const { promise, resolve } = Promise.withResolvers<Told>()
    const heard = hear(truth, 'a', () => promise)
    const then = known(truth)
    resolve(done('a'))
    await heard
    assert.deepEqual([then.underway.get('a'), then.told.length], [1, 0])
    assert.deepEqual([truth.underway.size, truth.told.length], [0, 1])
  })
})
