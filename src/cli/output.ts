/*
 * The rules of the command line.
 *
 *   1. Results go to stdout, everything else (progress, questions, warnings) to stderr.
 *   2. `--json` wherever data is printed: one JSON value, the same facts.
 *   3. A failure is `error:` in one line and `hint:` with something to paste.
 *   4. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the broker is not running, 4 denied, refused or waiting for a
 *      person, 5 verification failed, 130 interrupted.
 *   5. Anything over a second shows progress on stderr, and only when that is a terminal.
 *   6. Colour only on a terminal, never when NO_COLOR is set; nothing is said by colour alone.
 *   7. Text from agents and servers is shown with control and invisible characters made visible.
 */

export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  denied: 4,
  unverified: 5,
  interrupted: 130,
} as const
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** What a command may use of the outside. */
export type Terminal = {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly json: boolean
  readonly colour: boolean
  /** True when a person can be asked (stdin and stderr are terminals). */
  readonly interactive: boolean
  /** Bytes given to `err` that nobody has read yet. */
  readonly unread?: () => number
}

/** A failure with what to do about it. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly hint: string
  readonly exit: ExitCode
  constructor(message: string, hint: string, exit: ExitCode = exitCodes.failed) {
    super(message)
    this.hint = hint
    this.exit = exit
  }
}

export function printFailure(terminal: Pick<Terminal, 'err' | 'out' | 'json'>, failure: Failure): void {
  if (terminal.json)
    terminal.out(`${JSON.stringify({ error: { message: failure.message, hint: failure.hint } })}\n`)
  else terminal.err(`error: ${failure.message}\nhint: ${failure.hint}\n`)
}

/** Rule 2 in one place: the value for machines or its lines for people. */
export function print(
  terminal: Pick<Terminal, 'out' | 'json'>,
  value: unknown,
  lines: () => readonly string[],
): void {
  terminal.out(
    terminal.json
      ? `${JSON.stringify(value, null, 2)}\n`
      : lines()
          .map((line) => `${line}\n`)
          .join(''),
  )
}

const escape = String.fromCharCode(27)
const paint = (code: number) => (terminal: Pick<Terminal, 'colour'>, text: string) =>
  terminal.colour ? `${escape}[${code}m${text}${escape}[0m` : text

export const bold = paint(1)
export const dim = paint(2)
export const red = paint(31)
export const green = paint(32)
export const yellow = paint(33)
export const cyan = paint(36)

/** Rule 7. Control, bidirectional and invisible characters become `\u{…}`; line breaks stay when `lines` is set. */
export function visible(text: string, options: { readonly lines?: boolean } = {}): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\u{2028}\u{2029}\u{e0000}-\u{e007f}]/gu, (character) => {
    if (character === '\n' && options.lines) return character
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
  })
}

/** Columns padded to their widest cell; the last is left as it is. */
export function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = []
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)))
  return rows.map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

/** Rule 5. Returns a function that ends it. */
export function progress(terminal: Pick<Terminal, 'err' | 'interactive'>, label: string): () => void {
  if (!terminal.interactive) return () => undefined
  const started = Date.now()
  let isShown = false
  const timer = setInterval(() => {
    isShown = true
    terminal.err(`\r${label} … ${Math.round((Date.now() - started) / 1000)} s`)
  }, 1000)
  timer.unref()
  return () => {
    clearInterval(timer)
    if (isShown) terminal.err(`\r${' '.repeat(label.length + 12)}\r`)
  }
}
