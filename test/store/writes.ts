import { openSqlite } from '../../src/store/sqlite.ts'
import { actEntry, aTask, intendRequest, settleRequest } from '../../src/testing/samples.ts'

/** Writes calls until it is killed, and tells its parent of each change whose promise has resolved. */

const store = await openSqlite({ path: process.argv[2] ?? '' })
await store.tasks.open(aTask(), 0, actEntry())

async function lane(name: number): Promise<void> {
  for (let n = 0; n < 10_000; n += 1) {
    const call = `c_${name}_${n}`
    await store.calls.intend(intendRequest({ call }))
    process.send?.({ intended: call })
    await store.calls.settle(settleRequest({ call }))
    process.send?.({ settled: call })
  }
}

await Promise.all(Array.from({ length: 8 }, (_, name) => lane(name)))
