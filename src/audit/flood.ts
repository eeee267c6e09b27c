import type { Caller } from '../identity/caller.ts'

/** One refusal as the rule sees it; `caller` is null before authentication. */
export type FloodKey = {
  readonly caller: Caller | null
  readonly door: string
  readonly code: string
  readonly tool: string | null
}

/** Refusals that were counted and not written: to be written as one entry with their `count`. Times in milliseconds. */
export type CountedRefusals = FloodKey & {
  readonly count: number
  readonly since: number
  readonly until: number
}

export type Flood = {
  /** `write`: this refusal gets an entry of its own, now. `count`: it is in what `drain` will give. */
  admit(refusal: FloodKey, now: number): 'write' | 'count'
  /** Groups whose window has ended at `now`; `Infinity` gives all, as at the end of the process. */
  drain(now: number): readonly CountedRefusals[]
}

export type FloodSettings = {
  /** Length of a window in milliseconds. */
  readonly windowMs?: number
  /** Entries of one caller a second, in the long run, and at once. */
  readonly perSecond?: number
  readonly burst?: number
  /** Groups and callers that are kept apart; beyond it they are counted together. */
  readonly groups?: number
}

type Group = { key: FloodKey; count: number; since: number; until: number }
type Bucket = { tokens: number; at: number }

/**
 * Keeps refusals from filling the log, without losing one from the sums. Before authentication anybody can send any
 * number: the first of a door and code is written, the rest of that minute is counted. After it, entries are durable up
 * to a rate per caller; what exceeds it is counted by caller, code and tool. Bounded: a flood of new names ends in one
 * group for all of them.
 */
export function createFlood(settings: FloodSettings = {}): Flood {
  const { windowMs = 60_000, perSecond = 20, burst = 100, groups: most = 4096 } = settings
  const groups = new Map<string, Group>()
  const buckets = new Map<string, Bucket>()

  const count = (key: FloodKey, now: number): void => {
    const own = idOf(key)
    const id = groups.has(own) || groups.size < most ? own : JSON.stringify(key.caller === null)
    const group = groups.get(id)
    if (group !== undefined)
      groups.set(id, { ...group, count: group.count + 1, until: Math.max(group.until, now) })
    else groups.set(id, { key: id === own ? key : others, count: 1, since: now, until: now })
  }

  const admitStranger = (refusal: FloodKey, now: number): 'write' | 'count' => {
    // A stranger chooses what it asks for: the tool's name does not tell groups apart.
    const key = { ...refusal, tool: null }
    if (!groups.has(idOf(key)) && groups.size < most) {
      groups.set(idOf(key), { key, count: 0, since: now, until: now })
      return 'write'
    }
    count(key, now)
    return 'count'
  }

  const admitCaller = (key: FloodKey, caller: Caller, now: number): 'write' | 'count' => {
    const id = `${caller.kind}:${caller.name}`
    const found = buckets.get(id) ?? { tokens: burst, at: now }
    // A clock that went back gives nothing; it must not take anything either.
    const tokens = Math.min(burst, found.tokens + (Math.max(0, now - found.at) * perSecond) / 1000)
    if (buckets.size >= most && !buckets.has(id)) forgetFull(buckets, { now, perSecond, burst })
    const known = buckets.size < most || buckets.has(id)
    if (known) buckets.set(id, { tokens: tokens >= 1 ? tokens - 1 : tokens, at: now })
    if (known && tokens >= 1) return 'write'
    count(key, now)
    return 'count'
  }

  return {
    admit: (key, now) => (key.caller === null ? admitStranger(key, now) : admitCaller(key, key.caller, now)),
    drain: (now) => {
      const drained: CountedRefusals[] = []
      for (const [id, group] of groups) {
        // A window that lies in the future was opened before the clock went back: it has ended, too.
        if (now - group.since < windowMs && now >= group.since) continue
        if (group.count > 0)
          drained.push({ ...group.key, count: group.count, since: group.since, until: group.until })
        // The drained entry is a stranger's one for this minute: the next window begins counting at once.
        if (group.count > 0 && group.key.caller === null && now !== Infinity) {
          groups.set(id, { key: group.key, count: 0, since: now, until: now })
        } else groups.delete(id)
      }
      return drained
    },
  }
}

/** What is counted together when there is no room for another group. */
const others: FloodKey = { caller: null, door: '…', code: '…', tool: null }

/** By task, too: counted refusals are part of that task's history. */
const idOf = ({ caller, door, code, tool }: FloodKey): string =>
  JSON.stringify([caller?.kind ?? null, caller?.name ?? door, caller?.task ?? null, code, tool])

/** Forgets callers whose bucket would be full by now: forgetting them changes nothing. */
function forgetFull(
  buckets: Map<string, Bucket>,
  { now, perSecond, burst }: { readonly now: number; readonly perSecond: number; readonly burst: number },
): void {
  for (const [id, bucket] of buckets) {
    if (bucket.tokens + ((now - bucket.at) * perSecond) / 1000 >= burst) buckets.delete(id)
  }
}
