/** Choices that come again with the same seed. What processes do between them does not. */
export type Random = {
  /** At least 0, below 1. */
  next(): number
  /** A whole number from `from` to `to`, both of them included. */
  between(from: number, to: number): number
  isOneIn(n: number): boolean
  pick<T>(of: readonly [T, ...T[]]): T
}

/** A counter through the finaliser of SplitMix64, cut to 32 bits: even enough to choose moments. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
  }
  return {
    next,
    between: (from, to) => from + Math.floor(next() * (to - from + 1)),
    isOneIn: (n) => next() * n < 1,
    pick: (of) => of[Math.floor(next() * of.length)] ?? of[0],
  }
}
