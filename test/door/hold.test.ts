import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createHold, type HoldPorts } from '../../src/door/hold.ts'
import { refuse, type Refused } from '../../src/call/refusal.ts'
import { settled, text } from './mcp/harness.ts'
import type { Arrival } from '../../src/call/states.ts'
import type { Ask } from '../../src/approval/ask.ts'

function arrival(signal: AbortSignal = new AbortController().signal): Arrival {
  return {
    call: 'c_1',
    chain: 'c_1',
    door: 'mcp',
    credential: { kind: 'none' },
    wanted: { server: 's', operation: 'call', name: 'n' },
    arguments: {},
    leg: null,
    signal,
    progress: () => undefined,
  }
}

/** A path that asks as long as `state` is pending. */
function scripted(more: Partial<HoldPorts> = {}, expiresAt = 1e9) {
  const script = {
    state: 'pending' as Ask['state'],
    runs: 0,
    tell: (_ask: string): void => undefined,
    stopped: false,
  }
  const waiting = (): Refused => refuse('approval-required', 'approve', '', { ask: { id: 'a_1', expiresAt } })
  const hold = createHold({
    run: async (a) => {
      script.runs += 1
      if (script.state === 'pending') return waiting()
      return script.state === 'approved'
        ? settled(a, text('done'))
        : refuse('approval-refused', 'approve', '')
    },
    approvals: {
      get: async () => ({ state: script.state }) as Ask,
      onAnswer: (tell) => {
        script.tell = tell
        return () => (script.stopped = true)
      },
    },
    clock: { now: () => 0 },
    pollMs: 10_000,
    atOnce: 10,
    ...more,
  })
  return { script, hold }
}

const wait = (forMs: number, more = {}) => ({
  forMs,
  closing: new AbortController().signal,
  waiting: () => undefined,
  everyMs: 1_000,
  ...more,
})
const soon = (act: () => void) => setTimeout(act, 20)

describe('holding a call', () => {
  test('an answer runs everything again, under the same call id', async () => {
    const { hold, script } = scripted()
    soon(() => {
      script.state = 'approved'
      script.tell('a_1')
    })
    const held = await hold.run(arrival(), wait(5_000))
    assert.equal(held.kind, 'done')
    assert.equal(script.runs, 2)
  })

  test('an answer that came before anyone listened is not missed', async () => {
    const { hold, script } = scripted({
      approvals: { get: async () => ({ state: 'approved' }) as Ask, onAnswer: () => () => undefined },
    })
    soon(() => (script.state = 'approved'))
    // The first looks find an answer that the path does not show yet: it is run again a bounded number of times.
    const held = await hold.run(arrival(), wait(200))
    assert.equal(held.kind, 'waiting')
    assert.ok(script.runs <= 16)
  })

  test('an answer on another node is found by looking', async () => {
    const { hold, script } = scripted({ pollMs: 5 })
    soon(() => (script.state = 'refused'))
    const held = await hold.run(arrival(), wait(5_000))
    assert.equal(held.kind === 'done' && 'code' in held.result && held.result.code, 'approval-refused')
  })

  test('without an answer the leg ends, and the refusal is what it was', async () => {
    const { hold } = scripted()
    const held = await hold.run(arrival(), wait(20))
    assert.equal(held.kind === 'waiting' && held.refused.code, 'approval-required')
  })

  test('the ask’s own end runs the path again: it says how it ended', async () => {
    const { hold, script } = scripted({}, 30)
    soon(() => (script.state = 'refused'))
    assert.equal((await hold.run(arrival(), wait(5_000))).kind, 'done')
  })

  test('a caller who has gone gets nothing run, even if the approval comes', async () => {
    const { hold, script } = scripted()
    const caller = new AbortController()
    soon(() => caller.abort())
    assert.equal((await hold.run(arrival(caller.signal), wait(5_000))).kind, 'gone')
    script.state = 'approved'
    script.tell('a_1')
    assert.equal(script.runs, 1)
  })

  test('closing ends the waiting, not the ask', async () => {
    const { hold, script } = scripted()
    const closing = new AbortController()
    soon(() => closing.abort())
    assert.equal((await hold.run(arrival(), wait(5_000, { closing: closing.signal }))).kind, 'waiting')
    hold.close()
    assert.equal(script.stopped, true)
  })

  test('beyond the bound a call is told to come back at once', async () => {
    const { hold, script } = scripted({ atOnce: 1 })
    const first = hold.run(arrival(), wait(5_000))
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal((await hold.run(arrival(), wait(5_000))).kind, 'waiting')
    script.state = 'approved'
    script.tell('a_1')
    assert.equal((await first).kind, 'done')
    script.state = 'pending'
    assert.equal((await hold.run(arrival(), wait(10))).kind, 'waiting')
  })

  test('says that it waits, at once and again', async () => {
    const { hold, script } = scripted()
    let told = 0
    const held = hold.run(arrival(), wait(5_000, { everyMs: 5, waiting: () => { if (++told === 3) { script.state = 'approved'; script.tell('a_1') } } })) // prettier-ignore
    assert.equal((await held).kind, 'done')
    assert.equal(told, 3)
  })
})
