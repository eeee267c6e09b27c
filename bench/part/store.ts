import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqlite } from '../../src/store/sqlite.ts'
import { actEntry, intendRequest, intentEntry, settleRequest, aTask } from '../../src/testing/samples.ts'
import { eachAwaited, short } from '../stats.ts'
import type { Part } from '../part.ts'
import type { Store } from '../../src/store/ports.ts'

async function callsPerSecond(store: Store, concurrent: number, seconds: number): Promise<number> {
  const until = performance.now() + seconds * 1000
  let done = 0
  const one = async (lane: number): Promise<void> => {
    for (let n = 0; performance.now() < until; n += 1) {
      const call = `c_${concurrent}_${lane}_${n}`
      const task = `t_${lane % 8}`
      await store.calls.intend(intendRequest({ call, task, entry: intentEntry({ call, task }) }))
      await store.calls.settle(settleRequest({ call, task }))
      done += 1
    }
  }
  await Promise.all(Array.from({ length: concurrent }, (_, lane) => one(lane)))
  return done / seconds
}

/** How many calls a second the store can commit (intend and settle, both durable), and what a task's snapshot costs. */
export const store: Part = async ({ quick }) => {
  const home = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  const opened = await openSqlite({ path: join(home, 'store.db') })
  const seconds = quick ? 0.5 : 2
  try {
    for (let n = 0; n < 8; n += 1) await opened.tasks.open(aTask({ id: `t_${n}` }), 0, actEntry())
    const at = async (concurrent: number): Promise<number> =>
      short(await callsPerSecond(opened, concurrent, seconds))
    await at(64)
    return {
      store_1_calls_per_s: await at(1),
      store_16_calls_per_s: await at(16),
      store_64_calls_per_s: await at(64),
      snapshot_us: short(await eachAwaited(quick ? 2_000 : 20_000, () => opened.tasks.snapshot('t_0', 0))),
    }
  } finally {
    await opened.close()
    rmSync(home, { recursive: true })
  }
}
