import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { FlowRow, Store } from '../../store/ports.ts'
import { actEntry, aTask, intendRequest, noHeads, settleRequest } from '../samples.ts'
import { fixture } from './fixture.ts'
import type { Fixture, OpenStore } from './fixture.ts'

const never = 2 ** 52

async function opened(store: Store, id: string, person: string): Promise<void> {
  await store.tasks.open(aTask({ id, agent: `agent of ${id}`, owner: person }), never, actEntry())
}

const rowsOf = (store: Store, scope: string, from = 0): Promise<readonly FlowRow[]> =>
  store.flow.since([{ scope, from, notBefore: 0 }])

const numbered = (rows: readonly FlowRow[]): readonly string[] =>
  rows.map(({ seq, body }) => `${seq} ${body}`)

export function flowContract(open: OpenStore): void {
  describe('flow', () => {
    const at = fixture(open)
    rowsContract(at)
    measuredContract(at)
  })
}

function rowsContract({ store }: Fixture): void {
  it('what is remembered of a call and what it spills is there when the intent is, numbered per scope', async () => {
    await opened(store(), 't_f1', 'person one')
    await opened(store(), 't_f2', 'person two')
    const intend = (call: string, task: string, person: string, spilled: string | null) =>
      store().calls.intend(
        intendRequest({ call, task, agent: `agent of ${task}`, person, fact: `fact of ${call}`, spilled }),
      )
    await Promise.all([
      intend('c_f1', 't_f1', 'person one', null),
      intend('c_f2', 't_f2', 'person two', 'spilled by c_f2'),
      intend('c_f3', 't_f1', 'person one', 'spilled by c_f3'),
    ])
    const one = await rowsOf(store(), 'person:person one')
    assert.deepEqual(
      one.map(({ seq }) => seq),
      [0, 1],
    )
    assert.deepEqual(one.map(({ body }) => body).toSorted(), ['fact of c_f1', 'fact of c_f3'])
    assert.deepEqual(numbered(await rowsOf(store(), 'person:person two')), ['0 fact of c_f2'])
    const sinks = (await rowsOf(store(), 'sinks')).map(({ body }) => body)
    assert.deepEqual(sinks.filter((body) => body.startsWith('spilled by')).toSorted(), [
      'spilled by c_f2',
      'spilled by c_f3',
    ])
    const snapshot = await store().tasks.snapshot('t_f1', 2000)
    assert.equal(snapshot?.flow.person, 2)
    assert.equal(snapshot?.flow.sinks, sinks.length)
  })

  it('what a task has met comes with the outcome, and a sub-task sees how much there is above it', async () => {
    await opened(store(), 't_f3', 'person three')
    const agent = 'agent of t_f3'
    await store().calls.intend(intendRequest({ call: 'c_f4', task: 't_f3', agent, person: 'person three' }))
    await store().calls.settle(
      settleRequest({ call: 'c_f4', task: 't_f3', taught: 'lessons', spilled: 'ids' }),
    )
    assert.deepEqual(numbered(await rowsOf(store(), 'task:t_f3')), ['0 lessons'])
    await store().tasks.open(
      aTask({ id: 't_f4', agent, owner: 'person three', parent: 't_f3' }),
      never,
      actEntry(),
    )
    const snapshot = await store().tasks.snapshot('t_f4', 2000)
    assert.deepEqual([snapshot?.flow.task, snapshot?.flow.above], [0, [1]])
    assert.ok((await rowsOf(store(), 'sinks')).some(({ body }) => body === 'ids'))
  })

  it('rows are fetched from a number on, and from a time on', async () => {
    await opened(store(), 't_f5', 'person four')
    const agent = 'agent of t_f5'
    for (const n of [1, 2, 3])
      await store().calls.intend(
        intendRequest({
          call: `c_g${n}`,
          task: 't_f5',
          agent,
          person: 'person four',
          fact: `${n}`,
          at: n * 1000,
        }),
      )
    const scope = 'person:person four'
    assert.deepEqual(numbered(await rowsOf(store(), scope, 1)), ['1 2', '2 3'])
    assert.deepEqual(numbered(await store().flow.since([{ scope, from: 0, notBefore: 2500 }])), ['2 3'])
    assert.equal(await store().flow.tailOf(scope, 2), 1)
    assert.equal(await store().flow.tailOf('person:nobody', 2), 0)
  })

  it('a heartbeat throws away what no decision looks at, and the numbers go on', async () => {
    await opened(store(), 't_f6', 'person five')
    const agent = 'agent of t_f6'
    const intend = (call: string, when: number) =>
      store().calls.intend(
        intendRequest({ call, task: 't_f6', agent, person: 'person five', fact: call, at: when }),
      )
    await intend('c_h1', 1000)
    await intend('c_h2', 1001)
    await store().settings.beat('b_flow', 1000 + 40 * 86_400_000)
    assert.deepEqual(numbered(await rowsOf(store(), 'person:person five')), ['1 c_h2'])
    await intend('c_h3', 1002)
    assert.deepEqual(numbered(await rowsOf(store(), 'person:person five')), ['1 c_h2', '2 c_h3'])
  })
}

function measuredContract({ store }: Fixture): void {
  it('two parallel calls cannot both take the last of a measure: one of them is decided again', async () => {
    await opened(store(), 't_m1', 'person six')
    const agent = 'agent of t_m1'
    const heads = (await store().tasks.snapshot('t_m1', 0))?.heads ?? noHeads
    const expect = { labels: null, history: null, memory: null, person: 0, heads }
    const ends = await Promise.all(
      ['c_m1', 'c_m2'].map((call) =>
        store().calls.intend(
          intendRequest({ call, task: 't_m1', agent, person: 'person six', fact: call, expect }),
        ),
      ),
    )
    assert.deepEqual(ends.map(({ kind }) => kind).toSorted(), ['intended', 'moved'])
  })

  it('what another agent of the person does moves a measure, what another person’s does not', async () => {
    await opened(store(), 't_m2', 'person seven')
    await opened(store(), 't_m3', 'person seven')
    await opened(store(), 't_m4', 'person eight')
    const intend = (call: string, task: string, person: string, at: number | null) =>
      store().calls.intend(
        intendRequest({
          call,
          task,
          agent: `agent of ${task}`,
          person,
          fact: call,
          expect: { labels: null, history: null, memory: null, person: at, heads: noHeadsOf },
        }),
      )
    const noHeadsOf = (await store().tasks.snapshot('t_m2', 0))?.heads ?? noHeads
    assert.equal((await intend('c_n1', 't_m4', 'person eight', null)).kind, 'intended')
    assert.equal((await intend('c_n2', 't_m3', 'person seven', null)).kind, 'intended')
    assert.equal((await intend('c_n3', 't_m2', 'person seven', 0)).kind, 'moved')
    assert.equal((await intend('c_n4', 't_m2', 'person seven', 1)).kind, 'intended')
  })
}
