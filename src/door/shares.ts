/**
 * Something scarce that many want at once (calls under way, bytes held), shared so that nobody can take it from the
 * others. Bounded whatever anyone does: `total` and what is kept free for those who hold little.
 */
export type Shares = {
  /** `amount` of it for `who`, until `release`; or who is in the way: the one who asks (`own`), or all together (`all`). */
  take(who: string, amount: number): Taken | 'own' | 'all'
  /** How much is taken. */
  taken(who?: string): number
}

export type Taken = {
  /** More of it for the same holder; false, and nothing more taken, when there is no room. */
  more(amount: number): boolean
  /** Idempotent. */
  release(): void
}

export type ShareLimits = {
  /** For all together. */
  readonly total: number
  /** For one. */
  readonly each: number
  /**
   * When all is taken, whoever holds less than this still gets so much: of a crowd that takes everything, the one who
   * wants little is served. Beyond `total` so much again is given at most, in small parts.
   */
  readonly least: number
}

/** Holders are forgotten with the last that they hold, so that the memory is bounded by what is held. */
export function createShares({ total, each, least }: ShareLimits): Shares {
  const held = new Map<string, number>()
  let all = 0

  const problem = (who: string, amount: number): 'own' | 'all' | null => {
    const mine = (held.get(who) ?? 0) + amount
    if (mine > each) return 'own'
    if (all + amount <= total) return null
    return mine <= least && all + amount <= total * 2 ? null : 'all'
  }
  const add = (who: string, amount: number): void => {
    const mine = (held.get(who) ?? 0) + amount
    all += amount
    if (mine > 0) held.set(who, mine)
    else held.delete(who)
  }

  return {
    take(who, amount) {
      const why = problem(who, amount)
      if (why !== null) return why
      let mine = amount
      let open = true
      add(who, amount)
      return {
        more(further) {
          if (!open || problem(who, further) !== null) return false
          mine += further
          add(who, further)
          return true
        },
        release() {
          if (open) add(who, -mine)
          open = false
        },
      }
    },
    taken: (who) => (who === undefined ? all : (held.get(who) ?? 0)),
  }
}
