/** The name most like a mistyped one, or null when none is close. */
export function nearest(name: string, known: Iterable<string>): string | null {
  let best: string | null = null
  let least = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) >= least || candidate.length > 256) continue
    const far = distance(name, candidate)
    if (far < least || (far === least && best !== null && candidate < best)) {
      least = far
      best = candidate
    }
  }
  return best
}

/** Edits (insert, delete, replace) between two names. */
function distance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const now = [row]
    for (let column = 1; column <= b.length; column++) {
      const replace = (above[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1)
      now.push(Math.min(replace, (above[column] ?? 0) + 1, (now[column - 1] ?? 0) + 1))
    }
    above = now
  }
  return above[b.length] ?? 0
}
