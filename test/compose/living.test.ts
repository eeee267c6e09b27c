import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLiving, livingMs } from '../../src/compose/living.ts'

function world(alone = false) {
  const clock = { at: 1_000_000, now: () => clock.at }
  const beats = new Map<string, number>()
  let away = false
  const living = createLiving({
    settings: {
      beats: async () => {
        if (away) throw new Error('the database is away')
        return [...beats].map(([broker, at]) => ({ broker, at }))
      },
    },
    clock,
    broker: 'b_own',
    alone,
  })
  /** Looks every second for so long; the nodes named beat meanwhile, each by a clock of its own. */
  const pass = async (ms: number, ...alive: readonly string[]) => {
    let seen: readonly string[] = []
    for (let passed = 0; passed < ms; passed += 1000) {
      clock.at += 1000
      for (const one of alive) beats.set(one, (beats.get(one) ?? 5) + 1000)
      seen = away ? seen : await living.look()
    }
    return seen
  }
  return { clock, beats, pass, leave: (gone: boolean) => (away = gone) }
}

test('one whose heartbeat stands still for long enough is dead, and alive again when it moves', async () => {
  const w = world()
  assert.deepEqual(await w.pass(5000, 'b_a', 'b_b'), ['b_a', 'b_b', 'b_own'])
  assert.deepEqual(await w.pass(livingMs - 2000, 'b_a'), ['b_a', 'b_b', 'b_own'])
  assert.deepEqual(await w.pass(2000, 'b_a'), ['b_a', 'b_own'])
  assert.deepEqual(await w.pass(1000, 'b_a', 'b_b'), ['b_a', 'b_b', 'b_own'])
})

test('a clock that is an hour off makes nobody look dead', async () => {
  const w = world()
  w.beats.set('b_a', w.clock.at - 3_600_000)
  assert.deepEqual(await w.pass(livingMs * 2, 'b_a'), ['b_a', 'b_own'])
})

test('a database that was away makes nobody look dead', async () => {
  const w = world()
  await w.pass(5000, 'b_a')
  w.leave(true)
  await w.pass(livingMs * 3)
  w.leave(false)
  assert.deepEqual(await w.pass(2000), ['b_a', 'b_own'])
  assert.deepEqual(await w.pass(livingMs), ['b_own'])
})

test('whoever is alone on the store has nobody beside it', async () => {
  const w = world(true)
  assert.deepEqual(await w.pass(1000, 'b_a'), ['b_own'])
})
