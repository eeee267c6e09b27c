import type { Figures } from './part.ts'

/** What the figures are held against: the goals, and those that come after. */
export type Goal = {
  readonly name: string
  readonly what: string
  readonly at: 'least' | 'most'
  readonly now: number
  readonly later: number | null
}

export const goals: readonly Goal[] = [
  { name: 'ratio', what: 'throughput of the path over the floor', at: 'least', now: 0.3, later: 0.5 },
  { name: 'added_p50_ms', what: 'added latency at 500 calls/s, median', at: 'most', now: 2, later: 1 },
  { name: 'added_p99_ms', what: 'the same, 99th percentile', at: 'most', now: 10, later: 5 },
  { name: 'decide_us', what: 'one decision, policy and flow', at: 'most', now: 120, later: 20 },
  {
    name: 'flow_us',
    what: 'origins and measures, 1,000 calls and 1 MB seen',
    at: 'most',
    now: 30,
    later: null,
  },
  {
    name: 'task_bytes',
    what: 'memory of an open task that has read 1 MB',
    at: 'most',
    now: 53_687,
    later: null,
  },
  { name: 'list_10k_p50_ms', what: 'a list among 10,000 tools', at: 'most', now: 10, later: null },
  {
    name: 'verify_per_s',
    what: 'entries verified a second and core',
    at: 'least',
    now: 250_000,
    later: null,
  },
  { name: 'revoke_p50_ms', what: 'kill to first refused call', at: 'most', now: 50, later: null },
  { name: 'start_ms', what: 'start to first call served', at: 'most', now: 1_500, later: null },
  { name: 'idle_rss_mb', what: 'memory while nothing happens', at: 'most', now: 150, later: null },
]

/** Which goals are met; those that were not measured are left out. */
export const met = (figures: Figures): { readonly [name: string]: boolean } =>
  Object.fromEntries(
    goals.flatMap(({ name, at, now }) => {
      const value = figures[name]
      return typeof value === 'number' ? [[name, at === 'least' ? value >= now : value <= now]] : []
    }),
  )
