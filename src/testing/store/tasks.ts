import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { clean } from '../../flow/labels.ts'
import { StoreConflict } from '../../store/conflict.ts'
import {
  actEntry,
  aTask,
  anAsk,
  intendRequest,
  refusedEntry,
  secretLabels,
  settleRequest,
} from '../samples.ts'
import { fixture } from './fixture.ts'
import type { Fixture, OpenStore } from './fixture.ts'

export function tasksContract(open: OpenStore): void {
  describe('tasks', () => {
    const at = fixture(open)
    lifeContract(at)
    memoryContract(at)
  })
}

function lifeContract({ store }: Fixture): void {
  it('a task is given back as it was opened, with its entry', async () => {
    const task = aTask({
      id: 't_as_is',
      agent: 'as-is',
      budget: { calls: 3, effects: { write: 1 } },
      idleMs: 60,
    })
    const size = await store().log.size()
    await store().tasks.open(task, 0, actEntry({ act: 'task-open' }))
    assert.deepEqual(await store().tasks.get('t_as_is'), task)
    assert.deepEqual(await store().tasks.list({ agent: 'as-is', state: 'open' }), [task])
    assert.deepEqual(await store().tasks.list({ agent: 'as-is', state: 'closed' }), [])
    assert.equal(await store().log.size(), size + 1)
    assert.equal((await store().log.recent({ limit: 5, task: 't_as_is' })).length, 1)
    assert.equal(await store().tasks.get('t_none'), null)
    assert.equal(await store().tasks.snapshot('t_none', 0), null)
  })

  it('words of any kind come back as they were put, and no two of them meet', async () => {
    const odd = ['\u0000', '\u001a', '\u001a0', 'a\u0000b\u001a1', '\u2028 ü 🝕', "'; --", '$1', '\\x00']
    for (const [n, words] of odd.entries()) {
      const task = aTask({
        id: `t_odd_${n}`,
        agent: `odd ${words}`,
        purpose: { class: 'general', words, vouched: true },
      })
      await store().tasks.open(task, 0, actEntry({ reason: words }))
      assert.deepEqual(await store().tasks.get(task.id), task)
      assert.deepEqual(await store().tasks.list({ agent: task.agent }), [task])
    }
    assert.deepEqual(await store().tasks.list({ agent: 'odd ' }), [])
  })

  it('an id is taken once, and a refused opening leaves no entry', async () => {
    await store().tasks.open(aTask({ id: 't_taken' }), 0, actEntry())
    const size = await store().log.size()
    await assert.rejects(store().tasks.open(aTask({ id: 't_taken' }), 0, actEntry()), StoreConflict)
    assert.equal(await store().log.size(), size)
  })

  it('a change that cannot be recorded does not happen, and its neighbours do', async () => {
    const bad = new Uint8Array([1])
    await store().tasks.open(aTask({ id: 't_kept', agent: 'kept' }), 0, actEntry())
    const results = await Promise.allSettled([
      store().tasks.open(aTask({ id: 't_before', agent: 'kept' }), 0, actEntry()),
      store().tasks.open(aTask({ id: 't_half', agent: 'kept' }), 0, bad),
      store().tasks.close('t_kept', 'done', 3000, bad),
      store().tasks.open(aTask({ id: 't_after', agent: 'kept' }), 0, actEntry()),
    ])
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
    )
    const tasks = await store().tasks.list({ agent: 'kept', state: 'open' })
    assert.deepEqual(tasks.map(({ id }) => id).sort(), ['t_after', 't_before', 't_kept'])
  })

  it('no sub-task opens under a task that has ended or does not exist', async () => {
    await store().tasks.open(aTask({ id: 't_over' }), 0, actEntry())
    await store().tasks.close('t_over', 'done', 1500, actEntry())
    await assert.rejects(
      store().tasks.open(aTask({ id: 't_orphan', parent: 't_over' }), 0, actEntry()),
      StoreConflict,
    )
    await assert.rejects(
      store().tasks.open(aTask({ id: 't_orphan', parent: 't_none' }), 0, actEntry()),
      StoreConflict,
    )
    assert.equal(await store().tasks.get('t_orphan'), null)
  })

  it('closing a task closes all below it and expires their asks; closing it again changes and records nothing', async () => {
    await store().tasks.open(aTask({ id: 't_root' }), 0, actEntry())
    await store().tasks.open(aTask({ id: 't_mid', parent: 't_root' }), 0, actEntry())
    await store().tasks.open(aTask({ id: 't_leaf', parent: 't_mid' }), 0, actEntry())
    await store().approvals.ask(anAsk({ id: 'a_leaf', digest: 'd_leaf', task: 't_leaf' }))
    const closed = await store().tasks.close('t_mid', 'done', 4000, actEntry())
    assert.deepEqual([...closed].sort(), ['t_leaf', 't_mid'])
    const leaf = await store().tasks.get('t_leaf')
    assert.deepEqual([leaf?.state, leaf?.closedAt, leaf?.closedBecause], ['closed', 4000, 'done'])
    assert.equal((await store().tasks.get('t_root'))?.state, 'open')
    assert.equal((await store().approvals.get('a_leaf'))?.state, 'expired')
    const size = await store().log.size()
    assert.deepEqual(await store().tasks.close('t_mid', 'again', 5000, actEntry()), [])
    assert.equal(await store().log.size(), size)
  })

  it('a task narrows and never widens', async () => {
    await store().tasks.open(aTask({ id: 't_wide', budget: { calls: 5 }, expiresAt: 9000 }), 0, actEntry())
    const to = { tools: ['files/*'], budget: { calls: 3, effects: { write: 0 } }, expiresAt: 8000 }
    await store().tasks.narrow('t_wide', to, actEntry())
    const narrowed = await store().tasks.get('t_wide')
    assert.deepEqual({ tools: narrowed?.tools, budget: narrowed?.budget, expiresAt: narrowed?.expiresAt }, to)
    for (const wider of [
      { ...to, expiresAt: 8001 },
      { ...to, budget: { calls: 4, effects: { write: 0 } } },
      { ...to, budget: { calls: 3 } },
      { ...to, budget: { effects: { write: 0 } } },
    ])
      await assert.rejects(store().tasks.narrow('t_wide', wider, actEntry()), StoreConflict)
    await store().tasks.close('t_wide', 'done', 4000, actEntry())
    await assert.rejects(store().tasks.narrow('t_wide', to, actEntry()), StoreConflict)
  })

  it('due are the open tasks past their end or idle too long, but not one with a call under way', async () => {
    const agent = 'due'
    const base = 3_000_000
    const due = async (now: number) =>
      (await store().tasks.due(now)).filter((task) => task.agent === agent).map(({ id }) => id)
    await store().tasks.open(
      aTask({ id: 't_end', agent, openedAt: base, expiresAt: base + 50 }),
      0,
      actEntry(),
    )
    await store().tasks.open(
      aTask({ id: 't_idle', agent, openedAt: base, expiresAt: base + 9000, idleMs: 100 }),
      0,
      actEntry(),
    )
    assert.deepEqual(await due(base + 49), [])
    assert.deepEqual(await due(base + 50), ['t_end'])
    await store().calls.intend(intendRequest({ call: 'c_idle', task: 't_idle', agent, at: base + 60 }))
    assert.deepEqual(await due(base + 500), ['t_end'])
    await store().calls.settle(settleRequest({ call: 'c_idle', task: 't_idle' }))
    assert.deepEqual(await due(base + 159), ['t_end'])
    assert.deepEqual(await due(base + 160), ['t_end', 't_idle'])
    await store().tasks.close('t_end', 'expired', base + 160, actEntry())
    assert.deepEqual(await due(base + 160), ['t_idle'])
  })
}

