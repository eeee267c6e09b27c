import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { clean } from '../../src/flow/labels.ts'
import { livingMs } from '../../src/compose/living.ts'
import { recoverAtStart, startUpkeep, type UpkeepParts } from '../../src/compose/upkeep.ts'
import { StoreUnavailable } from '../../src/store/ports.ts'
import { demandInvariants } from '../call/invariants.ts'
import { endOf, field, hang, pathWorld, text, type PathWorld } from '../call/world.ts'

/** What the broker does of itself, once a second: each chore, and that no chore that fails stops another. */

let w: PathWorld
let parts: UpkeepParts
let upkeep: ReturnType<typeof startUpkeep> | null = null
beforeEach(async () => {
  w = await pathWorld({ flood: { burst: 1, perSecond: 0, windowMs: 1000 } })
  parts = {
    ground: w.ground,
    core: w.core,
    owed: w.owed,
    flood: w.flood,
    nodes: { poll: async () => undefined },
  }
  mock.timers.enable({ apis: ['setInterval'] })
})
afterEach(async () => {
  await upkeep?.stop()
  upkeep = null
  mock.timers.reset()
  await w.close()
})

/** One turn, and what it started. */
async function turn(): Promise<void> {
  mock.timers.tick(1000)
  const size = async () => `${await w.ground.store.log.size()}`
  // Every chore ends in the store; a few quiet turns of the loop after the last change mean that it is over.
  for (let quiet = 0, last = ''; quiet < 30;) {
    await new Promise((resolve) => setTimeout(resolve, 2))
    const now = await size()
    quiet = now === last ? quiet + 1 : 0
    last = now
  }
}

const down = (): Promise<never> => Promise.reject(new StoreUnavailable('the disk is gone'))
const withStore = (store: Partial<typeof w.ground.store>): UpkeepParts => ({
  ...parts,
  ground: { ...w.ground, store: { ...w.ground.store, ...store } },
})

