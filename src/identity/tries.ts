/** Guards guesses: one at a time, and after three wrong ones in a row ever longer waits. */
export type Tries = {
  run(
    who: string,
    check: () => Promise<boolean>,
  ): Promise<
    { readonly kind: 'tried'; readonly right: boolean } | { readonly kind: 'wait'; readonly ms: number }
  >
  /** Runs something in the same queue. */
  alone<T>(work: () => Promise<T>): Promise<T>
}

const free = 3
const longestMs = 5 * 60_000
const queueLength = 4

/**
 * The wait is compared inside the queue, so that many guesses at once are not as many free ones. `who` is a known
 * operator, so the memory is bounded by their number. Whoever holds the operator key can make others wait here; the
 * terminal always works.
 */
export function createTries(monotonic: () => number): Tries {
  const wrong = new Map<string, { count: number; until: number }>()
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0

  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }

  return {
    alone,
    async run(who, check) {
      if (waiting >= queueLength) return { kind: 'wait', ms: 1000 }
      waiting += 1
      try {
        return await alone(async () => {
          const before = wrong.get(who) ?? { count: 0, until: 0 }
          const now = monotonic()
          if (now < before.until) return { kind: 'wait', ms: Math.ceil(before.until - now) }
          const right = await check()
          if (right) wrong.delete(who)
          else wrong.set(who, { count: before.count + 1, until: monotonic() + backOff(before.count + 1) })
          return { kind: 'tried', right }
        })
      } finally {
        waiting -= 1
      }
    },
  }
}

const backOff = (count: number): number =>
  count < free ? 0 : Math.min(longestMs, 1000 * 2 ** (count - free))
