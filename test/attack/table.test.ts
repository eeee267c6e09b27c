import assert from 'node:assert/strict'
import { join, resolve } from 'node:path'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

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

/** `file: words of a name`; a bare file is one of this folder. */
function shownBy(row: readonly string[]): readonly { readonly file: string; readonly words: string }[] {
  const claims = row.at(-1) ?? ''
  return claims === ''
    ? []
    : claims.split(';').map((claim) => {
        const [where = '', ...words] = claim.trim().split(': ')
        return { file: where.includes('/') ? where : `test/attack/${where}.test.ts`, words: words.join(': ') }
      })
}

test('every incident from 1 to 28 has its row, once and in order', () => {
  assert.deepEqual(
    incidents.map(([number]) => Number(number)),
    Array.from({ length: 28 }, (_, index) => index + 1),
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
