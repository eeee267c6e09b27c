/** Numbers that are the same for the same seed, so that a run can be played again. Proves nothing to anybody. */
export type Random = {
  /** A whole number from 0 to `below - 1`; 0 when there is none. */
  below(below: number): number
  pick<Item>(items: readonly Item[]): Item | undefined
  chance(of: number): boolean
}

/** sfc32 (a small chaotic generator of 128 bits of state), seeded through its own rounds. */
export function createRandom(seed: number, stream = ''): Random {
  let [a, b, c, counter] = [seed | 0, 0x9e3779b9, 0x243f6a88, 1]
  for (let at = 0; at < stream.length; at++) b = Math.imul(b ^ stream.charCodeAt(at), 0x01000193)
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    return sum >>> 0
  }
  for (let round = 0; round < 15; round++) next()
  const below = (limit: number): number => (limit <= 1 ? 0 : Math.floor((next() / 2 ** 32) * limit))
  return {
    below,
    pick: (items) => items[below(items.length)],
    chance: (of) => next() / 2 ** 32 < of,
  }
}
