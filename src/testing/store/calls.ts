import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { clean } from '../../flow/labels.ts'
import type { IntendRequest, Store } from '../../store/ports.ts'
import type { Task } from '../../task/task.ts'
import {
  actEntry,
  aPayload,
  aTask,
  anAsk,
  intendRequest,
  secretLabels,
  settleRequest,
  noHeads,
} from '../samples.ts'
import { fixture } from './fixture.ts'
import type { Fixture, OpenStore } from './fixture.ts'

/** Starts without the labels of other tests: no task closed since then, and each has an agent of its own. */
const never = 2 ** 52

const opened = async (store: Store, task: Partial<Task> & { readonly id: string }): Promise<void> =>
  store.tasks.open(aTask({ agent: `agent of ${task.id}`, ...task }), never, actEntry())

const kind = async (store: Store, request: Partial<IntendRequest>): Promise<string> =>
  (await store.calls.intend(intendRequest(request))).kind

export function callsContract(open: OpenStore): void {
  describe('calls', () => {
    const at = fixture(open)
    intendContract(at)
    budgetContract(at)
    movedContract(at)
    outcomeContract(at)
    unknownContract(at)
    heldContract(at)
  })
}

function intendContract({ store }: Fixture): void {
  it('an intent is in the log, in flight and paid for when its promise resolves', async () => {
    await opened(store(), { id: 't_paid', budget: { calls: 5 } })
    const entry = actEntry({ kind: 'intent' })
    const intended = await store().calls.intend(
      intendRequest({ call: 'c_paid', task: 't_paid', entry, effects: ['write', 'egress'] }),
    )
    assert.equal(intended.kind, 'intended')
    const [stored] = await store().log.byCall('c_paid')
    assert.deepEqual(stored?.bytes, entry)
    const snapshot = await store().tasks.snapshot('t_paid', 2000)
    assert.deepEqual(snapshot?.usage, { calls: 1, effects: { write: 1, egress: 1 } })
    assert.deepEqual(snapshot?.history, { tools: ['files/read'], refused: 0, inFlight: 1, unknown: [] })
    assert.equal(snapshot?.lastCallAt, 2000)
    assert.deepEqual(await store().log.payload('sha256:arguments of c_paid'), aPayload('arguments of c_paid'))
  })

  it('one call id has at most one intent', async () => {
    await opened(store(), { id: 't_twice' })
    assert.equal(await kind(store(), { call: 'c_twice', task: 't_twice' }), 'intended')
    assert.equal(await kind(store(), { call: 'c_twice', task: 't_twice' }), 'duplicate')
    assert.equal((await store().tasks.snapshot('t_twice', 0))?.usage.calls, 1)
  })

  it('a closed, an expired and an unknown task take no intent', async () => {
    await opened(store(), { id: 't_ended', expiresAt: 5000 })
    assert.equal(await kind(store(), { call: 'c_e1', task: 't_ended', at: 5000 }), 'task-closed')
    assert.equal(await kind(store(), { call: 'c_e2', task: 't_nowhere' }), 'task-closed')
    await store().tasks.close('t_ended', 'done', 2000, actEntry())
    assert.equal(await kind(store(), { call: 'c_e3', task: 't_ended' }), 'task-closed')
  })

  it('a sub-task takes no intent once a task above it has ended', async () => {
    await opened(store(), { id: 't_up', expiresAt: 5000 })
    await opened(store(), { id: 't_down', parent: 't_up', expiresAt: 9000 })
    assert.equal(await kind(store(), { call: 'c_down', task: 't_down', at: 6000 }), 'task-closed')
  })
}

