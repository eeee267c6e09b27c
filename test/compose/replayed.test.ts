import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { cli } from '../cli/run.ts'
import { world, type World } from '../world.ts'

/** A broker that allows everything has run for a while; what would stricter policies have said? */

let place: World
before(async () => {
  place = await world({ config: { policy: { starter: 'observe' } } })
  const client = await place.client()
  for (const words of ['a', 'b', 'c'])
    await client.callTool({ name: 'playground__notes_search', arguments: { words } })
  await client.callTool({ name: 'playground__payment_send', arguments: { recipient: 'eve', amount: 5 } })
})
after(() => place.close())

const replay = async (...args: readonly string[]) => {
  const ran = await cli(['policy', 'replay', '--home', place.home, '--json', ...args])
  assert.equal(ran.exit, 0, ran.out + ran.err)
  return JSON.parse(ran.out)
}

describe('policy replay', () => {
  it('finds nothing new under the set that is live', async () => {
    const { calls, counts, questionsPerDay } = await replay('--starter', 'observe')
    assert.equal(calls, 4)
    assert.deepEqual(counts, { denied: 0, asked: 0, allowed: 0 })
    assert.deepEqual(questionsPerDay, { before: 0, after: 0 })
  })

  it('names the calls that a stricter set would have asked about, with what the task had read by then', async () => {
    const { counts, newly, questionsPerDay, groups } = await replay('--starter', 'guarded')
    assert.deepEqual(counts, { denied: 0, asked: 1, allowed: 0 })
    assert.equal(newly.asked[0].tool, 'playground/payment_send')
    const log = await cli(['audit', 'call', newly.asked[0].call, '--home', place.home])
    assert.match(log.out, /intent/)
    assert.ok(groups[0].policies.length > 0)
    assert.equal(questionsPerDay.after, 1)
  })

  it('counts what lies before `--since` for its chain only', async () => {
    const { calls } = await replay('--starter', 'guarded', '--since', '2999-01-01')
    assert.equal(calls, 0)
  })

  it('says it to people, too', async () => {
    const ran = await cli(['policy', 'replay', '--home', place.home, '--starter', 'guarded'])
    assert.match(ran.out, /^newly asked: 1$/m)
    assert.match(ran.out, /playground\/payment_send, allowed before: guarded\//)
  })
})
