import assert from 'node:assert/strict'
import { main } from '../../src/cli/main.ts'

/** What a command printed and how it ended. */
export type Ran = { readonly out: string; readonly err: string; readonly exit: number }

/** One line of a transcript. `$NAME` in words and patterns stands for something given or captured before. */
export type Case = {
  readonly run: readonly string[]
  readonly exit?: number
  readonly out?: readonly RegExp[]
  readonly err?: readonly RegExp[]
  /** Must not be on either stream. */
  readonly never?: readonly RegExp[]
  /** Kept for later lines: the first group of the pattern, found on either stream. */
  readonly keep?: { readonly [name: string]: RegExp }
}

/** Runs one command line in this process, as from a script: nobody is at a terminal. */
export async function cli(args: readonly string[]): Promise<Ran> {
  let out = ''
  let err = ''
  const exit = await main(args, {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    colour: false,
    interactive: false,
  })
  return { out, err, exit }
}

export type Names = { [name: string]: string }

const fill = (text: string, names: Names): string =>
  text.replace(/\$([A-Za-z]+)/g, (all, name: string) => names[name] ?? all)

/** Runs the case and compares; a failure shows the whole transcript of the command. */
export async function play(one: Case, names: Names): Promise<void> {
  const args = one.run.map((word) => fill(word, names))
  const ran = await cli(args)
  const shown = `countersign ${args.join(' ')}\n--- stdout\n${ran.out}--- stderr\n${ran.err}--- exit ${ran.exit}`
  assert.equal(ran.exit, one.exit ?? 0, shown)
  for (const pattern of one.out ?? []) assert.match(ran.out, pattern, shown)
  for (const pattern of one.err ?? []) assert.match(ran.err, pattern, shown)
  for (const pattern of one.never ?? []) assert.doesNotMatch(ran.out + ran.err, pattern, shown)
  if ((one.exit ?? 0) === 0) assert.doesNotMatch(ran.err, /^error:/m, shown)
  else if (ran.err !== '') assert.match(ran.err, /^error: (?:.|\n)*^hint: \S/m, shown)
  for (const [name, pattern] of Object.entries(one.keep ?? {})) {
    const kept = pattern.exec(ran.out + ran.err)?.[1]
    assert.ok(kept !== undefined, `nothing to keep as $${name}\n${shown}`)
    names[name] = kept
  }
}
