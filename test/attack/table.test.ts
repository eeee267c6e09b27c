import assert from 'node:assert/strict'
import { join, resolve } from 'node:path'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { incidents as known } from './incidents/list.ts'

/** `docs/guides/incidents.md` claims nothing that no test shows. */

const root = resolve(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/guides/incidents.md'), 'utf8')
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| ---') && !/^\| (#|bug class) /.test(line))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
const incidents = rows.filter(([first = '']) => /^\d+$/.test(first))

const namesIn = (file: string): readonly string[] => {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(/\b(?:test|it)\(\s*(['"`])(.*?)(?<!\\)\1/gs)].map((match) => match[2] ?? '')
}

/** `file: words of a name`; a file is one of this folder unless it begins with `test/`. */
function shownBy(row: readonly string[]): readonly { readonly file: string; readonly words: string }[] {
  const claims = row.at(-1) ?? ''
  return claims === ''
    ? []
    : claims.split(';').map((claim) => {
        const [where = '', ...words] = claim.trim().split(': ')
        return {
          file: where.startsWith('test/') ? where : `test/attack/${where}.test.ts`,
          words: words.join(': '),
        }
      })
}

test('every incident from 1 to 28 has its row, once, in order and under its name', () => {
  assert.deepEqual(
    known.map(({ number }) => number),
    Array.from({ length: 28 }, (_, index) => index + 1),
  )
  assert.deepEqual(
    incidents.map(([number, title]) => ({ number: Number(number), title })),
    known.map(({ number, title }) => ({ number, title })),
  )
  assert.equal(rows.length - incidents.length, 21)
})

test('every claim is shown by tests that exist, and only what is out of reach has none', () => {
  for (const row of rows) {
    const claims = shownBy(row)
    if (claims.length === 0) assert.match(row[2] ?? '', /^\*\*out of reach\*\*/, row[0])
    for (const { file, words } of claims) {
      assert.ok(words.length >= 10, `${row[0]}: \`${words}\` is too short to name a test`)
      assert.equal(
        namesIn(file).filter((name) => name.startsWith(words)).length,
        1,
        `${row[0]}: ${file}: ${words}`,
      )
    }
  }
})

/** `… (incident 6)`, `… (incidents 6 and 18)`, `incident 6: …`. */
const numbersIn = (name: string): readonly number[] =>
  [...name.matchAll(/\bincidents? (\d+(?:(?:, | and )\d+)*)/g)].flatMap(([, list = '']) =>
    (list.match(/\d+/g) ?? []).map(Number),
  )

test('every incident that can be prevented or asked about has a test that names its number, and no test names another', () => {
  const files = readdirSync(join(root, 'test/attack'), { recursive: true, encoding: 'utf8' })
  const tested = new Set(
    files
      .filter((file) => file.endsWith('.test.ts') && !file.endsWith('table.test.ts'))
      .flatMap((file) => namesIn(`test/attack/${file}`).flatMap(numbersIn)),
  )
  const wanted = known.filter(({ mark }) => mark.includes('prevent') || mark.includes('ask'))
  assert.deepEqual(
    [...tested].sort((a, b) => a - b),
    wanted.map(({ number }) => number),
  )
})

test('what is out of reach, or only limited, is said so in its row, with what limits it', () => {
  for (const { number, mark } of known) {
    const [, , happens = '', limits = '', shown = ''] =
      incidents.find(([one]) => Number(one) === number) ?? []
    const said = `${happens} ${limits}`
    if (mark.includes('out of reach')) {
      assert.match(said, /\*\*out of reach\*\*/, `incident ${number}`)
      assert.notEqual(limits, '', `incident ${number}`)
    }
    if (mark.includes('limit')) assert.match(said, /limited|not bound|out of reach/, `incident ${number}`)
    if (shown === '') assert.deepEqual(mark, ['out of reach'], `incident ${number}`)
  }
})
