import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createWorld, liar, problemOf, type World } from '../server/world.ts'

/** A program has one process for each task. What one agent's tasks can take of them, and how others come to theirs. */
const worlds: World[] = []
after(async () => {
  for (const { servers } of worlds) await servers.close()
})

function four(idleMs = 60_000) {
  const world = createWorld({ echo: liar('honest') }, { limits: { connections: 4, idleMs } })
  worlds.push(world)
  const call = async (agent: string, task: string): Promise<string> =>
    problemOf(await world.call({ server: 'echo', tool: 'act', agent, task: `${agent} ${task}` }))
  return call
}

describe('the processes of a program', () => {
  test('are not all of one agent: what it may not have is there for another', async () => {
    const call = four()
    for (const task of ['1', '2', '3']) assert.equal(await call('greedy', task), 'result')
    assert.equal(await call('greedy', '4'), 'not-sent busy')
    assert.equal(await call('modest', '1'), 'result')
    assert.equal(await call('greedy', '1'), 'result', 'what it has it keeps')
    assert.equal(await call('third', '1'), 'not-sent busy')
  })

  test('that rest make room, first those of whoever has the most', async () => {
    const call = four(2_000)
    for (const task of ['1', '2', '3']) await call('greedy', task)
    await call('modest', '1')
    await sleep(700)
    assert.equal(await call('modest', '1'), 'result', 'in use again')
    assert.equal(await call('third', '1'), 'result')
    const alive = worlds
      .at(-1)
      ?.servers.diagnose()
      .connections.map(({ task }) => task)
    assert.ok(alive?.includes('modest 1') && alive.includes('third 1'))
    assert.equal(alive?.filter((task) => task?.startsWith('greedy')).length, 2)
  })
})
