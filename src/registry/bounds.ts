import { isIJsonText } from '../lib/jcs.ts'
import type { Json } from '../lib/json.ts'

export type Bounds = { readonly depth: number; readonly nodes: number; readonly chars: number }

/**
 * Measures a JSON value before anything recurses into it: a server's listing is hostile input, and depth, node count
 * and text are its three ways to make the broker work. Returns what is wrong in words, or null. Iterative, so that
 * depth itself cannot overflow the stack; stops at the first limit reached.
 */
export function exceeds(value: Json, bounds: Bounds): string | null {
  let nodes = 0
  let chars = 0
  const stack: { readonly value: Json; readonly depth: number }[] = [{ value, depth: 1 }]
  const text = (words: string): string | null => {
    chars += words.length
    if (chars > bounds.chars) return `more than ${bounds.chars} characters`
    return isIJsonText(words) ? null : 'text that is not valid Unicode for exchange (RFC 7493)'
  }
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    nodes += 1
    if (nodes > bounds.nodes) return `more than ${bounds.nodes} values`
    if (at.depth > bounds.depth) return `more than ${bounds.depth} levels`
    const problem = typeof at.value === 'string' ? text(at.value) : null
    if (problem !== null) return problem
    if (typeof at.value !== 'object' || at.value === null) continue
    for (const [name, inner] of Object.entries(at.value)) {
      const named = Array.isArray(at.value) ? null : text(name)
      if (named !== null) return named
      stack.push({ value: inner, depth: at.depth + 1 })
      if (stack.length > bounds.nodes) return `more than ${bounds.nodes} values`
    }
  }
  return null
}

/** A JSON pointer (RFC 6901) one step deeper. */
export const pointer = (at: string, name: string | number): string =>
  `${at}/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`

/** Text of a stranger, shortened for a message: no controls, no invisible characters, no more than `max` characters. */
export function brief(text: string, max = 60): string {
  const clean = text.slice(0, max * 2).replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '�')
  return clean.length > max ? `${clean.slice(0, max)}…` : clean
}
