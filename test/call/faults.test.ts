import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { demandInvariants, demandVerified } from './invariants.ts'
import { askOf, bankToken, endOf, hire, pathWorld, text, type PathWorld } from './world.ts'
import { StoreUnavailable } from '../../src/store/ports.ts'
import type { Ports } from '../../src/call/ports.ts'
import type { Refused } from '../../src/call/refusal.ts'
import type { Settled } from '../../src/call/states.ts'

/**
 * I7, as a table: each durable step fails before and after it has persisted, and each port breaks its word. The call is
 * refused or its answer withheld; an entry appears, at the latest when what is owed is paid; nothing of an answer leaves
 * unrecorded; the process goes on.
 */

let w: PathWorld
before(async () => void (w = await pathWorld()))
after(() => w.close())
beforeEach(() => w.servers.script(() => text('the answer')))

const down = new StoreUnavailable('the disk is gone')
const broken = new TypeError('something broke')
const leaking = new TypeError(`something broke near ${bankToken}`)

type When = 'before' | 'after'
/** A verb that fails once, before it does its work or after; then it is well again. */
function failing<Given extends readonly unknown[], Result>(
  verb: (...given: Given) => Promise<Result>,
  when: When,
) {
  let failed = false
  return async (...given: Given): Promise<Result> => {
    if (failed) return verb(...given)
    failed = true
    if (when === 'after') await verb(...given)
    throw down
  }
}

type Row = {
  readonly step: string
  readonly tool: string
  readonly ports: (when: When) => Partial<Ports>
  /** What the caller is told. */
  readonly end: readonly string[]
  /** The outcome that the call's intent has in the end, or null when there is none. */
  readonly outcome: { readonly [when in When]: string | null }
}

const rows: readonly Row[] = [
  {
    step: 'the entry of a refusal',
    tool: 'files/wipe',
    ports: (when) => ({ log: { append: failing(w.ports.log.append, when) } }),
    end: ['denied'],
    outcome: { before: null, after: null },
  },
  {
    step: 'the question to a person',
    tool: 'files/write',
    ports: (when) => ({ approvals: { ...w.ports.approvals, ask: failing(w.ports.approvals.ask, when) } }),
    end: ['audit-unavailable'],
    outcome: { before: null, after: null },
  },
  {
    step: 'the call that is kept for a person',
    tool: 'files/write',
    ports: (when) => ({ calls: { ...w.ports.calls, hold: failing(w.ports.calls.hold, when) } }),
    end: ['audit-unavailable'],
    outcome: { before: null, after: null },
  },
  {
    step: 'the intent',
    tool: 'bank/balance',
    ports: (when) => ({ calls: { ...w.ports.calls, intend: failing(w.ports.calls.intend, when) } }),
    end: ['audit-unavailable'],
    outcome: { before: null, after: 'not-sent' },
  },
  {
    step: 'the lease',
    tool: 'bank/balance',
    ports: (when) => ({ lenders: { ...w.ports.lenders, lend: failing(w.ports.lenders.lend, when) } }),
    end: ['not-sent'],
    outcome: { before: 'not-sent', after: 'not-sent' },
  },
  {
    step: 'the outcome',
    tool: 'bank/balance',
    ports: (when) => ({ calls: { ...w.ports.calls, settle: failing(w.ports.calls.settle, when) } }),
    end: ['unknown'],
    outcome: { before: 'unknown', after: 'ok' },
  },
  {
    step: 'the outcome, twice',
    tool: 'bank/balance',
    ports: (when) => ({
      calls: { ...w.ports.calls, settle: failing(failing(w.ports.calls.settle, when), 'before') },
    }),
    end: ['unknown'],
    outcome: { before: 'unknown', after: 'unknown' },
  },
  {
    step: 'the end of the lease',
    tool: 'bank/balance',
    ports: (when) => ({ lenders: { ...w.ports.lenders, close: failing(w.ports.lenders.close, when) } }),
    end: ['unknown'],
    outcome: { before: 'ok', after: 'ok' },
  },
]

const pay = () => w.owed.pay({ ...w.ports, calls: w.ground.store.calls, broker: w.ground.broker })

/** Nothing that the server said, and no secret, in what the caller is handed. */
function demandSilent(end: Settled | Refused): void {
  const shown = 'refused' in end ? JSON.stringify([end.hint, end.ask]) : JSON.stringify(end.answer)
  assert.ok(!shown.includes('the answer'), 'an unrecorded answer left')
  assert.ok(!shown.includes(bankToken), 'a secret left')
}

async function lastOutcome(call: string): Promise<unknown> {
  const outcomes = (await w.of(call)).filter(({ kind }) => kind === 'outcome')
  assert.ok(outcomes.length <= 1)
  return outcomes[0]?.['outcome'] ?? null
}

