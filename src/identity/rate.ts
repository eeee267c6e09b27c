/** A bounded set of leaky buckets. `take` is true when one more is within the rate. */
export type Rate = { take(key: string): boolean }

/**
 * `perMinute` on average, `burst` at once, for each key. At most `keys` buckets: when all are in use by others, a new key
 * shares one bucket with all other new ones, so that making up names buys nothing. Time is monotonic: a clock that is
 * set back neither locks anyone out nor opens the gate.
 */
export function createRate(limits: {
  readonly perMinute: number
  readonly burst: number
  readonly keys?: number
  readonly monotonic?: () => number
}): Rate {
  const monotonic = limits.monotonic ?? (() => performance.now())
  const buckets = new Map<string, { level: number; at: number }>()
  const perMs = limits.perMinute / 60_000
  const full = limits.keys ?? 1024

  const levelOf = (bucket: { readonly level: number; readonly at: number }, now: number): number =>
    Math.max(0, bucket.level - (now - bucket.at) * perMs)

  return {
    take(key) {
      const now = monotonic()
      if (!buckets.has(key) && buckets.size >= full) {
        for (const [name, bucket] of buckets) if (levelOf(bucket, now) === 0) buckets.delete(name)
      }
      const name = buckets.has(key) || buckets.size < full ? key : ''
      const level = levelOf(buckets.get(name) ?? { level: 0, at: now }, now)
      if (level + 1 > limits.burst) return false
      buckets.set(name, { level: level + 1, at: now })
      return true
    },
  }
}