function budgetContract({ store }: Fixture): void {
  it('the budget of every task in the line is taken, and the least of them is the limit', async () => {
    await opened(store(), { id: 't_rich', budget: { calls: 2 } })
    await opened(store(), { id: 't_child_a', parent: 't_rich', budget: { calls: 9 } })
    await opened(store(), { id: 't_child_b', parent: 't_rich' })
    assert.equal(await kind(store(), { call: 'c_b1', task: 't_child_a' }), 'intended')
    assert.equal(await kind(store(), { call: 'c_b2', task: 't_child_b' }), 'intended')
    const spent = await store().calls.intend(intendRequest({ call: 'c_b3', task: 't_child_a' }))
    assert.deepEqual(spent, { kind: 'budget-spent', what: 'calls of the task above it, `t_rich`' })
    const snapshot = await store().tasks.snapshot('t_child_a', 0)
    assert.deepEqual(snapshot?.ancestorUsage, [{ calls: 2, effects: { read: 2 } }])
    assert.deepEqual(
      snapshot?.ancestors.map(({ id }) => id),
      ['t_rich'],
    )
  })

  it('a call with several effects counts in each of their budgets', async () => {
    await opened(store(), { id: 't_effects', budget: { effects: { write: 1, egress: 5 } } })
    assert.equal(
      await kind(store(), { call: 'c_f1', task: 't_effects', effects: ['write', 'egress'] }),
      'intended',
    )
    assert.equal(await kind(store(), { call: 'c_f2', task: 't_effects', effects: ['egress'] }), 'intended')
    const spent = await store().calls.intend(
      intendRequest({ call: 'c_f3', task: 't_effects', effects: ['egress', 'write'] }),
    )
    assert.deepEqual(spent, { kind: 'budget-spent', what: 'write' })
  })

  it('a later leg of a chain takes no budget; a leg of a chain that is not its own pays', async () => {
    await opened(store(), { id: 't_legs', budget: { calls: 1 } })
    await opened(store(), { id: 't_other' })
    await kind(store(), { call: 'c_foreign', task: 't_other' })
    assert.equal(await kind(store(), { call: 'c_leg1', task: 't_legs' }), 'intended')
    assert.equal(
      await kind(store(), { call: 'c_leg2', chain: 'c_leg1', task: 't_legs', leg: true }),
      'intended',
    )
    assert.equal(
      await kind(store(), { call: 'c_leg3', chain: 'c_foreign', task: 't_legs', leg: true }),
      'budget-spent',
    )
    assert.equal((await store().tasks.snapshot('t_legs', 0))?.usage.calls, 1)
  })
}

function movedContract({ store }: Fixture): void {
  it('what the decision read and then moved makes it decide again; what it did not read does not', async () => {
    await opened(store(), { id: 't_moved' })
    const before = await store().tasks.snapshot('t_moved', 0)
    const labels = before?.labelsRevision ?? -1
    const history = before?.historyRevision ?? -1
    assert.equal(
      await kind(store(), {
        call: 'c_m1',
        task: 't_moved',
        expect: { labels, history, memory: null, person: null, heads: noHeads },
      }),
      'intended',
    )
    assert.equal(
      await kind(store(), {
        call: 'c_m2',
        task: 't_moved',
        expect: { labels, history, memory: null, person: null, heads: noHeads },
      }),
      'moved',
    )
    assert.equal(
      await kind(store(), {
        call: 'c_m2',
        task: 't_moved',
        expect: { labels, history: null, memory: null, person: null, heads: noHeads },
      }),
      'intended',
    )
    await store().calls.settle(
      settleRequest({ call: 'c_m1', task: 't_moved', raise: secretLabels('files/read') }),
    )
    assert.equal(
      await kind(store(), {
        call: 'c_m3',
        task: 't_moved',
        expect: { labels, history: null, memory: null, person: null, heads: noHeads },
      }),
      'moved',
    )
    assert.equal(
      await kind(store(), {
        call: 'c_m3',
        task: 't_moved',
        expect: { labels: null, history: null, memory: null, person: null, heads: noHeads },
      }),
      'intended',
    )
  })

  it('a call of a sibling that spends the common budget moves the history of a sub-task', async () => {
    await opened(store(), { id: 't_common' })
    await opened(store(), { id: 't_sib_a', parent: 't_common' })
    await opened(store(), { id: 't_sib_b', parent: 't_common' })
    const history = (await store().tasks.snapshot('t_sib_a', 0))?.historyRevision ?? -1
    await kind(store(), { call: 'c_sib', task: 't_sib_b' })
    assert.equal(
      await kind(store(), {
        call: 'c_sia',
        task: 't_sib_a',
        expect: { labels: null, history, memory: null, person: null, heads: noHeads },
      }),
      'moved',
    )
  })

  it('a tool that the task was narrowed away from meanwhile is decided again', async () => {
    await opened(store(), { id: 't_narrowed', tools: ['files/*', 'mail/send'] })
    const to = { tools: ['files/*'], budget: {}, expiresAt: 1_000_000 }
    assert.equal(await kind(store(), { call: 'c_n1', task: 't_narrowed', tool: 'mail/send' }), 'intended')
    await store().tasks.narrow('t_narrowed', to, actEntry())
    assert.equal(await kind(store(), { call: 'c_n2', task: 't_narrowed', tool: 'mail/send' }), 'moved')
    assert.equal(await kind(store(), { call: 'c_n3', task: 't_narrowed', tool: 'files/read' }), 'intended')
  })
}

