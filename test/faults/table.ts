import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { changes, type ChangeName } from '../../src/store/changes.ts'
import { crowds, plays, setStage, type Play, type Stage } from './plays.ts'
import type { FaultEngine, Left, Lived } from './engines.ts'
import { injectStoreFault } from '../../src/store/fault.ts'
import { judge, known, noTruth, type Truth } from '../../scripts/kill/truth.ts'
import { lookInto, startBrokers } from './home.ts'
import { setTrap, type Trap } from './trigger.ts'
import { startUpstream, type Seen, type Upstream } from '../../scripts/kill/upstream.ts'
import { openCalls } from '../../src/store/verbs/fsck.ts'
import type { Broker } from '../../src/broker.ts'

/**
 * The table: every durable change × {nothing was kept, it was kept all the same, the process dies before, dies after}, by
 * real use of a whole broker. After each: what the store and the log say of themselves, and whether that is what the
 * servers, the agents and the person know.
 */

type Row = { readonly change: ChangeName; readonly play: Play; readonly words: string }

const rows: readonly Row[] = [
  ...Object.entries(plays).map(([change, play]) => ({ change: change as ChangeName, play, words: change })),
  ...crowds.map(({ change, play }, n) => ({ change, play, words: `${change}, in a crowd (${n + 1})` })),
]

const faults = {
  'fails, and nothing was kept': { at: 'before-commit', how: 'full' },
  'fails, and it was kept all the same': { at: 'after-commit', how: 'full' },
} as const

/** Everything a death at one moment is judged by: nobody can know more than was known then. */
type Death = { readonly left: Left; readonly truth: Truth; readonly seen: Seen }

export function playTable(engine: FaultEngine): void {
  describe(`${engine.name}: a change that`, () => {
    let upstream: Upstream
    let lived: Lived
    let broker: Broker
    const brokers = startBrokers()
    let stage: Stage
    const truth = noTruth()
    const traps = rows.flatMap(({ change, words }) => [
      ...Object.entries(faults).map(([name, { at, how }]) => ({
        name,
        words,
        trap: setTrap(change, at, how),
      })),
      { name: 'before', words, trap: setTrap(change, 'before-commit', 'hold') },
      { name: 'after', words, trap: setTrap(change, 'after-commit', 'hold') },
    ])
    const trapOf = (row: Row, name: string): Trap => {
      const found = traps.find((one) => one.words === row.words && one.name === name)
      assert.ok(found)
      return found.trap
    }

    before(async () => {
      upstream = await startUpstream()
      lived = await engine.begin(upstream)
      broker = await brokers.start(lived.config, { [injectStoreFault]: traps.map(({ trap }) => trap.fault) })
      await broker.listed
      stage = await setStage({ broker, truth, url: upstream.url })
    })
    after(async () => {
      await brokers.endAll()
      await upstream.close()
      await lived.end()
    })

    const checkNow = async (): Promise<void> => {
      const viewing = await lived.view()
      const found = await lookInto(viewing, { home: lived.config.home, vkey: lived.vkey })
      await viewing.close()
      assert.deepEqual(found.report.findings, [])
      const { unsettled, ...judged } = judge(truth, upstream.seen(), found.intents)
      assert.deepEqual(judged, { unrecorded: 0, doubleSpent: 0, dishonest: [] })
      assert.ok(
        unsettled <= found.report.open.living.length,
        'a call has no outcome, and nobody will give it one',
      )
    }

    /** What is owed was paid: else that would be what fails next, and not the play. */
    const quiet = async (): Promise<void> => {
      const viewing = await lived.view()
      for (let n = 0; n < 200 && (await viewing.view(openCalls())).length > 0; n += 1)
        await new Promise((after) => setTimeout(after, 20))
      await viewing.close()
    }

    for (const [name, fault] of Object.entries(faults)) {
      for (const row of rows) {
        it(`${name}: ${row.words}`, async () => {
          await quiet()
          const trap = trapOf(row, name)
          const heard = stage.heard.length
          trap.arm()
          await row.play(stage)
          assert.ok(trap.disarm(), `\`${row.change}\` did not happen (${fault.at})`)
          await checkNow()
          assert.ok(stage.heard.length > heard || unheard.has(row.change), 'nobody was told')
          assert.ok(await row.play(stage), 'the same again must be possible')
          await checkNow()
        })
      }
    }

    for (const row of rows) {
      it(`is under way when the process dies: ${row.words}`, async () => {
        const deaths: Death[] = []
        const holds = ['before', 'after'].map((name) => trapOf(row, name))
        for (const trap of holds) trap.arm()
        const watched = holds.map(async (trap) => {
          await trap.struck()
          if (deaths.length < holds.length) deaths.push(await die())
          return trap.disarm()
        })
        await row.play(stage)
        await Promise.race([Promise.all(watched), new Promise((after) => setTimeout(after, 10_000).unref())])
        for (const trap of holds) trap.disarm()
        assert.deepEqual(await Promise.all(watched), [true, true], `\`${row.change}\` did not happen`)
        for (const death of deaths) await checkDeath(death)
      })
    }

    const die = async (): Promise<Death> => {
      const then = { truth: known(truth), seen: upstream.seen() }
      return { left: await lived.death(), ...then }
    }

    const checkDeath = async ({ left, truth: then, seen }: Death): Promise<void> => {
      const settled = await left.recover()
      const viewing = await left.view()
      const ahead = Date.now() + 3_600_000
      const found = await lookInto(viewing, { home: left.home, vkey: lived.vkey, now: ahead })
      await viewing.close()
      await left.end()
      assert.deepEqual(found.report.findings, [])
      assert.deepEqual(found.report.open, { living: [], waiting: [], leases: [] })
      assert.deepEqual(judge(then, seen, found.intents), {
        unrecorded: 0,
        unsettled: 0,
        doubleSpent: 0,
        dishonest: [],
      })
      const lost = found.intents.filter(({ call }) => settled.includes(call))
      assert.ok(lost.every(({ outcome }) => outcome === 'unknown'))
    }

    it('leaves, after all of them and another start, a store and a log that are whole', async () => {
      await brokers.end(broker)
      const next = await brokers.start(lived.config)
      assert.deepEqual(next.recovered, [], 'an orderly end leaves nothing to recover')
      await next.listed
      const again = await setStage({ broker: next, truth, url: upstream.url }, 'scout')
      assert.ok(await plays['calls.intend'](again))
      await brokers.end(next)
      const viewing = await lived.view()
      const ahead = Date.now() + 3_600_000
      const found = await lookInto(viewing, { home: lived.config.home, vkey: lived.vkey, now: ahead })
      await viewing.close()
      assert.deepEqual(found.report.findings, [])
      assert.deepEqual(found.report.open, { living: [], waiting: [], leases: [] })
      assert.equal(judge(truth, upstream.seen(), found.intents).unsettled, 0)
    })

    it('is every change that the store knows', () => {
      assert.deepEqual(Object.keys(plays).sort(), Object.keys(changes).sort())
    })
  })
}

/** Nobody waits for these: what fails is done again by itself, or stands all the same. */
const unheard: ReadonlySet<ChangeName> = new Set([
  'log.append',
  'registry.putView',
  'secrets.closeLease',
  'settings.beat',
])
