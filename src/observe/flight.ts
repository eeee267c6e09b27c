/** Runs of the path under way: who stops waits for them, so that each gets its outcome. */
export type Flight = {
  /** A run begins; call what it gives when the run has ended, whatever its end. */
  began(): () => void
  count(): number
  /** Resolves when none is under way, or after `ms`. Says whether none was. */
  landed(ms: number): Promise<boolean>
}

export function createFlight(): Flight {
  const waiting = new Set<() => void>()
  let running = 0
  return {
    began: () => {
      running += 1
      let over = false
      return () => {
        if (over) return
        over = true
        running -= 1
        if (running === 0) for (const tell of waiting) tell()
      }
    },
    count: () => running,
    landed: async (ms) => {
      if (running === 0) return true
      const { promise, resolve } = Promise.withResolvers<boolean>()
      const tell = () => resolve(true)
      const timer = setTimeout(() => resolve(false), ms)
      waiting.add(tell)
      try {
        return await promise
      } finally {
        clearTimeout(timer)
        waiting.delete(tell)
      }
    },
  }
}
