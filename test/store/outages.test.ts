import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { injectStoreFault } from '../../src/store/fault.ts'
import type { StoreFault } from '../../src/store/fault.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { StoreUnavailable } from '../../src/store/ports.ts'
import type { Store } from '../../src/store/ports.ts'
import { actEntry, aTask, intendRequest, settleRequest } from '../../src/testing/samples.ts'
import type { DatabaseAddress } from '../postgres.ts'
import { aCluster, aNode, listening } from './nodes.ts'
import { demandWhole } from './whole.ts'

const cluster = aCluster()

type Struck = {
  readonly store: Store
  readonly database: DatabaseAddress
  readonly results: readonly PromiseSettledResult<unknown>[]
}

/** Opens a task (batch 1), then writes an intent and an act (batch 2) into the fault. */
async function struck(t: TestContext, fault: Omit<StoreFault, 'batch'>): Promise<Struck> {
  const database = await cluster().database()
  const store = await aNode(t, { database, answerMs: 700, [injectStoreFault]: { batch: 2, ...fault } })
  await store.tasks.open(aTask(), 0, actEntry())
  const results = await Promise.allSettled([
    store.calls.intend(intendRequest()),
    store.calls.intend(intendRequest({ call: 'c_2' })),
  ])
  return { store, database, results }
}

const demandRejected = (results: Struck['results']): void => {
  for (const one of results)
    assert.ok(one.status === 'rejected' && one.reason instanceof StoreUnavailable, one.status)
}

describe('a database that fails under a batch', () => {
  it('a connection that is lost before the commit: the batch is made once more, and once', async (t) => {
    const { store, results } = await struck(t, { at: 'before-commit', how: 'die' })
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'fulfilled'],
    )
    assert.equal(await store.log.size(), 3)
    await demandWhole(store)
  })

  for (const how of ['io-error', 'full', 'hang'] as const)
    it(`before the commit (${how}): nothing is said to be done, nothing is, and the store goes on`, async (t) => {
      const { store, results } = await struck(t, { at: 'before-commit', how })
      demandRejected(results)
      assert.equal(await store.log.size(), 1)
      await demandWhole(store)
      assert.equal((await store.calls.intend(intendRequest())).kind, 'intended')
      await demandWhole(store)
    })

  for (const at of ['commit', 'after-commit'] as const)
    for (const how of ['die', 'io-error', 'hang'] as const)
      it(`${at} (${how}): nothing is said to be done, whether or not it is, and recovery finds it`, async (t) => {
        const { store, results } = await struck(t, { at, how })
        demandRejected(results)
        // What was sent may still be under way; whatever needs its locks waits for it.
        for (const call of ['c_1', 'c_2']) {
          const settled = await store.calls.settle(settleRequest({ call, outcome: 'not-sent' }))
          assert.ok('settled' in settled || settled.problem === 'no-intent')
        }
        if (at === 'after-commit') assert.equal(await store.log.size(), 5)
        assert.deepEqual(await store.calls.unsettled([]), [])
        await demandWhole(store)
      })
})

/** A fault's trigger, and how to wait until it has struck. */
function armed() {
  const trigger = new Int32Array(new SharedArrayBuffer(4))
  Atomics.store(trigger, 0, 1)
  const struck = async (): Promise<void> => {
    while (Atomics.load(trigger, 0) !== -1) await sleep(5)
  }
  return { trigger, struck }
}