describe('I7: the store fails at', () => {
  for (const row of rows) {
    for (const when of ['before', 'after'] as const) {
      it(`${row.step}, ${when} it has persisted`, async () => {
        const task = await w.open()
        const call = `c_${String(rows.indexOf(row)).padStart(21, when === 'before' ? '0' : '1')}0`
        const entriesBefore = (await w.entries()).length
        const end = await w.call(task, row.tool, { path: 'a' }, { call, ports: row.ports(when) })
        assert.deepEqual([endOf(end)], row.end)
        demandSilent(end)
        assert.equal(await pay(), true)
        assert.ok((await w.entries()).length > entriesBefore, 'no entry')
        assert.equal(await lastOutcome(call), row.outcome[when])
        // The lender closes what it could not, with its next one.
        await w.core.lenders.closeAll(task.id)
        await demandInvariants(w)
        assert.equal(endOf(await w.call(await w.open(), 'files/read')), 'ok', 'the next call goes on')
      })
    }
  }

  it('and the log verifies after all of it', () => demandVerified(w))

  it('a call whose question could not be kept is kept when it is made again', async () => {
    const task = await w.open()
    const calls = { ...w.ports.calls, hold: failing(w.ports.calls.hold, 'before') }
    await w.call(task, 'files/write', { path: 'kept' }, { ports: { calls } })
    const again = await w.call(task, 'files/write', { path: 'kept' })
    const held = await w.ground.store.calls.held(await lastCall('refused'))
    assert.equal(held?.ask, askOf(again))
  })
})

const lastCall = async (kind: string): Promise<string> =>
  String((await w.entries()).findLast((entry) => entry['kind'] === kind)?.['call'])

const throwing = (): never => {
  throw broken
}
const rejecting = (): Promise<never> => Promise.reject(broken)
const leak = (): Promise<never> => Promise.reject(leaking)
const hostile = (): never => {
  throw Object.assign(new Error('x'), { name: `\ud800${'n'.repeat(100_000)}` })
}

type Break = {
  readonly port: string
  readonly ports: () => Partial<Ports>
  readonly end: string
  readonly tool?: string
}

const breaks: readonly Break[] = [
  { port: 'the verifier', ports: () => ({ verifier: { verify: rejecting } }), end: 'fault' },
  {
    port: 'the revocations',
    ports: () => ({ revocations: { ...w.ports.revocations, first: throwing } }),
    end: 'fault',
  },
  { port: 'the tasks', ports: () => ({ tasks: { snapshot: rejecting } }), end: 'fault' },
  {
    port: 'the registry',
    ports: () => ({ registry: { ...w.ports.registry, find: throwing } }),
    end: 'fault',
  },
  {
    port: 'the schema check',
    ports: () => ({ registry: { ...w.ports.registry, validate: throwing } }),
    end: 'fault',
  },
  { port: 'the policies', ports: () => ({ policies: { snapshot: throwing } }), end: 'fault' },
  {
    port: 'the judge',
    ports: () => ({ policies: { snapshot: () => ({ ...w.core.policies.snapshot(), judge: throwing }) } }),
    end: 'fault',
  },
  {
    port: 'the asks',
    ports: () => ({ approvals: { ...w.ports.approvals, find: rejecting } }),
    end: 'fault',
    tool: 'files/write',
  },
  {
    port: 'the commitments',
    ports: () => ({ recorder: { ...w.ports.recorder, commit: throwing } }),
    end: 'fault',
  },
  {
    port: 'the encoding of every entry',
    ports: () => ({ recorder: { ...w.ports.recorder, encode: throwing } }),
    end: 'fault',
  },
  {
    port: 'the gate of refusals',
    ports: () => ({ refusals: { admit: throwing } }),
    end: 'denied',
    tool: 'files/wipe',
  },
  {
    port: 'the lender',
    ports: () => ({ lenders: { ...w.ports.lenders, lend: leak } }),
    end: 'not-sent',
  },
  {
    port: 'the lender, with a hostile error',
    ports: () => ({ lenders: { ...w.ports.lenders, lend: async () => hostile() } }),
    end: 'not-sent',
  },
  {
    port: 'the servers',
    ports: () => ({ servers: { ...w.ports.servers, invoke: leak } }),
    end: 'unknown',
  },
  {
    port: 'the servers, at once',
    ports: () => ({ servers: { ...w.ports.servers, invoke: throwing } }),
    end: 'unknown',
  },
  {
    port: 'the watch over revocations',
    ports: () => ({ revocations: { ...w.ports.revocations, watch: throwing } }),
    end: 'unknown',
  },
]