function outcomeContract({ store }: Fixture): void {
  it('each intent gets exactly one outcome', async () => {
    await opened(store(), { id: 't_once' })
    assert.deepEqual(await store().calls.settle(settleRequest({ call: 'c_once', task: 't_once' })), {
      problem: 'no-intent',
    })
    await kind(store(), { call: 'c_once', task: 't_once' })
    assert.deepEqual(await store().calls.settle(settleRequest({ call: 'c_once', task: 't_legs' })), {
      problem: 'no-intent',
    })
    const settled = await store().calls.settle(settleRequest({ call: 'c_once', task: 't_once' }))
    assert.deepEqual(settled, { settled: true })
    const size = await store().log.size()
    assert.deepEqual(
      await store().calls.settle(
        settleRequest({ call: 'c_once', task: 't_once', raise: secretLabels('x/y') }),
      ),
      { problem: 'already-settled' },
    )
    assert.equal(await store().log.size(), size)
    const snapshot = await store().tasks.snapshot('t_once', 0)
    assert.equal(snapshot?.history.inFlight, 0)
    assert.deepEqual(snapshot?.labels, clean)
    const kinds = (await store().log.byCall('c_once')).map(
      ({ bytes }) => JSON.parse(`${Buffer.from(bytes)}`).kind,
    )
    assert.deepEqual(kinds, ['intent', 'outcome'])
  })

  it('an outcome raises the labels of its task and of those above it, and closes the lease', async () => {
    await opened(store(), { id: 't_top' })
    await opened(store(), { id: 't_sub', parent: 't_top' })
    await kind(store(), { call: 'c_raise', task: 't_sub' })
    await store().secrets.openLease({
      id: 'l_raise',
      task: 't_sub',
      call: 'c_raise',
      server: 'files',
      secrets: ['token'],
      at: 1,
      until: 2,
    })
    assert.deepEqual(
      (await store().secrets.openLeases()).map(({ id }) => id),
      ['l_raise'],
    )
    await store().calls.settle(
      settleRequest({
        call: 'c_raise',
        task: 't_sub',
        raise: secretLabels('files/read'),
        lease: 'l_raise',
      }),
    )
    assert.deepEqual((await store().tasks.snapshot('t_sub', 0))?.labels, secretLabels('files/read'))
    assert.deepEqual((await store().tasks.snapshot('t_top', 0))?.labels, secretLabels('files/read'))
    assert.deepEqual(await store().secrets.openLeases(), [])
  })

  it('a call under way when its task closes still gets its outcome', async () => {
    await opened(store(), { id: 't_late' })
    await kind(store(), { call: 'c_late', task: 't_late' })
    await store().tasks.close('t_late', 'revoked', 2500, actEntry())
    const outcome = 'withheld'
    assert.deepEqual(await store().calls.settle(settleRequest({ call: 'c_late', task: 't_late', outcome })), {
      settled: true,
    })
  })
}

