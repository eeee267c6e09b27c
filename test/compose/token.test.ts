import { describe, it } from 'node:test'
import { world } from '../world.ts'
import assert from 'node:assert/strict'

describe('a token that is asked for in vain', () => {
  it('leaves an entry that names no agent as proven, and a flood of them is counted', async (t) => {
    const w = await world()
    t.after(w.close)
    const ask = () =>
      fetch(new URL('/token', w.broker.urls.agents), {
        method: 'POST',
        body: new URLSearchParams({ grant_type: 'client_credentials' }),
      })
    for (let i = 0; i < 20; i += 1) assert.equal((await ask()).status, 401)
    const until = Date.now() + 5000
    const refused = async () => (await w.entries()).filter(({ stage }) => stage === 'token')
    while ((await refused()).length === 0 && Date.now() < until) await new Promise(setImmediate)
    const entries = await refused()
    // One a window; the minute may turn over while they come.
    assert.ok(entries.length >= 1 && entries.length <= 3, `${entries.length} entries for 20 refusals`)
    assert.equal(entries[0]?.['who'], null)
    assert.match(String(entries[0]?.['reason']), /invalid_client/)
  })
})
