import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createOwed, recover } from '../../src/call/recover.ts'
import { explain } from '../../src/call/explain.ts'
import { clean } from '../../src/flow/labels.ts'
import { demandInvariants, demandVerified } from './invariants.ts'
import { endOf, field, hang, operator, pathWorld, text, type PathWorld } from './world.ts'
import { StoreUnavailable } from '../../src/store/ports.ts'

const portsOf = (w: PathWorld) => ({ ...w.ports, calls: w.ground.store.calls, broker: w.ground.broker })

describe('recover', () => {
  it('I2: settles the intents of a dead incarnation as unknown, never those of a living one, and only once', async (t) => {
    const first = await pathWorld()
    first.servers.script(hang)
    const task = await first.open()
    const under = [1, 2, 3].map((n) => first.call(task, 'files/note', { path: `${n}` }))
    while (first.servers.reached.length < 3) await new Promise(setImmediate)

    assert.deepEqual(await recover(portsOf(first), [first.ground.broker]), [], 'its own calls are its own')
    // The incarnation goes without a word: nothing can be recorded any more.
    await first.close('keep')
    await first.core.revocations.revoke({ key: 'all', reason: 'end' }, operator).catch(() => undefined)
    await Promise.all(under)

    const second = await pathWorld({ home: first.home, clock: first.clock })
    t.after(() => second.close())
    second.servers.script(() => text('done'))
    const settled = await recover(portsOf(second), [second.ground.broker])
    assert.equal(settled.length, 3)
    for (const call of settled) {
      const entry = (await second.of(call)).at(-1)
      assert.equal(entry?.['outcome'], 'unknown')
      assert.match(String(entry['detail']), /ended before the outcome was known/)
    }
    assert.deepEqual(await recover(portsOf(second), [second.ground.broker]), [])
    assert.deepEqual(await Promise.all([1, 2].map(() => recover(portsOf(second), [second.ground.broker]))), [
      [],
      [],
    ])
    assert.equal((await second.ground.store.tasks.snapshot(task.id, 0))?.labels.integrity, 'untrusted')

    // I2: the same again asks, another does not.
    assert.equal(endOf(await second.call(task, 'files/note', { path: '1' })), 'approval-required')
    assert.equal(endOf(await second.call(task, 'files/note', { path: '9' })), 'ok')
    assert.ok(second.servers.reached.every(({ outgoing }) => outgoing.arguments['path'] === '9'))
    await demandInvariants(second)
    await demandVerified(second)
  })

  it('a late outcome of an incarnation that was thought dead loses, and its answer is withheld', async (t) => {
    const w = await pathWorld()
    t.after(() => w.close())
    let answer = (): void => undefined
    w.servers.script(() => new Promise((resolve) => (answer = () => resolve(text('too late')))))
    const under = w.call(await w.open(), 'files/read')
    while (w.servers.reached.length === 0) await new Promise(setImmediate)
    assert.equal((await recover(portsOf(w), ['b_0000000000000000000009'])).length, 1)
    answer()
    const end = await under
    assert.ok(!('refused' in end))
    assert.equal(end.answer.kind, 'withheld')
    await demandInvariants(w)
    await demandVerified(w)
  })
})

describe('what is owed', () => {
  let w: PathWorld
  before(async () => void (w = await pathWorld()))
  after(() => w.close())

  it('is written once, with the number of each code, when the log can be written again', async () => {
    const owed = createOwed()
    for (let n = 0; n < 5; n += 1) owed.refusal('denied')
    owed.refusal('fault')
    let down = true
    const log = {
      append: async (...given: Parameters<typeof w.ports.log.append>) =>
        down ? Promise.reject(new StoreUnavailable('down')) : w.ports.log.append(...given),
    }
    assert.equal(await owed.pay({ ...portsOf(w), log }), false)
    down = false
    assert.equal(await owed.pay({ ...portsOf(w), log }), true)
    const gap = (await w.entries()).at(-1)
    assert.deepEqual(
      [gap?.['act'], gap?.['subject'], field(gap, 'detail')],
      ['log-gap', 'log', { refusals: { denied: 5, fault: 1 }, outcomes: 0 }],
    )
    const size = (await w.entries()).length
    assert.equal(await owed.pay(portsOf(w)), true)
    assert.equal((await w.entries()).length, size, 'nothing owed, nothing written')
  })

  it('counts on while it is being written', async () => {
    const owed = createOwed()
    owed.refusal('denied')
    const log = {
      append: async (...given: Parameters<typeof w.ports.log.append>) => {
        owed.refusal('denied')
        return w.ports.log.append(...given)
      },
    }
    assert.equal(await owed.pay({ ...portsOf(w), log }), true)
    assert.equal(await owed.pay(portsOf(w)), true)
    const gaps = (await w.entries()).slice(-2).map((entry) => field(field(entry, 'detail'), 'refusals'))
    assert.deepEqual(gaps, [{ denied: 1 }, { denied: 1 }])
  })

  it('is bounded: of outcomes beyond the limit the number is told', async () => {
    const owed = createOwed()
    for (let n = 0; n < 10_003; n += 1)
      owed.outcome({ call: `c_${n}`, task: 't_none', lease: null, labels: clean })
    let settles = 0
    const calls = {
      ...w.ground.store.calls,
      settle: async () => ((settles += 1), { problem: 'no-intent' } as const),
    }
    assert.equal(await owed.pay({ ...portsOf(w), calls }), true)
    assert.equal(settles, 10_000)
    assert.deepEqual(field((await w.entries()).at(-1), 'detail'), { refusals: {}, outcomes: 3 })
  })

  it('an outcome that is owed for an intent that was never written writes nothing', async () => {
    const owed = createOwed()
    owed.outcome({
      call: 'c_0000000000000000000001',
      task: 't_none',
      lease: null,
      labels: clean,
      outcome: 'not-sent',
    })
    const size = (await w.entries()).length
    assert.equal(await owed.pay(portsOf(w)), true)
    assert.equal((await w.entries()).length, size)
  })

  it('two who pay at once lose nothing, even when one of them fails', async () => {
    const owed = createOwed()
    const paid = new Set<string>()
    for (let n = 0; n < 4; n += 1) owed.outcome({ call: `c_${n}`, task: 't', lease: null, labels: clean })
    let failed = false
    const calls = {
      ...w.ground.store.calls,
      settle: async ({ call }: { readonly call: string }) => {
        const fails = call === 'c_1' && !failed
        failed ||= fails
        await new Promise(setImmediate)
        if (fails) throw new StoreUnavailable('down')
        paid.add(call)
        return { problem: 'no-intent' } as const
      },
    }
    await Promise.all([owed.pay({ ...portsOf(w), calls }), owed.pay({ ...portsOf(w), calls })])
    await owed.pay({ ...portsOf(w), calls })
    assert.deepEqual([...paid].sort(), ['c_0', 'c_1', 'c_2', 'c_3'])
  })
})

