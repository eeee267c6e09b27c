import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { endings, message } from '../attack/play.ts'
import { mebibyte, retained } from './memory.ts'
import { world, type World } from '../world.ts'
import type { Actor } from '../../src/identity/actor.ts'
import type { Task } from '../../src/task/task.ts'

/** Thousands of open tasks: they lie in the store, so that memory does not know them; no work grows with their number but what a person asks for. */
const ends = endings()
const count = 20 * 64
const by: Actor = { name: 'test', proof: 'terminal' }
const opened: Task[] = []
let later = 0
let w: World
before(async () => {
  const agents = Object.fromEntries(
    Array.from({ length: Math.ceil(count / 64) + 1 }, (_, n) => [`agent-${n}`, {}]),
  )
  const clock = { now: () => Date.now() + later }
  w = ends.add(
    await world({ agents: { agent: {}, ...agents }, clock, config: { policy: { starter: 'observe' } } }),
  )
})
after(() => ends.close())

async function open(agent: string): Promise<Task | string> {
  const made = await w.broker.core.tasks.open({ by: 'agent', agent }, by)
  return made.ok ? made.task : made.problem
}

describe('thousands of open tasks', () => {
  test('take no memory of their own', async () => {
    const held = retained()
    const agents = Array.from({ length: Math.ceil(count / 64) }, (_, n) => `agent-${n}`)
    await Promise.all(
      agents.map(async (agent) => {
        for (let n = 0; n < 64; n++) {
          const task = await open(agent)
          assert.ok(typeof task !== 'string', String(task))
          opened.push(task)
        }
      }),
    )
    const grown = retained() - held
    assert.ok(opened.length >= count)
    // What the test itself keeps of them is in there.
    assert.ok(grown < 6 * mebibyte, `${Math.round(grown / opened.length)} bytes a task`)
  })

  test('are 64 of one agent at most; asking for one more is told to come back', async () => {
    assert.equal(await open('agent-0'), 'too-many')
    assert.notEqual(await open('agent'), 'too-many')
  })

  test('are listed in part, newest first', async () => {
    const listed = await w.broker.core.tasks.list({ state: 'open' })
    assert.equal(listed.length, 1_000)
    const { body } = await w.broker.api({
      method: 'GET',
      path: '/v1/tasks',
      query: { state: 'open' },
      level: 'terminal',
    })
    assert.ok(Array.isArray(body['tasks']) && body['tasks'].length <= 1_000)
  })

  test('are used as one is: a call among them is served', async () => {
    const token = await w.token()
    const { status } = await w.post(message('playground__notes_search', { words: 'a' }), { token })
    assert.equal(status, 200)
  })

  test('end when their time is over, a thousand a sweep, and take nothing with them', async () => {
    later = Math.max(...opened.map(({ expiresAt }) => expiresAt)) - Date.now() + 1
    for (let sweeps = 0; sweeps < 3; sweeps++) await w.broker.core.tasks.sweep()
    assert.deepEqual(await w.broker.core.tasks.list({ state: 'open' }), [])
    const [first] = opened
    assert.equal((await w.broker.core.tasks.get(first?.id ?? ''))?.state, 'closed')
    assert.deepEqual(w.faults, [])
  })
})