describe('a connection that is cut', () => {
  it('a backend that an administrator ends in the middle of a batch costs nothing but time', async (t) => {
    const database = await cluster().database()
    const { trigger, struck } = armed()
    const fault = { batch: 2, at: 'before-commit', how: 'hold', trigger } as const
    const store = await aNode(t, { database, [injectStoreFault]: fault })
    await store.tasks.open(aTask(), 0, actEntry())
    const made = Promise.all([
      store.calls.intend(intendRequest()),
      store.calls.intend(intendRequest({ call: 'c_2' })),
    ])
    await struck()
    const ended = await cluster().admin(
      database,
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and state = 'idle in transaction' and application_name like 'countersign%'`,
    )
    assert.ok(ended.length > 0)
    Atomics.store(trigger, 0, 0)
    Atomics.notify(trigger, 0)
    assert.deepEqual(await made, [{ kind: 'intended' }, { kind: 'intended' }])
    await demandWhole(store)
  })

  it('idle connections that were all ended are opened again, for changes and for views', async (t) => {
    const database = await cluster().database()
    const store = await aNode(t, { database })
    await store.tasks.open(aTask(), 0, actEntry())
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(Array.from({ length: 12 }, () => store.tasks.get('t_1')))
      await cluster().admin(
        database,
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'countersign%'",
      )
      const [task, intended] = await Promise.all([
        store.tasks.get('t_1'),
        store.calls.intend(intendRequest({ call: `c_${round}` })),
      ])
      assert.equal(task?.id, 't_1')
      assert.equal(intended.kind, 'intended')
    }
    await demandWhole(store)
  })

  it('what another node left open is waited for, and then not seen', async (t) => {
    const database = await cluster().database()
    const { trigger, struck } = armed()
    const fault = { batch: 2, at: 'before-commit', how: 'hang', trigger } as const
    const dead = await aNode(t, { database, answerMs: 400, [injectStoreFault]: fault })
    const living = await aNode(t, { database })
    await dead.tasks.open(aTask({ budget: { calls: 1 } }), 0, actEntry())
    const left = assert.rejects(dead.calls.intend(intendRequest({ call: 'c_dead' })), StoreUnavailable)
    await struck()
    assert.equal((await living.calls.intend(intendRequest({ call: 'c_living' }))).kind, 'intended')
    await left
    assert.deepEqual(await living.log.byCall('c_dead'), [])
    await demandWhole(living)
  })
})

/** Stands between a node and its database, and can swallow everything without a word. */
async function aWire(t: TestContext, to: DatabaseAddress) {
  let cut = false
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(to.port, to.host)
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      // Those that were open when it was cut stay dead for good, like a connection that a router has forgotten.
      let dead = false
      from.on('data', (bytes) => {
        dead ||= cut
        if (!dead) into.write(bytes)
      })
      from.on('error', () => undefined)
      from.on('close', () => {
        sockets.delete(from)
        if (!dead && !cut) into.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  return { database: { ...to, port: address.port }, cut: (on: boolean) => void (cut = on) }
}

describe('a network that swallows everything', () => {
  it('calls and views are refused while it lasts; afterwards all goes on, and the others were not held up', async (t) => {
    const direct = await cluster().database()
    const wire = await aWire(t, direct)
    const short = { answerMs: 500, connectMs: 300 }
    const [far, near] = [
      await aNode(t, { database: wire.database, ...short }),
      await aNode(t, { database: direct }),
    ]
    const news = listening(far)
    await far.tasks.open(aTask(), 0, actEntry())
    assert.equal((await far.calls.intend(intendRequest({ call: 'c_before' }))).kind, 'intended')
    wire.cut(true)
    await assert.rejects(far.calls.intend(intendRequest({ call: 'c_cut' })), StoreUnavailable)
    await assert.rejects(far.tasks.snapshot('t_1', 0), StoreUnavailable)
    assert.equal((await near.calls.intend(intendRequest({ call: 'c_near' }))).kind, 'intended')
    wire.cut(false)
    await news.first('missed')
    await until(async () => (await far.calls.intend(intendRequest({ call: 'c_after' }))).kind === 'intended')
    assert.equal((await far.tasks.snapshot('t_1', 0))?.usage.calls, 3)
    await demandWhole(near)
  })
})

/** Tries again while the store cannot say. */
async function until(attempt: () => Promise<boolean>): Promise<void> {
  for (let n = 0; n < 100; n += 1) {
    try {
      if (await attempt()) return
    } catch (error) {
      assert.ok(error instanceof StoreUnavailable, String(error))
    }
    await sleep(50)
  }
  assert.fail('it did not go on')
}

/** Calls until told to stop, and notes what was acknowledged. */
function underLoad(nodes: readonly Store[]) {
  const seen = { intended: new Set<string>(), settled: new Set<string>(), refused: 0 }
  const going = { on: true }
  const lane = async (store: Store, name: number): Promise<void> => {
    for (let n = 0; going.on; n += 1) {
      const call = `c_${name}_${n}`
      try {
        await store.calls.intend(intendRequest({ call }))
        seen.intended.add(call)
        await store.calls.settle(settleRequest({ call }))
        seen.settled.add(call)
      } catch (error) {
        assert.ok(error instanceof StoreUnavailable, String(error))
        seen.refused += 1
        await sleep(20)
      }
    }
  }
  const lanes = Promise.all([...nodes, ...nodes, ...nodes].map(lane))
  return {
    seen,
    stop: async () => {
      going.on = false
      await lanes
    },
  }
}

/** Until so many more calls were settled. */
async function more(settled: ReadonlySet<string>, calls: number): Promise<void> {
  const until = settled.size + calls
  while (settled.size < until) await sleep(10)
}

describe('a database that goes away under load', () => {
  for (const how of ['stop', 'crash'] as const)
    it(`${how}: calls are refused while it lasts, what was acknowledged is there, and it goes on by itself`, async (t) => {
      const database = await cluster().database()
      const nodes = [await aNode(t, { database }), await aNode(t, { database })]
      await nodes[0]?.tasks.open(aTask(), 0, actEntry())
      const { seen, stop } = underLoad(nodes)
      await more(seen.settled, 20)
      await cluster()[how]()
      const before = seen.settled.size
      await sleep(300)
      assert.equal(seen.settled.size, before)
      assert.ok(seen.refused > 0)
      await cluster().start()
      await more(seen.settled, 20)
      await stop()
      const store = await openPostgres({ database })
      for (const call of seen.settled) assert.equal((await store.log.byCall(call)).length, 2, call)
      for (const call of seen.intended) assert.ok((await store.log.byCall(call)).length >= 1, call)
      await demandWhole(store)
      // Whoever owes an outcome repeats it; what has one already says so.
      for (const { call } of await store.calls.unsettled([]))
        await store.calls.settle(settleRequest({ call }))
      assert.deepEqual(await store.calls.unsettled([]), [])
      await demandWhole(store)
      await store.close()
    })
})