describe('explain', () => {
  let w: PathWorld
  before(async () => void (w = await pathWorld()))
  after(() => w.close())

  for (const [tool, decision] of [
    ['files/read', 'allow'],
    ['files/write', 'ask'],
    ['files/wipe', 'denied'],
    ['files/nothing', 'unknown-tool'],
  ] as const) {
    it(`says ${decision} for ${tool}, writes nothing, asks nobody, sends nothing`, async () => {
      const task = await w.open()
      const size = (await w.entries()).length
      const end = await explain(w.ports, w.arrival(await w.token(task), tool, { path: 'a' }))
      assert.equal('refused' in end ? end.code : end.judgement.decision, decision)
      assert.equal((await w.entries()).length, size)
      assert.equal(w.servers.reached.length, 0)
      assert.deepEqual(await w.core.approvals.pending(), [])
      assert.equal((await w.ground.store.tasks.snapshot(task.id, 0))?.usage.calls, 0)
      assert.deepEqual(w.flood.drain(Infinity), [])
    })
  }

  it('says the same as the path does', async () => {
    const task = await w.open({ budget: { calls: 1 } })
    for (const tool of ['files/wipe', 'files/nothing', 'files/write', 'files/read', 'files/read']) {
      const arrival = w.arrival(await w.token(task), tool, { path: 'a' })
      const told = await explain(w.ports, arrival)
      const end = await w.call(task, tool, { path: 'a' })
      if ('refused' in told) assert.equal(told.code, endOf(end))
      else assert.equal(told.judgement.decision === 'allow', endOf(end) === 'ok')
    }
  })
})

describe('a flood of refusals', () => {
  it('is counted and written later as one entry with its number; nothing is lost from the sums', async (t) => {
    const w = await pathWorld({ flood: { burst: 5, perSecond: 0, windowMs: 1000 } })
    t.after(() => w.close())
    const task = await w.open()
    for (let n = 0; n < 25; n += 1)
      assert.equal(endOf(await w.call(task, 'files/wipe', { path: `${n}` })), 'denied')
    for (let n = 0; n < 10; n += 1)
      assert.equal(
        endOf(await w.call(task, 'files/read', {}, { credential: { kind: 'bearer', token: `t${n}` } })),
        'unauthenticated',
      )
    const written = (await w.entries()).filter(({ kind }) => kind === 'refused')
    assert.equal(written.filter(({ code }) => code === 'denied').length, 5)
    assert.equal(written.filter(({ code }) => code === 'unauthenticated').length, 1)
    const counted = w.flood.drain(Infinity)
    assert.deepEqual(counted.map(({ code, count }) => `${code} ${count}`).sort(), [
      'denied 20',
      'unauthenticated 9',
    ])
  })

  it('of two tasks of one agent is counted apart: a task has a history of its own', async (t) => {
    const w = await pathWorld({ flood: { burst: 1, perSecond: 0 } })
    t.after(() => w.close())
    const [one, two] = [await w.open(), await w.open()]
    for (const task of [one, one, two, two]) await w.call(task, 'files/wipe')
    assert.deepEqual(
      w.flood.drain(Infinity).map(({ caller, count }) => [caller?.task, count]),
      [
        [one.id, 1],
        [two.id, 2],
      ],
    )
  })

  it('arguments of a refused call are kept beside the log, large ones by their commitment alone', async (t) => {
    const w = await pathWorld()
    t.after(() => w.close())
    const task = await w.open()
    await w.call(task, 'files/wipe', { path: 'small' })
    await w.call(task, 'files/wipe', { path: 'l'.repeat(90_000) })
    const [small, large] = (await w.entries()).filter(({ kind }) => kind === 'refused')
    const kept = await w.ground.store.log.payload(String(small?.['arguments']))
    assert.equal(new TextDecoder().decode(kept?.bytes), '{"path":"small"}')
    assert.match(String(large?.['arguments']), /^sha256:/)
    assert.ok((await w.ground.store.log.payload(String(large?.['arguments']))) === null)
    await demandVerified(w)
  })
})
