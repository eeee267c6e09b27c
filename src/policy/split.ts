/** One statement of a policy file with the place where it starts. */
export type Statement = { readonly text: string; readonly line: number; readonly column: number }

export type Problem = {
  readonly file: string
  /** From 1. */
  readonly line: number
  readonly column: number
  readonly message: string
  readonly hint: string
}

export type Split = {
  readonly statements: readonly Statement[]
  readonly problems: readonly Omit<Problem, 'file'>[]
}

/** Beyond these the engine's own recursion could leave its stack, which ends it for good; measured with a wide margin. */
const maxStatement = 16 * 1024
const maxNesting = 32

/**
 * Cuts a file into statements, so that each keeps its place and one bad statement does not hide the others. Knows
 * strings, comments and brackets; what a statement means is the engine's.
 */
export function split(text: string): Split {
  const statements: Statement[] = []
  const problems: Omit<Problem, 'file'>[] = []
  const place = placer(text)
  let start = skipBlank(text, 0)
  let at = start
  let nesting = 0
  while (at < text.length) {
    const skipped = skipText(text, at)
    if (skipped > at) {
      at = skipped
      continue
    }
    const letter = text[at]
    at += 1
    if (letter !== undefined && '([{'.includes(letter)) nesting += 1
    if (letter !== undefined && ')]}'.includes(letter)) nesting -= 1
    if (nesting > maxNesting) return { statements, problems: [...problems, tooDeep(place(at))] }
    if (letter !== ';') continue
    statements.push({ text: text.slice(start, at), ...place(start) })
    nesting = 0
    start = skipBlank(text, at)
    at = start
  }
  if (start < text.length)
    problems.push({
      ...place(start),
      message: 'this statement does not end',
      hint: 'end every policy with `;` and close its strings and brackets',
    })
  return { statements: statements.filter((one) => fits(one, problems)), problems }
}

function fits(statement: Statement, problems: Omit<Problem, 'file'>[]): boolean {
  const branches = statement.text.match(/\bif\b/g)?.length ?? 0
  if (statement.text.length <= maxStatement && branches <= maxNesting) return true
  const { line, column } = statement
  const message = `this policy is too large: at most ${maxStatement} characters and ${maxNesting} times \`if\``
  problems.push({ line, column, message, hint: 'split it into several policies' })
  return false
}

const tooDeep = (at: Place): Omit<Problem, 'file'> => ({
  ...at,
  message: `brackets are nested more than ${maxNesting} deep here`,
  hint: 'split the policy into several',
})

/** Past a string or a comment that starts at `at`; `at` itself when none does. */
function skipText(text: string, at: number): number {
  if (text.startsWith('//', at)) {
    const end = text.indexOf('\n', at)
    return end === -1 ? text.length : end + 1
  }
  if (text[at] !== '"') return at
  let now = at + 1
  while (now < text.length && text[now] !== '"') now += text[now] === '\\' ? 2 : 1
  return Math.min(now + 1, text.length)
}

function skipBlank(text: string, from: number): number {
  let at = from
  for (;;) {
    while (at < text.length && /\s/.test(text[at] ?? '')) at += 1
    if (!text.startsWith('//', at)) return at
    at = skipText(text, at)
  }
}

type Place = { readonly line: number; readonly column: number }

/** Tells lines and columns, both from 1, of places in a text. Places must be asked for in rising order. */
function placer(text: string): (at: number) => Place {
  let line = 1
  let start = 0
  // Looked for once: a long line of many statements would be searched to its end for each of them.
  let end = text.indexOf('\n')
  return (at) => {
    while (end !== -1 && end < at) {
      line += 1
      start = end + 1
      end = text.indexOf('\n', start)
    }
    return { line, column: at - start + 1 }
  }
}

/** A place inside a statement, given in the engine's way (bytes of UTF-8), as a place in its file. */
export function placeInFile(statement: Statement, byte: number): Place {
  const characters = new TextDecoder().decode(
    new TextEncoder().encode(statement.text).subarray(0, byte),
  ).length
  const inside = placer(statement.text)(characters)
  if (inside.line === 1) return { line: statement.line, column: statement.column + inside.column - 1 }
  return { line: statement.line + inside.line - 1, column: inside.column }
}
