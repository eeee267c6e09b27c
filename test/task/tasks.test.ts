import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import { operator, world } from './world.ts'

const agent = { name: 'coder', proof: 'agent-key' } as const

describe('tasks', () => {
  it('open within what the agent may ask for, with an act in the log', async () => {
    const { tasks, entries } = await world()
    const opened = await tasks.open(
      { agent: 'coder', by: 'agent', words: 'fix the build', tools: ['files/*'], budget: { calls: 5 } },
      agent,
    )
    assert.ok(opened.ok)
    assert.deepEqual(opened.task.budget, { calls: 5, effects: { write: 10 } })
    assert.equal(opened.task.owner, 'owner')
    assert.equal(opened.task.environment, 'development')
    const act = (await entries()).at(-1)
    assert.equal(act?.['act'], 'task-opened')
    assert.equal(act?.['by'], 'coder')
    assert.equal(act?.['proof'], 'agent-key')
  })

  const beyond = [
    ['more calls', { budget: { calls: 101 } }, 'outside-ceiling'],
    ['more writes', { budget: { effects: { write: 11 } } }, 'outside-ceiling'],
    ['a later end', { lifetimeMs: 3_600_001 }, 'outside-ceiling'],
    ['another environment', { environment: 'production' }, 'outside-ceiling'],
    ['no idle limit', { idleMs: 0 }, 'outside-ceiling'],
    ['a purpose of its own choice', { purposeClass: 'incident' }, 'unknown-purpose'],
    ['a pattern that is none', { tools: ['*/read'] }, 'bad-request'],
    ['no tools', { tools: [] }, 'bad-request'],
  ] as const
  it('an agent gets nothing beyond', async (t) => {
    const { tasks, store } = await world()
    for (const [what, request, problem] of beyond) {
      await t.test(what, async () => {
        const opened = await tasks.open({ agent: 'coder', by: 'agent', ...request }, agent)
        assert.equal(!opened.ok && opened.problem, problem)
      })
    }
    assert.deepEqual(await store.tasks.list({}), [])
  })

  it('a person may choose another registered purpose, but no made-up one', async () => {
    const { tasks } = await world()
    assert.equal(
      (await tasks.open({ agent: 'coder', by: 'person', purposeClass: 'incident' }, operator)).ok,
      true,
    )
    assert.equal(
      (await tasks.open({ agent: 'coder', by: 'person', purposeClass: 'anything' }, operator)).ok,
      false,
    )
  })

  it('a sub-task gets what remains and cannot win back what its parent gave up', async () => {
    const { tasks } = await world()
    const parent = await tasks.open(
      { agent: 'coder', by: 'agent', tools: ['files/*'], budget: { calls: 5 } },
      agent,
    )
    assert.ok(parent.ok)
    const child = await tasks.open(
      { agent: 'coder', by: 'agent', parent: parent.task.id, tools: ['files/read'] },
      agent,
    )
    assert.ok(child.ok)
    assert.equal(child.task.budget.calls, 5)
    assert.equal(child.task.expiresAt <= parent.task.expiresAt, true)
    for (const wider of [
      { tools: ['*'] },
      { tools: ['files/*'] },
      { tools: ['files/read'], budget: { calls: 6 } },
    ]) {
      const widened = await tasks.open(
        { agent: 'coder', by: 'agent', parent: child.task.id, ...wider },
        agent,
      )
      assert.equal(!widened.ok && widened.problem, 'outside-ceiling')
    }
  })

  it('a sub-task of somebody else is refused as if there were none', async () => {
    const { tasks } = await world()
    const own = await tasks.openForPerson('operator', {}, operator)
    assert.ok(own.ok)
    const child = await tasks.open({ agent: 'coder', by: 'agent', parent: own.task.id }, agent)
    assert.equal(!child.ok && child.problem, 'no-parent')
    assert.equal((await tasks.current(own.task.id, 'coder')).ok, false)
  })

  it('a person and an agent never share a name', async () => {
    const { tasks } = await world()
    const taken = await tasks.openForPerson('coder', {}, operator)
    assert.equal(!taken.ok && taken.problem, 'taken')
  })

  it('closing one closes those below it, once, and aborts what is in flight', async () => {
    const { tasks, revocations, closed, entries } = await world()
    const parent = await tasks.open({ agent: 'coder', by: 'agent' }, agent)
    assert.ok(parent.ok)
    const child = await tasks.open({ agent: 'coder', by: 'agent', parent: parent.task.id }, agent)
    assert.ok(child.ok)
    const watch = revocations.watch([`task:${child.task.id}`])
    const before = (await entries()).length
    assert.deepEqual(
      new Set(await tasks.close(parent.task.id, 'done', operator)),
      new Set([parent.task.id, child.task.id]),
    )
    assert.equal(watch.signal.aborted, true)
    assert.equal(closed.length, 2)
    assert.deepEqual(await tasks.close(parent.task.id, 'done', operator), [])
    assert.equal((await entries()).length, before + 1)
    const current = await tasks.current(child.task.id, 'coder')
    assert.equal(!current.ok && current.problem, 'task-ended')
  })

  it('the sweep closes what has expired, is idle, or is bound to what has changed', async () => {
    const { tasks, clock, context, entries } = await world()
    const idle = await tasks.open({ agent: 'coder', by: 'agent' }, agent)
    assert.ok(idle.ok)
    assert.deepEqual(await tasks.sweep(), [])
    clock.move(600_000)
    assert.deepEqual(await tasks.sweep(), [idle.task.id])
    assert.equal((await tasks.get(idle.task.id))?.closedBecause, 'idle')
    const bound = await tasks.open({ agent: 'coder', by: 'agent' }, agent)
    assert.ok(bound.ok)
    context.current = { policy: 'two' }
    assert.equal((await tasks.current(bound.task.id, 'coder')).ok, false)
    assert.deepEqual(await tasks.sweep(), [bound.task.id])
    const act = (await entries()).at(-1)
    assert.deepEqual([act?.['act'], act?.['by']], ['task-closed', 'broker'])
  })

  it('narrows in place, never the other way', async () => {
    const { tasks } = await world()
    const opened = await tasks.open({ agent: 'coder', by: 'agent', tools: ['files/*'] }, agent)
    assert.ok(opened.ok)
    const { id } = opened.task
    const narrowed = await tasks.narrow(
      id,
      { tools: ['files/read'], budget: { calls: 1000 }, lifetimeMs: 9_999_999 },
      operator,
    )
    assert.ok(narrowed.ok)
    const kept = await tasks.get(id)
    assert.deepEqual(
      [kept?.tools, kept?.budget.calls, kept?.expiresAt],
      [['files/read'], 100, opened.task.expiresAt],
    )
    assert.equal((await tasks.narrow(id, { tools: ['files/*'] }, operator)).ok, false)
  })

  it('labels are lowered by an act only, and only down', async () => {
    const { tasks, entries } = await world()
    const opened = await tasks.open({ agent: 'coder', by: 'agent' }, agent)
    assert.ok(opened.ok)
    const raised = await tasks.lowerLabels(
      opened.task.id,
      { confidentiality: 'secret', integrity: 'trusted', reason: 'x' },
      operator,
    )
    assert.equal(raised.ok, false)
    const same = await tasks.lowerLabels(
      opened.task.id,
      { confidentiality: 'public', integrity: 'trusted', reason: 'looked at it' },
      operator,
    )
    assert.equal(same.ok, true)
    assert.equal((await entries()).at(-1)?.['act'], 'labels-lowered')
  })

  it('a revoked agent opens nothing', async () => {
    const { tasks, revocations } = await world()
    await revocations.revoke({ key: 'agent:coder', reason: 'misbehaved' }, operator)
    const opened = await tasks.open({ agent: 'coder', by: 'agent' }, agent)
    assert.equal(!opened.ok && opened.problem, 'revoked')
  })

  it('an agent has a bounded number of open tasks', async () => {
    const { tasks } = await world()
    for (let i = 0; i < 64; i += 1)
      assert.equal((await tasks.open({ agent: 'coder', by: 'agent' }, agent)).ok, true)
    const more = await tasks.open({ agent: 'coder', by: 'agent' }, agent)
    assert.equal(!more.ok && more.problem, 'too-many')
  })
})
