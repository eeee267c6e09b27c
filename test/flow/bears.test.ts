import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bornBy, type Bearing } from '../../src/flow/bears.ts'

/** Which values of a call decide where it acts. */

const born = (kind: Bearing['kind'], value: string) => bornBy([{ at: '/a', kind }], { a: value })
const links = (text: string): readonly string[] => {
  const found = born('links', text)
  assert.ok(found.ok)
  return found.values.map(({ kind, value }) => {
    assert.equal(kind, 'url')
    return value
  })
}

test('an option is no path, revision, address or URL; a negative number, an id or a program may begin with a dash', () => {
  const options = [
    ['path', '-rf'],
    ['path', ' --output=x'],
    ['id', '--output=/home/u/.bashrc'],
    ['id', '-O'],
    ['id', '-o/tmp/x'],
    ['id', '-c core.pager=x'],
    ['recipient', '-X/tmp/log'],
    ['url', '-o'],
  ] as const
  for (const [kind, value] of options) assert.equal(born(kind, value).ok, false, value)
  const others = [
    ['path', './-rf'],
    ['id', '-1001234567'],
    ['id', '-wtIMTCHWuI'],
    ['amount', '-5'],
    ['command', '-x'],
  ] as const
  for (const [kind, value] of others) assert.equal(born(kind, value).ok, true, value)
})

test('each link in a text is a URL that the call reaches; words, addresses and file names are none', () => {
  assert.deepEqual(links('see https://a.example/?q=1, [b](http://b.example/x) and <www.c.example|here>'), [
    'https://a.example/?q=1,',
    'http://b.example/x',
    'www.c.example',
  ])
  assert.deepEqual(links('![x][1]\n\n[1]: HTTPS://d.example/p?s=4711'), ['HTTPS://d.example/p?s=4711'])
  assert.deepEqual(links('d.example/4711 and evil.example?4711'), ['d.example/4711', 'evil.example?4711'])
  assert.deepEqual(links('README.md of v1.2, e.g. anna@corp.example: done/undone.'), [])
})
