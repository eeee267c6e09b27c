/** Time as a value that is handed in, so that judgement stays pure and tests can move it. */
export type Clock = {
  /** Milliseconds since the Unix epoch. May jump; nothing may be proven by two readings alone. */
  now(): number
}

export const systemClock: Clock = { now: () => Date.now() }

/** RFC 3339 in UTC with milliseconds: the only form of time that entries and APIs show. */
export const rfc3339 = (ms: number): string => new Date(ms).toISOString()
