import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openPostgres } from '../src/store/postgres.ts'
import type { Store } from '../src/store/ports.ts'
import { openSqlite } from '../src/store/sqlite.ts'
import { actEntry, aTask, intendRequest, intentEntry, settleRequest } from '../src/testing/samples.ts'
import { startCluster } from '../test/postgres.ts'
import { eachAwaited, percentile, short } from './stats.ts'

/**
 * The store alone, on either engine: how many calls a second it commits (intend and settle, both durable), how long each
 * takes, and what a task's snapshot costs. `--agents` says how many agents the calls are of: those of one agent wait for
 * each other's locks. Last line: one JSON object.
 */

const { values } = parseArgs({
  options: {
    engine: { type: 'string', default: 'sqlite' },
    agents: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '2' },
    connections: { type: 'string', default: '8' },
    json: { type: 'boolean', default: false },
  },
})
const seconds = Number(values.seconds)
const agents = Number(values.agents)

type Opened = { readonly store: Store; close(): Promise<void> }

async function openEngine(): Promise<Opened> {
  if (values.engine === 'postgres') {
    const cluster = await startCluster()
    const store = await openPostgres({
      database: await cluster.database(),
      maxConnections: Number(values.connections),
    })
    return {
      store,
      close: async () => {
        await store.close()
        await cluster.end()
      },
    }
  }
  if (values.engine !== 'sqlite')
    throw new Error(`expected \`sqlite\` or \`postgres\`, got \`${values.engine}\``)
  const home = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  const store = await openSqlite({ path: join(home, 'store.db') })
  return {
    store,
    close: async () => {
      await store.close()
      rmSync(home, { recursive: true })
    },
  }
}

type Measured = { readonly rate: number; readonly p50: number; readonly p99: number }

async function calls(store: Store, concurrent: number): Promise<Measured> {
  const until = performance.now() + seconds * 1000
  const took: number[] = []
  const one = async (lane: number): Promise<void> => {
    const task = `t_${lane % agents}`
    const agent = `agent ${lane % agents}`
    for (let n = 0; performance.now() < until; n += 1) {
      const call = `c_${concurrent}_${lane}_${n}`
      const start = performance.now()
      await store.calls.intend(intendRequest({ call, task, agent, entry: intentEntry({ call, task }) }))
      await store.calls.settle(settleRequest({ call, task }))
      took.push(performance.now() - start)
    }
  }
  await Promise.all(Array.from({ length: concurrent }, (_, lane) => one(lane)))
  return {
    rate: short(took.length / seconds),
    p50: short(percentile(took, 0.5)),
    p99: short(percentile(took, 0.99)),
  }
}

const { store, close } = await openEngine()
try {
  for (let n = 0; n < agents; n += 1)
    await store.tasks.open(aTask({ id: `t_${n}`, agent: `agent ${n}` }), 0, actEntry())
  await calls(store, 64)
  const figures: { [name: string]: number | string } = { engine: values.engine, agents }
  for (const concurrent of [1, 16, 64]) {
    const { rate, p50, p99 } = await calls(store, concurrent)
    Object.assign(figures, {
      [`calls_per_s_${concurrent}`]: rate,
      [`call_p50_ms_${concurrent}`]: p50,
      [`call_p99_ms_${concurrent}`]: p99,
    })
    if (!values.json)
      console.log(`${concurrent} concurrent: ${rate} calls/s, p50 ${p50} ms, p99 ${p99} ms (intend + settle)`)
  }
  figures['snapshot_us'] = short(await eachAwaited(2000, () => store.tasks.snapshot('t_0', 0)))
  if (!values.json) console.log(`snapshot: ${figures['snapshot_us']} µs`)
  console.log(JSON.stringify(figures))
} finally {
  await close()
}
