import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import { setTimeout } from 'node:timers/promises'
import { world, type World } from '../world.ts'

/** A stricter set beside a broker that allows everything: calls go on as they did, and the log says what would change. */

const acts = async (place: World, name: string): Promise<readonly JsonObject[]> => {
  const until = Date.now() + 20_000
  for (;;) {
    const found = (await place.entries()).filter((entry) => entry['act'] === name)
    if (found.length > 0 || Date.now() > until) return found
    await setTimeout(100)
  }
}

const pay = async (place: World): Promise<string> => {
  const client = await place.client()
  const answer = await client.callTool({
    name: 'playground__payment_send',
    arguments: { recipient: 'mallory', amount: 5 },
  })
  return JSON.stringify(answer.content)
}

describe('shadow mode', () => {
  it('lets the call through as the live set says, and writes what the other would have said', async () => {
    let skew = 0
    const place = await world({
      clock: { now: () => Date.now() + skew },
      config: { policy: { starter: 'observe', shadow: 'guarded' } },
    })
    try {
      assert.equal((await acts(place, 'policy-shadow-loaded')).length, 1)
      assert.match(await pay(place), /Payment 1/)
      skew = 61_000
      const [entry] = await acts(place, 'policy-shadow-differs')
      assert.ok(isJsonObject(entry?.['detail']))
      const { tool, live, shadow, count, calls } = entry['detail']
      assert.equal(tool, 'playground/payment_send')
      assert.equal(count, 1)
      assert.ok(isJsonObject(live) && isJsonObject(shadow))
      assert.equal(live['decision'], 'allow')
      assert.equal(shadow['decision'], 'ask')
      assert.match(JSON.stringify(calls), /c_/)
      assert.doesNotMatch(JSON.stringify(entry), /mallory/)
      assert.deepEqual(place.faults, [])
    } finally {
      await place.close()
    }
  })

  it('a set that does not load leaves an entry and touches no call', async () => {
    const place = await world({
      config: { policy: { starter: 'observe', shadow: '/nowhere/at/all' } },
    })
    try {
      const [entry] = await acts(place, 'policy-shadow-refused')
      assert.match(JSON.stringify(entry), /policy\.shadow/)
      assert.match(await pay(place), /Payment 1/)
    } finally {
      await place.close()
    }
  })
})
