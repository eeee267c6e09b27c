import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { asOperator, lookInto, startBrokers, type Found } from './home.ts'
import { sqliteEngine, type Lived } from './engines.ts'
import { injectStoreFault, type StoreFault } from '../../src/store/fault.ts'
import { judge, noTruth } from '../../scripts/kill/truth.ts'
import { plays, setStage } from './plays.ts'
import { setTrap } from './trigger.ts'
import { startUpstream, type Upstream } from '../../scripts/kill/upstream.ts'
import type { ChangeName } from '../../src/store/changes.ts'

/**
 * The store fails for good in the middle of a call: the broker stays up, refuses what it cannot record, and lets people
 * read. The next start goes on where this one broke off. One home lives through all of it.
 */

type Failure = Pick<StoreFault, 'at' | 'how'> & { readonly change: ChangeName }

const failures: readonly Failure[] = [
  { change: 'calls.intend', at: 'before-commit', how: 'io-error' },
  { change: 'calls.intend', at: 'after-commit', how: 'die' },
  { change: 'calls.settle', at: 'commit', how: 'io-error' },
  { change: 'calls.settle', at: 'after-commit', how: 'die' },
  { change: 'approvals.answer', at: 'after-commit', how: 'io-error' },
  { change: 'secrets.openLease', at: 'after-commit', how: 'die' },
  { change: 'tasks.open', at: 'after-commit', how: 'die' },
  { change: 'log.putCheckpoint', at: 'after-commit', how: 'die' },
]

/** A database comes back, and its nodes with it (`nodes.test.ts`); a file whose writer has failed is not written to any more. */
for (const engine of [sqliteEngine]) {
  describe(`${engine.name}: a store that fails for good`, () => {
    let upstream: Upstream
    let lived: Lived
    const truth = noTruth()
    const brokers = startBrokers()
    before(async () => {
      upstream = await startUpstream()
      lived = await engine.begin(upstream)
    })
    after(async () => {
      await brokers.endAll()
      await upstream.close()
      await lived.end()
    })

    const look = async (): Promise<Found> => {
      const viewing = await lived.view()
      try {
        return await lookInto(viewing, { home: lived.config.home, vkey: lived.vkey })
      } finally {
        await viewing.close()
      }
    }

    for (const { change, at, how } of failures) {
      it(`at ${change} (${how} ${at}): nothing is made that cannot be recorded, and the next start is whole`, async () => {
        const trap = setTrap(change, at, how)
        const broker = await brokers.start(lived.config, { [injectStoreFault]: trap.fault })
        await broker.listed
        const stage = await setStage({ broker, truth, url: upstream.url })
        trap.arm()
        await plays[change](stage)
        assert.ok(trap.disarm(), 'the fault did not strike')

        const arrived = Object.keys(upstream.seen()).length
        assert.equal(await plays['calls.intend'](stage), false)
        assert.deepEqual(stage.heard.slice(-1), ['audit-unavailable'])
        assert.equal(Object.keys(upstream.seen()).length, arrived, 'something was sent that is in no log')
        assert.equal(
          await asOperator(broker, 'POST', '/v1/revocations', { key: 'server:x', reason: 'test' }),
          null,
        )
        assert.ok(await asOperator(broker, 'GET', '/v1/audit/recent'), 'reading goes on')
        await brokers.end(broker)

        const broken = await look()
        assert.deepEqual(broken.report.findings, [])
        const next = await brokers.start(lived.config)
        const waiting = [...broken.report.open.living, ...broken.report.open.waiting]
        assert.deepEqual([...next.recovered].sort(), waiting.map(({ call }) => call).sort())
        await next.listed
        const again = await setStage({ broker: next, truth, url: upstream.url })
        assert.ok(await plays[change](again), 'the next start goes on')
        await brokers.end(next)
        const found = await look()
        assert.deepEqual(found.report.findings, [])
        assert.deepEqual(judge(truth, upstream.seen(), found.intents), {
          unrecorded: 0,
          unsettled: 0,
          doubleSpent: 0,
          dishonest: [],
        })
      })
    }
  })
}
