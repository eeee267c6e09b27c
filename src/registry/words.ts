/** One run of a text comparison. */
export type Run = { readonly kind: 'same' | 'added' | 'removed'; readonly items: readonly string[] }

/** Cells of the comparison table; beyond it the middle counts as replaced whole. */
const maxCells = 1_000_000

/**
 * Compares two lists (longest common subsequence). Bounded: common ends are cut off first, and a middle that is still
 * too large is given as removed and added whole, which says more than was changed and never less. Pure.
 */
export function compare(before: readonly string[], after: readonly string[]): readonly Run[] {
  let head = 0
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1
  let tail = 0
  while (
    tail < before.length - head &&
    tail < after.length - head &&
    before.at(-1 - tail) === after.at(-1 - tail)
  )
    tail += 1
  const left = before.slice(head, before.length - tail)
  const right = after.slice(head, after.length - tail)
  const runs: { kind: Run['kind']; items: string[] }[] = []
  const push = (kind: Run['kind'], items: readonly string[]): void => {
    const last = runs.at(-1)
    if (items.length === 0) return
    if (last?.kind === kind) last.items.push(...items)
    else runs.push({ kind, items: [...items] })
  }
  push('same', before.slice(0, head))
  if (left.length * right.length > maxCells) {
    push('removed', left)
    push('added', right)
  } else {
    for (const [kind, item] of align(left, right)) push(kind, [item])
  }
  push('same', before.slice(before.length - tail))
  return runs
}

function align(left: readonly string[], right: readonly string[]): [Run['kind'], string][] {
  const width = right.length + 1
  const lengths = new Uint32Array((left.length + 1) * width)
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        left[i] === right[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1))
    }
  }
  const steps: [Run['kind'], string][] = []
  let i = 0
  let j = 0
  while (i < left.length || j < right.length) {
    const a = left[i]
    const b = right[j]
    if (a !== undefined && a === b) {
      steps.push(['same', a])
      i += 1
      j += 1
    } else if (a !== undefined && (b === undefined || at(i + 1, j) >= at(i, j + 1))) {
      steps.push(['removed', a])
      i += 1
    } else if (b !== undefined) {
      steps.push(['added', b])
      j += 1
    }
  }
  return steps
}

/** Words without the white space between them. */
export const wordsOf = (text: string): readonly string[] => text.match(/\S+/g) ?? []

/** Sentences and lines, trimmed: what a person would count as one statement. */
export const sentencesOf = (text: string): readonly string[] =>
  text
    .split(/(?<=[.!?])\s+|\n+/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '')
