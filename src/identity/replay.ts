/** Remembers proofs until they expire, so that each counts once. */
export type Replays = {
  /**
   * True the first time. False when `id` was used by `who` before, and when `who` has too many unexpired proofs: then
   * nothing can be said of a new one, so it does not count. `until` is when the proof itself expires, in milliseconds.
   */
  first(who: string, id: string, until: number, now: number): boolean
}

/**
 * Bounded by `perSubject` unexpired proofs of each subject; only subjects whose signature was verified come here, so
 * nobody else can fill it. Kept in memory: a restart forgets them, and their 60 seconds are the window.
 */
export function createReplays({ perSubject = 256, subjects = 10_000 } = {}): Replays {
  const seen = new Map<string, Map<string, number>>()
  return {
    first(who, id, until, now) {
      const ids = seen.get(who) ?? new Map<string, number>()
      if (ids.has(id)) return false
      if (ids.size >= perSubject) forget(ids, now)
      if (ids.size >= perSubject) return false
      if (!seen.has(who)) {
        if (seen.size >= subjects)
          for (const [name, old] of seen) if (forget(old, now) === 0) seen.delete(name)
        if (seen.size >= subjects) return false
        seen.set(who, ids)
      }
      ids.set(id, until)
      return true
    },
  }
}

function forget(ids: Map<string, number>, now: number): number {
  for (const [id, until] of ids) if (until < now) ids.delete(id)
  return ids.size
}
