import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqlite } from '../src/store/sqlite.ts'
import type { Store } from '../src/store/ports.ts'
import { actEntry, intendRequest, intentEntry, settleRequest, aTask } from '../src/testing/samples.ts'

/** Prints how many calls a second the store can commit (intend and settle, both durable), and what a snapshot costs. */

const seconds = 3

async function callsPerSecond(store: Store, concurrent: number): Promise<number> {
  const until = performance.now() + seconds * 1000
  let done = 0
  const one = async (lane: number): Promise<void> => {
    for (let n = 0; performance.now() < until; n += 1) {
      const call = `c_${concurrent}_${lane}_${n}`
      const entry = intentEntry({ call, task: `t_${lane % 8}` })
      await store.calls.intend(intendRequest({ call, task: `t_${lane % 8}`, entry }))
      await store.calls.settle(settleRequest({ call, task: `t_${lane % 8}` }))
      done += 1
    }
  }
  await Promise.all(Array.from({ length: concurrent }, (_, lane) => one(lane)))
  return done / seconds
}

async function snapshotMicroseconds(store: Store): Promise<number> {
  const rounds = 20_000
  for (let n = 0; n < 2000; n += 1) await store.tasks.snapshot('t_0', 0)
  const start = performance.now()
  for (let n = 0; n < rounds; n += 1) await store.tasks.snapshot('t_0', 0)
  return ((performance.now() - start) * 1000) / rounds
}

const home = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
const store = await openSqlite({ path: join(home, 'store.db') })
try {
  for (let n = 0; n < 8; n += 1) await store.tasks.open(aTask({ id: `t_${n}` }), 0, actEntry())
  for (const concurrent of [1, 16, 64])
    console.log(
      `${concurrent} concurrent: ${Math.round(await callsPerSecond(store, concurrent))} calls/s (intend + settle)`,
    )
  console.log(`snapshot: ${(await snapshotMicroseconds(store)).toFixed(1)} µs`)
} finally {
  await store.close()
  rmSync(home, { recursive: true })
}