function unknownContract({ store }: Fixture): void {
  it('an unknown outcome is remembered by the agent, not only by its task', async () => {
    await opened(store(), { id: 't_unknown', agent: 'forgetful' })
    await kind(store(), {
      call: 'c_u1',
      task: 't_unknown',
      agent: 'forgetful',
      fingerprint: 'f_write',
      effects: ['write'],
    })
    await store().calls.settle(settleRequest({ call: 'c_u1', task: 't_unknown', outcome: 'unknown' }))
    await store().tasks.close('t_unknown', 'done', 3000, actEntry())
    await opened(store(), { id: 't_fresh', agent: 'forgetful' })
    assert.deepEqual((await store().tasks.snapshot('t_fresh', 0))?.history.unknown, ['f_write'])
  })

  it('unknown outcomes are bounded: reads are forgotten first, and a forgotten write leaves `*`', async () => {
    await opened(store(), { id: 't_many', agent: 'flooder' })
    const fail = async (n: number, effect: 'read' | 'write'): Promise<void> => {
      const call = `c_${effect}_${n}`
      await kind(store(), {
        call,
        task: 't_many',
        agent: 'flooder',
        fingerprint: `f_${effect}_${n}`,
        effects: [effect],
      })
      await store().calls.settle(settleRequest({ call, task: 't_many', outcome: 'unknown' }))
    }
    const unknown = async () => (await store().tasks.snapshot('t_many', 0))?.history.unknown ?? []
    await fail(0, 'write')
    await Promise.all(Array.from({ length: 300 }, (_, n) => fail(n, 'read')))
    assert.equal((await unknown()).length, 256)
    assert.ok((await unknown()).includes('f_write_0'))
    assert.ok(!(await unknown()).includes('*'))
    await Promise.all(Array.from({ length: 256 }, (_, n) => fail(n + 1, 'write')))
    assert.equal((await unknown()).length, 257)
    assert.equal((await unknown()).at(-1), '*')
  })

  it('recovery sees the intents of dead brokers and not those of the living', async () => {
    await opened(store(), { id: 't_dead' })
    await kind(store(), { call: 'c_dead', task: 't_dead', broker: 'b_dead', effects: ['write'] })
    await kind(store(), { call: 'c_live', task: 't_dead', broker: 'b_live' })
    const found = (await store().calls.unsettled(['b_live'])).filter(({ task }) => task === 't_dead')
    assert.deepEqual(found, [
      {
        call: 'c_dead',
        task: 't_dead',
        tool: 'files/read',
        effects: ['write'],
        broker: 'b_dead',
        at: 2000,
      },
    ])
  })
}

function heldContract({ store }: Fixture): void {
  it('a held call is given back as it arrived', async () => {
    await opened(store(), { id: 't_held' })
    await store().approvals.ask(anAsk({ id: 'a_held', digest: 'd_held', task: 't_held', agent: 'holder' }))
    const held = {
      call: 'c_held',
      task: 't_held',
      agent: 'holder',
      ask: 'a_held',
      expiresAt: 10_000,
      wanted: { server: 'files', operation: 'call', name: 'read' },
      arguments: { path: 'ü', deep: [1, null, { a: true }] },
    }
    await store().calls.hold(held)
    assert.deepEqual(await store().calls.held('c_held'), held)
    assert.equal(await store().calls.held('c_other'), null)
  })

  it("an agent cannot overwrite another agent's held call", async () => {
    const held = await store().calls.held('c_held')
    assert.ok(held !== null)
    await store().calls.hold({ ...held, agent: 'thief', ask: 'a_thief', arguments: {} })
    assert.deepEqual(await store().calls.held('c_held'), held)
  })
}
