import { statSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { short } from '../stats.ts'
import { usageSchema } from '../child.ts'
import { round } from './throughput.ts'
import type { Part } from '../part.ts'

const storeKb = (home: string): number => {
  const size = (name: string): number =>
    statSync(join(home, 'store', name), { throwIfNoEntry: false })?.size ?? 0
  return (size('countersign.db') + size('countersign.db-wal')) / 1024
}

/** What an open task holds in memory and on disk, and what the process holds after load. */
export const memory: Part = async ({ lay, load, quick }) => {
  const world = await lay({ tools: 100, agents: 16 })
  try {
    await round(world, { load, ms: quick ? 500 : 2_000, through: 'broker' })
    const before = await world.broker.ask('heap', usageSchema)
    const diskBefore = storeKb(world.home)
    const each = quick ? 16 : 60
    const opened = await world.broker.ask('openTasks', z.number(), { agents: world.agents, each })
    const after = await world.broker.ask('heap', usageSchema)
    const diskAfter = storeKb(world.home)
    await round(world, { load, ms: quick ? 1_000 : 8_000, through: 'broker' })
    const loaded = await world.broker.ask('usage', usageSchema)
    return {
      task_kb: short(Math.max(0, ((after.heapMb - before.heapMb) * 1024) / opened)),
      task_disk_kb: short((diskAfter - diskBefore) / opened),
      loaded_rss_mb: short(loaded.rssMb),
    }
  } finally {
    await world.close()
  }
}
