import { z } from 'zod'
import { median, percentile, short, sum } from '../stats.ts'
import type { Ground, Part } from '../part.ts'

const openSchema = z.object({
  times: z.array(z.number()),
  failed: z.number(),
  lost: z.number(),
  lateMs: z.number(),
})

const rate = 500

type Spread = {
  readonly p50: number
  readonly p99: number
  /** Calls that failed, or that had no connection left to leave by. */
  readonly unanswered: number
}

async function measure({ world, load }: Ground, through: 'floor' | 'broker', ms: number): Promise<Spread> {
  const target = { port: world.ports[through], as: await world.callers(8), ms, rate }
  const { times, failed, lost } = await load.ask('open', openSchema, target)
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), unanswered: failed + lost }
}

/**
 * What the path adds to the floor at 500 calls a second, whether or not earlier ones have come back. A side that does not
 * keep up with the rate has no latency to speak of: then there is no figure, and the calls that went missing are told.
 */
export const latency: Part = async (ground) => {
  const [rounds, ms] = ground.quick ? [2, 2_000] : [5, 5_000]
  await measure(ground, 'broker', 1_000)
  const all: { readonly floor: Spread; readonly path: Spread }[] = []
  for (let index = 0; index < rounds; index++) {
    const floor = await measure(ground, 'floor', ms)
    const path = await measure(ground, 'broker', ms)
    all.push({ floor, path })
    ground.say(
      `round ${index + 1}: floor ${floor.p50.toFixed(2)} / ${floor.p99.toFixed(2)} ms, path ${path.p50.toFixed(2)} / ${path.p99.toFixed(2)} ms, ${path.unanswered} unanswered`,
    )
  }
  const unanswered = sum(all.map(({ floor, path }) => floor.unanswered + path.unanswered))
  const of = (which: 'floor' | 'path', what: 'p50' | 'p99'): number =>
    median(all.map((one) => one[which][what]))
  const kept = (figure: number): number | null => (unanswered > 0 ? null : short(figure))
  return {
    added_p50_ms: kept(of('path', 'p50') - of('floor', 'p50')),
    added_p99_ms: kept(of('path', 'p99') - of('floor', 'p99')),
    unanswered_at_500: unanswered,
    floor_500_p50_ms: short(of('floor', 'p50')),
    floor_500_p99_ms: short(of('floor', 'p99')),
    path_500_p50_ms: kept(of('path', 'p50')),
    path_500_p99_ms: kept(of('path', 'p99')),
  }
}
