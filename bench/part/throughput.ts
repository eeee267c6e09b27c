import { z } from 'zod'
import { median, percentile, short } from '../stats.ts'
import { usageSchema, type Child } from '../child.ts'
import type { Part } from '../part.ts'
import type { World } from '../world.ts'

export const closedSchema = z.object({
  times: z.array(z.number()),
  failed: z.number(),
  firstFailure: z.string(),
  ms: z.number(),
})

export type Round = {
  readonly rps: number
  readonly p50: number
  readonly p99: number
  readonly cpuUs: number
}

/** Calls from 64 connections for a while; CPU time is the measured process's own, all of its threads. */
export async function round(
  world: World,
  {
    load,
    ms,
    through,
    connections = 64,
  }: Load & { readonly through: 'floor' | 'broker'; readonly connections?: number },
): Promise<Round> {
  const target = { port: world.ports[through], as: await world.callers(8), ms, connections }
  const before = await world[through].ask('usage', usageSchema)
  const { times, failed, firstFailure, ms: took } = await load.ask('closed', closedSchema, target)
  const after = await world[through].ask('usage', usageSchema)
  if (failed > 0)
    throw new Error(`${failed} of ${times.length} calls through the ${through} failed: ${firstFailure}`)
  return {
    rps: (times.length * 1000) / took,
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
    cpuUs: (after.cpuUs - before.cpuUs) / times.length,
  }
}

export type Load = { readonly load: Child; readonly ms: number }

/** The whole path beside the floor, in turns, so that what else the machine does hits both. */
export const throughput: Part = async ({ world, load, quick, say }) => {
  const [rounds, ms] = quick ? [2, 1_000] : [5, 4_000]
  const all: { readonly floor: Round; readonly path: Round }[] = []
  await round(world, { load, ms: ms / 2, through: 'floor' })
  await round(world, { load, ms, through: 'broker' })
  for (let index = 0; index < rounds; index++) {
    const floor = await round(world, { load, ms, through: 'floor' })
    const path = await round(world, { load, ms, through: 'broker' })
    all.push({ floor, path })
    say(`round ${index + 1}: floor ${floor.rps.toFixed(0)}/s, path ${path.rps.toFixed(0)}/s`)
  }
  const of = (which: 'floor' | 'path', what: keyof Round): number =>
    short(median(all.map((one) => one[which][what])))
  return {
    floor_rps: of('floor', 'rps'),
    path_rps: of('path', 'rps'),
    ratio: short(median(all.map(({ floor, path }) => path.rps / floor.rps))),
    floor_cpu_us: of('floor', 'cpuUs'),
    path_cpu_us: of('path', 'cpuUs'),
    cpu_ratio: short(median(all.map(({ floor, path }) => floor.cpuUs / path.cpuUs))),
    floor_64_p50_ms: of('floor', 'p50'),
    path_64_p50_ms: of('path', 'p50'),
    path_64_p99_ms: of('path', 'p99'),
  }
}