describe('upkeep', () => {
  it('ends tasks that are over, and their processes with them', async () => {
    const task = await w.open({ lifetimeMs: 500 })
    upkeep = startUpkeep(parts)
    w.clock.move(1000)
    await turn()
    assert.equal((await w.core.tasks.get(task.id))?.state, 'closed')
    assert.deepEqual(w.faults, [])
  })

  it('writes what is owed', async () => {
    w.owed.refusal('denied')
    upkeep = startUpkeep(parts)
    await turn()
    const gap = (await w.entries()).find(({ act }) => act === 'log-gap')
    assert.deepEqual(field(gap, 'detail'), { refusals: { denied: 1 }, outcomes: 0 })
  })

  it('writes counted refusals as one entry, which says how many, of whom, when', async () => {
    const task = await w.open()
    for (let n = 0; n < 8; n += 1) await w.call(task, 'files/wipe')
    upkeep = startUpkeep(parts)
    w.clock.move(2000)
    await turn()
    const entries = (await w.entries()).filter(({ code }) => code === 'denied')
    assert.deepEqual(
      entries.map(({ count }) => count),
      [1, 7],
    )
    const [, counted] = entries
    assert.deepEqual(
      [counted?.['task'], field(counted, 'who')['name'], counted?.['wanted']],
      [task.id, 'coder', 'files/wipe'],
    )
    assert.equal(
      (await w.ground.store.tasks.snapshot(task.id, 0))?.history.refused,
      8,
      'the history knows all of them',
    )
  })

  it('keeps what was counted when the log cannot be written, and writes it later', async () => {
    const task = await w.open()
    for (let n = 0; n < 8; n += 1) await w.call(task, 'files/wipe')
    for (let n = 0; n < 3; n += 1) await w.call(task, 'files/nothing')
    let failing = true
    const { log } = w.ground.store
    upkeep = startUpkeep(
      withStore({ log: { ...log, append: (...given) => (failing ? down() : log.append(...given)) } }),
    )
    w.clock.move(2000)
    await turn()
    assert.ok(w.faults.length > 0, 'a failure is told')
    failing = false
    await turn()
    const counts = (await w.entries())
      .filter(({ kind }) => kind === 'refused')
      .map(({ code, count }) => `${String(code)} ${String(count)}`)
    assert.deepEqual(counts.sort(), ['denied 1', 'denied 7', 'unknown-tool 3'])
  })

  it('goes on with every other chore when one fails', async () => {
    const task = await w.open()
    for (let n = 0; n < 3; n += 1) await w.call(task, 'files/wipe')
    w.owed.refusal('fault')
    const { settings } = w.ground.store
    upkeep = startUpkeep({
      ...withStore({ settings: { ...settings, beat: down } }),
      core: { ...w.core, tasks: { ...w.core.tasks, sweep: down } },
    })
    w.clock.move(2000)
    await turn()
    assert.equal(w.faults.length, 2)
    const entries = await w.entries()
    assert.ok(entries.some(({ act }) => act === 'log-gap'))
    assert.ok(entries.some(({ count }) => count === 2))
  })

  it('I2: settles what a silent incarnation left, and nothing of its own, even when its heartbeat cannot be written', async () => {
    w.servers.script(hang)
    const task = await w.open()
    const stop = new AbortController()
    const own = w.call(task, 'files/note', { path: 'own' }, { signal: stop.signal })
    const foreign = { ...w.ports.settings, broker: 'b_0000000000000000000007' }
    const lost = w.call(
      task,
      'files/note',
      { path: 'lost' },
      { signal: stop.signal, ports: { settings: foreign } },
    )
    while (w.servers.reached.length < 2) await new Promise(setImmediate)
    await w.ground.store.settings.beat(foreign.broker, w.clock.now())
    const { settings } = w.ground.store
    const several = withStore({ settings: { ...settings, beat: down } })
    upkeep = startUpkeep({ ...several, ground: { ...several.ground, alone: false } })
    await turn()
    assert.equal((await w.ground.store.calls.unsettled([])).length, 2, 'one that was seen lives')
    for (let passed = 0; passed <= livingMs; passed += 4000) {
      w.clock.move(4000)
      await turn()
    }
    const left = await w.ground.store.calls.unsettled([])
    assert.deepEqual(
      left.map(({ broker }) => broker),
      [w.ground.broker],
    )
    stop.abort()
    assert.deepEqual([endOf(await own), endOf(await lost)], ['unknown', 'unknown'])
    await upkeep.stop()
    await demandInvariants(w)
  })

  it('writes the rest when it stops', async () => {
    const task = await w.open()
    for (let n = 0; n < 4; n += 1) await w.call(task, 'files/wipe')
    w.owed.refusal('fault')
    w.owed.outcome({ call: 'c_0000000000000000000001', task: task.id, lease: null, labels: clean })
    upkeep = startUpkeep(parts)
    await upkeep.stop()
    const entries = await w.entries()
    assert.ok(entries.some(({ count }) => count === 3))
    assert.ok(entries.some(({ act }) => act === 'log-gap'))
  })
})

describe('a start', () => {
  it('I2 I5: settles what the last incarnation left and closes the leases that it had open', async () => {
    w.servers.script(hang)
    const under = w.call(await w.open(), 'bank/balance')
    while (w.servers.reached.length === 0) await new Promise(setImmediate)
    assert.equal((await w.ground.store.secrets.openLeases()).length, 1)
    await w.close('keep')
    const next = await pathWorld({ home: w.home, clock: w.clock })
    const settled = await recoverAtStart({
      ground: next.ground,
      core: next.core,
      owed: next.owed,
      flood: next.flood,
    })
    assert.equal(settled.length, 1)
    assert.deepEqual(await next.ground.store.secrets.openLeases(), [])
    next.servers.script(() => text('done'))
    await demandInvariants(next)
    // The old incarnation wakes up again: its answer is worth nothing any more.
    await w.core.revocations
      .revoke({ key: 'all', reason: 'end' }, { name: 'operator', proof: 'terminal' })
      .catch(() => undefined)
    assert.equal(endOf(await under), 'unknown')
    w = next
  })
})
