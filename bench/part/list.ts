import { z } from 'zod'
import { benchTool } from './decide.ts'
import { createView } from '../../src/registry/view.ts'
import { percentile, short, timed } from '../stats.ts'
import type { Part } from '../part.ts'

const listsSchema = z.object({ times: z.array(z.number()), bytes: z.number() })

/** The filter alone: a view as after each change of the registry, asked for one server's tools among 10,000. */
function viewTimes(rounds: number): readonly number[] {
  const tools = new Map(
    Array.from({ length: 10_000 }, (_, index) => benchTool(index, ['read'])).map((tool) => [tool.id, tool]),
  )
  const record = {
    name: 'up',
    config: {},
    source: 'config',
    environment: 'bench',
    state: 'active',
    view: null,
  } as const
  return Array.from({ length: rounds }, (_, version) => {
    const view = createView({ version, tools, servers: new Map([['up', record]]), withheld: new Set() })
    const from = performance.now()
    view.list({ patterns: ['up/*'], kinds: ['tool'] })
    return performance.now() - from
  })
}

/**
 * A filtered list of 10,000 tools: through the door, its first page as an agent gets it, each time for a scope that
 * nobody has asked for before; and the filter alone. Besides, what the first listing of so many tools does to others:
 * the longest time in which the event loop served nobody.
 */
export const list: Part = async ({ lay, load, quick }) => {
  const laid = await timed(() => lay({ tools: quick ? 2_000 : 10_000, agents: quick ? 8 : 32, scoped: true }))
  const world = laid.value
  try {
    const stall = await world.broker.ask('stallAtStart', z.number())
    const reviewing = await world.broker.ask('stall', z.number())
    const as = await world.callers()
    const ask = async (): Promise<z.infer<typeof listsSchema>> =>
      load.ask('lists', listsSchema, { port: world.ports.broker, as, ms: 0 })
    const fresh = await ask()
    const again = await ask()
    await world.broker.ask('stall', z.number())
    const relisted = await timed(() => world.broker.ask('relist', z.string().nullable()))
    const relisting = await world.broker.ask('stall', z.number())
    return {
      list_10k_p50_ms: short(percentile(fresh.times, 0.5)),
      list_10k_p99_ms: short(percentile(fresh.times, 0.99)),
      list_10k_known_p50_ms: short(percentile(again.times, 0.5)),
      list_10k_filter_p50_ms: short(percentile(viewTimes(quick ? 10 : 40), 0.5)),
      list_10k_page_kb: short(fresh.bytes / fresh.times.length / 1024),
      first_listing_stall_ms: short(stall),
      review_10k_stall_ms: short(reviewing),
      relisting_ms: short(relisted.ms),
      relisting_stall_ms: short(relisting),
    }
  } finally {
    await world.close()
  }
}