describe('I7: a port breaks its word:', () => {
  for (const { port, ports, end: expected, tool = 'bank/balance' } of breaks) {
    it(port, async () => {
      const task = await w.open()
      const kept = w.servers.reached.length
      const entriesBefore = (await w.entries()).length
      const end = await w.call(task, tool, { path: 'a' }, { ports: ports() })
      assert.equal(endOf(end), expected)
      demandSilent(end)
      assert.equal(w.servers.reached.length, kept)
      const unsettled = await w.ground.store.calls.unsettled([])
      assert.deepEqual(unsettled, [], 'what can be written at once is not owed')
      await pay()
      await w.core.lenders.closeAll(task.id)
      // A surprise before anybody is known is counted with others of its kind; it is in the sums.
      const counted = w.flood.drain(Infinity).reduce((sum, { count }) => sum + count, 0)
      assert.ok((await w.entries()).length + counted > entriesBefore, 'no entry and nothing owed')
      assert.ok(!JSON.stringify(await w.entries()).includes('n'.repeat(1000)))
      await demandInvariants(w)
    })
  }

  it('the encoding of the outcome alone: what the server did stays unknown until it can be written', async () => {
    const recorder: Ports['recorder'] = {
      ...w.ports.recorder,
      encode: (entry) => (entry.kind === 'outcome' ? throwing() : w.ports.recorder.encode(entry)),
    }
    await hire(w.ground, 'unlabelled')
    const task = await w.open({ agent: 'unlabelled' })
    const end = await w.call(task, 'bank/balance', { path: 'a' }, { ports: { recorder } })
    assert.equal(endOf(end), 'unknown')
    demandSilent(end)
    assert.equal((await w.ground.store.calls.unsettled([])).length, 1)
    await pay()
    await w.core.lenders.closeAll(task.id)
    await demandInvariants(w)
    assert.equal((await w.ground.store.tasks.snapshot(task.id, 0))?.labels.integrity, 'untrusted')
  })

  it('an answer that cannot be looked at is not handed over, and its task is labelled with the worst', async () => {
    const looked: { readonly [name: string]: never } = {
      get content(): never {
        throw new RangeError('looking at this is an error')
      },
    }
    w.servers.script(() => ({ kind: 'result', result: looked, isError: false }))
    await hire(w.ground, 'clean')
    const task = await w.open({ agent: 'clean' })
    const end = await w.call(task, 'bank/balance')
    assert.equal(endOf(end), 'unknown')
    assert.deepEqual('answer' in end && end.answer.kind, 'withheld')
    const labels = (await w.ground.store.tasks.snapshot(task.id, 0))?.labels
    assert.deepEqual([labels?.confidentiality, labels?.integrity], ['confidential', 'untrusted'])
    await demandInvariants(w)
  })

  it('an answer with text that has no form in the log is not handed over', async () => {
    w.servers.script(() => text('half a pair: \ud800'))
    const end = await w.call(await w.open(), 'files/read')
    assert.equal('answer' in end && end.answer.kind, 'withheld')
    await demandInvariants(w)
  })

  it('a deep answer ends no process', async () => {
    let deep: { inner?: object } = {}
    for (let n = 0; n < 20_000; n += 1) deep = { inner: deep }
    w.servers.script(() => ({ kind: 'result', result: JSON.parse('{}'), isError: false }))
    const result: never = Object.assign(JSON.parse('{}'), { deep }) as never
    w.servers.script(() => ({ kind: 'result', result, isError: false }))
    const end = await w.call(await w.open(), 'files/read')
    assert.ok(['unknown', 'ok'].includes(endOf(end)))
    await demandInvariants(w)
  })
})

describe('I7: a clock that jumps', () => {
  it('back and forth within calls loses nothing and sends nothing twice', async () => {
    const jumps = [0, -3_600_000, 5, 3_600_000, -86_400_000, 86_400_000, -5, 0]
    let n = 0
    const task = await w.open()
    const token = await w.token(task)
    w.clock.jump(() => jumps[(n += 1) % jumps.length] ?? 0)
    const ends: string[] = []
    for (let i = 0; i < 40; i += 1)
      ends.push(
        endOf(
          await w.call(task, i % 4 === 0 ? 'files/write' : 'bank/balance', { path: `${i % 3}` }, { token }),
        ),
      )
    w.clock.jump(() => 0)
    await pay()
    await demandInvariants(w)
    assert.ok(
      ends.every((end) =>
        [
          'ok',
          'unauthenticated',
          'approval-required',
          'approval-expired',
          'task-closed',
          'unknown',
          'not-sent',
        ].includes(end),
      ),
      [...new Set(ends)].join(),
    )
    assert.equal(endOf(await w.call(await w.open(), 'files/read')), 'ok')
  })

  it('out of all bounds is a refusal: a time that cannot be written is no time', async () => {
    const clock = { now: () => Number.MAX_SAFE_INTEGER }
    const end = await w.call(await w.open(), 'files/read', { path: 'a' }, { ports: { clock } })
    assert.ok('refused' in end)
    const late = { now: () => Number.NaN }
    const never = await w.call(await w.open(), 'files/read', { path: 'a' }, { ports: { clock: late } })
    assert.ok('refused' in never)
    assert.equal(await pay(), true)
    await demandInvariants(w)
  })

  it('and the log verifies after all of it', () => demandVerified(w))
})
