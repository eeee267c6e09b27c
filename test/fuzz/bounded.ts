import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loop } from '../../fuzz/loop.ts'
import { readCorpus } from '../../fuzz/corpus.ts'
import { targets } from '../../fuzz/targets.ts'
import type { Entry } from '../../fuzz/target.ts'

/** The same inputs in every run, so that a red test is red again; another seed by hand to look further. */
const seed = Number(process.env['FUZZ_SEED'] ?? 20_260_728)

/** New inputs of each target beside its corpus: some ten seconds of a processor for each of the two files. */
export const parsers = {
  ijson: 3_000,
  schema: 2_000,
  beside: 1_000,
  define: 1_500,
  answer: 1_500,
  log: 3_000,
  redact: 1_500,
  state: 3_000,
  place: 4_000,
  config: 1_000,
  adopt: 1_500,
  headers: 3_000,
}
export const doors = {
  tokens: 1_000,
  policy: 100,
  folder: 60,
  grant: 100,
  server: 120,
  wire: 400,
  operator: 150,
}

/** The bounded share of one target: all that was ever kept, then so many new inputs. Timings are nobody's business here. */
export function share(name: string, inputs: number): void {
  const entry = entryOf(name)
  test(`${name}: ${entry.about}`, async () => {
    const strays: unknown[] = []
    const keep = (fault: unknown): void => void strays.push(fault)
    process.on('unhandledRejection', keep)
    const target = await entry.open()
    try {
      const { found } = await loop(target, {
        name,
        seed,
        inputs,
        corpus: readCorpus(name).map(({ input }) => input),
        coverage: null,
        slowMs: Infinity,
      })
      const shown = found.map(
        ({ detail, input }) => `${detail}\ninput: ${JSON.stringify(Buffer.from(input).toString('latin1'))}`,
      )
      assert.deepEqual(shown, [])
      assert.deepEqual(strays, [], 'a promise failed and nobody waited for it')
    } finally {
      await target.close?.()
      process.off('unhandledRejection', keep)
    }
  })
}

export function entryOf(name: string): Entry {
  const entry = targets.find((each) => each.name === name)
  assert.ok(entry, `expected a target \`${name}\``)
  return entry
}

/** Shares of several targets. */
export const shares = (what: string, of: { readonly [name: string]: number }): void => {
  describe(what, () => {
    for (const [name, inputs] of Object.entries(of)) share(name, inputs)
  })
}
