import { median, short } from '../stats.ts'
import { round } from './throughput.ts'
import type { Part } from '../part.ts'

/** The same path when each call borrows a credential: a lease is opened and closed, and answers are searched for it. */
export const lent: Part = async ({ lay, load, quick }) => {
  const world = await lay({ tools: 100, agents: 16, lent: true })
  const [rounds, ms] = quick ? [2, 1_000] : [3, 4_000]
  try {
    await round(world, { load, ms, through: 'broker' })
    const all: Awaited<ReturnType<typeof round>>[] = []
    for (let index = 0; index < rounds; index++) all.push(await round(world, { load, ms, through: 'broker' }))
    return {
      lent_rps: short(median(all.map(({ rps }) => rps))),
      lent_cpu_us: short(median(all.map(({ cpuUs }) => cpuUs))),
      lent_64_p50_ms: short(median(all.map(({ p50 }) => p50))),
    }
  } finally {
    await world.close()
  }
}
