import assert from 'node:assert/strict'
import { cliPage, meanings } from '../../scripts/cli-page.ts'
import { commands } from '../../src/cli/main.ts'
import { configPage, example, leaves, words, wordsOf } from '../../scripts/config-page.ts'
import { configSchema } from '../../src/config/schema.ts'
import { describe, test } from 'node:test'
import { exitCodes } from '../../src/cli/output.ts'
import { families, outcomes, refusalsPage } from '../../scripts/refusals-page.ts'
import { outcomeCodes } from '../../src/door/wire.ts'
import { pageText } from '../../scripts/pages.ts'
import { parse } from 'jsonc-parser'
import { join, resolve } from 'node:path'
import { readdirSync, readFileSync } from 'node:fs'
import { refusals } from '../../src/call/refusal.ts'

/** The reference says what the sources say: nothing is missing from it, and nothing in it is gone from them. */

const sorted = (names: Iterable<string>): readonly string[] => [...names].toSorted()

describe('the reference', () => {
  for (const page of [cliPage, configPage, refusalsPage])
    test(`docs/reference/${page.name} is what node ${page.from} writes`, async () => {
      assert.equal(pageText(page), await page.render())
    })

  test('every key of the configuration has words, and words are for keys that are there', () => {
    assert.deepEqual(
      leaves().flatMap((row) => (wordsOf(row) === undefined ? [row.path] : [])),
      [],
    )
    const wordless = leaves().flatMap(({ path, schema }) => (schema.description === undefined ? [path] : []))
    assert.deepEqual(sorted(Object.keys(words)), sorted(wordless))
  })

  test('the example is a configuration', () => {
    const value: unknown = parse(example, [], { allowTrailingComma: true })
    assert.equal(configSchema.safeParse(value).error, undefined)
  })

  test('every exit code, family and outcome has words', () => {
    assert.deepEqual(sorted(Object.keys(meanings)), sorted(Object.keys(exitCodes)))
    assert.deepEqual(
      sorted(Object.keys(families)),
      sorted(new Set(Object.values(refusals).map(({ family }) => family))),
    )
    assert.deepEqual(sorted(Object.keys(outcomes)), sorted(Object.keys(outcomeCodes)))
  })

  test('the page of refusals lists each code once, and no other', () => {
    const section = /## Of the path\n[^]*?(?=\n## )/.exec(pageText(refusalsPage))?.[0] ?? ''
    const listed = [...section.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, code = '']) => code)
    assert.deepEqual(sorted(listed), sorted(Object.keys(refusals)))
  })

  test('every option of a command is in its usage, and the usage speaks of no other', async () => {
    const everywhere = ['home', 'config', 'json', 'help']
    for (const [name, { load }] of Object.entries(commands)) {
      const command = await load()
      const text = command.usage.join('\n')
      const spoken = new Set([...text.matchAll(/--([a-z][a-z-]*)/g)].map(([, option = '']) => option))
      const silent = ['dry-run']
      assert.deepEqual(
        sorted(
          Object.keys(command.options).filter(
            (option) => !spoken.has(option) && !everywhere.includes(option),
          ),
        ),
        sorted(Object.keys(command.options).filter((option) => silent.includes(option))),
        name,
      )
      assert.deepEqual(
        [...spoken].filter(
          (option) => !Object.hasOwn(command.options, option) && !everywhere.includes(option),
        ),
        [],
        name,
      )
    }
  })
})

describe('what the guides tell people to type', () => {
  const root = resolve(import.meta.dirname, '../..')
  const pages = ['README.md', ...readdirSync(join(root, 'docs/guides')).map((name) => `docs/guides/${name}`)]
  for (const page of pages) {
    test(`${page}: commands and options that exist`, async () => {
      const text = readFileSync(join(root, page), 'utf8')
      for (const words of typed(text)) {
        const [name = '', ...rest] = words
        const found = commands[name]
        assert.ok(found, `countersign ${words.join(' ')}`)
        const known = { ...(await found.load()).options, home: true, config: true, json: true, help: true }
        const own = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest
        const unknown = own.filter((word) => word.startsWith('--') && !Object.hasOwn(known, word.slice(2)))
        assert.deepEqual(unknown, [], `countersign ${words.join(' ')}`)
      }
    })
  }
})

/** Command lines in blocks of code, and those that stand in a line of text. Comments behind them are none. */
function typed(text: string): readonly (readonly string[])[] {
  const blocks = [...text.matchAll(/^```\w*\n([^]*?)^```/gm)].flatMap(([, block = '']) => block.split('\n'))
  const inline = [...text.matchAll(/`(countersign [^`]+)`/g)].map(([, line = '']) =>
    line.replaceAll('\n', ' '),
  )
  return [...blocks, ...inline].flatMap((line) => {
    const found = /^(?:npm run (?:-s )?countersign -- |countersign )([a-z][^#]*)/.exec(line.trim())?.[1]
    return found === undefined ? [] : [found.trim().split(/ {2,}/)[0]?.split(/\s+/) ?? []]
  })
}
