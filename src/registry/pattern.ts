import { RE2JS } from 're2js'

/** `test`: whether the pattern is found anywhere in the text (JSON Schema: patterns are not anchored). */
export type Pattern = {
  test(text: string): boolean
  /** Instructions of the compiled program: a few letters of `(a{31}){31}` are a thousand. */
  readonly size: number
}

const maxPattern = 2000

/**
 * Compiles a server's pattern for linear-time matching (RE2), or returns null: a pattern that backtracks is a way to
 * stop the broker for everybody. RE2 knows no lookahead; schema generators put them at the front of otherwise plain
 * patterns (`^(?!\.)(?!.*\.\.)…` for e-mail), and there each is exactly one more pattern that must, or must not,
 * match at the start. So those are taken apart; lookarounds anywhere else, and back-references, give null.
 */
export function compilePattern(source: string): Pattern | null {
  if (source.length > maxPattern) return null
  const parts = takeApart(source)
  if (parts === null) return null
  const rest = compile(parts.rest)
  const ahead: { readonly pattern: RE2JS; readonly wanted: boolean }[] = []
  for (const look of parts.ahead) {
    const pattern = compile(`^(?:${look.inner})`)
    if (pattern === null) return null
    ahead.push({ pattern, wanted: look.wanted })
  }
  if (rest === null) return null
  const size = ahead.reduce((sum, look) => sum + look.pattern.programSize(), rest.programSize())
  return {
    test: (text) => ahead.every((look) => look.pattern.test(text) === look.wanted) && rest.test(text),
    size,
  }
}

/**
 * What matching costs, in steps of evaluation. Linear in the text is not cheap in the text: each character may visit
 * every instruction (`[ab]*a[ab]{300}` takes 12 µs for each), and a schema may bring hundreds of patterns.
 */
export const matchingCost = ({ size }: Pattern, text: string): number =>
  Math.ceil((text.length * (64 + size)) / 128)

type Look = { readonly inner: string; readonly wanted: boolean }

function takeApart(source: string): { readonly ahead: readonly Look[]; readonly rest: string } | null {
  const ahead: Look[] = []
  let at = 1
  while (source.startsWith('^') && (source.startsWith('(?!', at) || source.startsWith('(?=', at))) {
    const end = closing(source, at)
    if (end === null) return null
    ahead.push({ inner: source.slice(at + 3, end), wanted: source[at + 2] === '=' })
    at = end + 1
  }
  if (ahead.length === 0) return { ahead, rest: source }
  const rest = source.slice(at)
  // `^(?!a)b|c`: the lookahead belongs to the first branch only, so it cannot be taken out. A count may not follow it either.
  return alternates(rest) || /^[*+?{]/.test(rest) ? null : { ahead, rest: `^${rest}` }
}

/** Index of the parenthesis that closes the group opened at `open`, or null. */
function closing(source: string, open: number): number | null {
  for (const { at, depth, character } of walk(source, open)) if (character === ')' && depth === 0) return at
  return null
}

function alternates(source: string): boolean {
  for (const { depth, character } of walk(source, 0)) if (character === '|' && depth === 0) return true
  return false
}

/** Characters outside classes and escapes with the depth of groups after each. */
function* walk(source: string, from: number): Generator<{ at: number; depth: number; character: string }> {
  let depth = 0
  let inClass = false
  for (let at = from; at < source.length; at++) {
    const character = source[at] ?? ''
    if (character === '\\') at += 1
    else if (inClass) inClass = character !== ']'
    else if (character === '[') inClass = true
    else {
      if (character === '(') depth += 1
      if (character === ')') depth -= 1
      yield { at, depth, character }
    }
  }
}

function compile(source: string): RE2JS | null {
  try {
    return RE2JS.compile(RE2JS.translateRegExp(source))
  } catch {
    // RE2's word for "not linear" or "not a pattern"; the caller refuses the schema either way.
    return null
  }
}