function memoryContract({ store }: Fixture): void {
  it("a new task starts from the labels of the agent's open and recent tasks, and of no others", async () => {
    const agent = 'reader'
    await store().tasks.open(aTask({ id: 't_read', agent }), 0, actEntry())
    await store().calls.intend(intendRequest({ call: 'c_read', task: 't_read', agent }))
    await store().calls.settle(
      settleRequest({ call: 'c_read', task: 't_read', raise: secretLabels('files/read') }),
    )
    const start = async (id: string, since: number, other = agent) => {
      await store().tasks.open(aTask({ id, agent: other }), since, actEntry())
      return (await store().tasks.snapshot(id, 0))?.labels
    }
    assert.deepEqual(await start('t_while_open', 99_999), secretLabels('files/read'))
    await store().tasks.close('t_while_open', 'done', 3000, actEntry())
    await store().tasks.close('t_read', 'done', 4000, actEntry())
    assert.deepEqual(await start('t_recent', 4000), secretLabels('files/read'))
    await store().tasks.close('t_recent', 'done', 3500, actEntry())
    assert.deepEqual(await start('t_long_after', 4001), clean)
    assert.deepEqual(await start('t_stranger', 0, 'stranger'), clean)
  })

  it('a sub-task starts from the labels and the history of the task above it', async () => {
    await store().tasks.open(aTask({ id: 't_above', agent: 'above' }), 0, actEntry())
    await store().calls.intend(
      intendRequest({ call: 'c_above', task: 't_above', agent: 'above', tool: 'db/query' }),
    )
    await store().calls.settle(
      settleRequest({ call: 'c_above', task: 't_above', raise: secretLabels('db/query') }),
    )
    await store().tasks.open(aTask({ id: 't_below', parent: 't_above', agent: 'below' }), 0, actEntry())
    const snapshot = await store().tasks.snapshot('t_below', 0)
    assert.deepEqual(snapshot?.labels, secretLabels('db/query'))
    assert.deepEqual(snapshot?.history.tools, ['db/query'])
    assert.deepEqual(snapshot?.usage, { calls: 0, effects: {} })
  })

  it('only a named act lowers labels, and decisions that read them are made again', async () => {
    await store().tasks.open(aTask({ id: 't_lower', agent: 'lower' }), 0, actEntry())
    await store().calls.intend(intendRequest({ call: 'c_lower', task: 't_lower' }))
    await store().calls.settle(
      settleRequest({ call: 'c_lower', task: 't_lower', raise: secretLabels('db/query') }),
    )
    const before = await store().tasks.snapshot('t_lower', 0)
    const size = await store().log.size()
    await store().tasks.lowerLabels('t_lower', clean, actEntry({ act: 'labels-lower' }))
    const after = await store().tasks.snapshot('t_lower', 0)
    assert.deepEqual(after?.labels, clean)
    assert.notEqual(after?.labelsRevision, before?.labelsRevision)
    assert.equal(await store().log.size(), size + 1)
    await assert.rejects(store().tasks.lowerLabels('t_none', clean, actEntry()), StoreConflict)
  })

  it('refusals by policy or a person count in the history of the line; faults and waiting do not', async () => {
    await store().tasks.open(aTask({ id: 't_no_up' }), 0, actEntry())
    await store().tasks.open(aTask({ id: 't_no', parent: 't_no_up' }), 0, actEntry())
    const before = await store().tasks.snapshot('t_no', 0)
    for (const code of [
      'denied',
      'flow-forbidden',
      'approval-refused',
      'fault',
      'approval-required',
      'bad-arguments',
    ])
      await store().log.append(refusedEntry({ call: `c_${code}`, task: 't_no', code }), null)
    await store().log.append(refusedEntry({ call: 'c_flood', task: 't_no', code: 'denied', count: 40 }), null)
    const after = await store().tasks.snapshot('t_no', 0)
    assert.equal(after?.history.refused, 43)
    assert.equal((await store().tasks.snapshot('t_no_up', 0))?.history.refused, 43)
    assert.notEqual(after?.historyRevision, before?.historyRevision)
  })
}
