import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { commands } from '../../src/cli/main.ts'
import { join } from 'node:path'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cli, play, type Case, type Names } from './run.ts'
import { tmpdir } from 'node:os'

/** What every command does with help and with words that it does not know. None of these opens a store. */

const names: Names = {}
before(async () => {
  names['root'] = await mkdtemp(join(tmpdir(), 'countersign-usage-'))
  names['home'] = join(names['root'], 'home')
  await writeFile(join(names['root'], 'bad.jsonc'), '{ "servers": { "x": { "comand": "y" } } }')
  await writeFile(join(names['root'], 'torn.jsonc'), '{ "servers": ')
})
after(() => rm(names['root'] ?? '', { recursive: true, force: true }))

const at = ['--home', '$home'] as const
const cases: readonly Case[] = [
  { run: [], out: [/^countersign COMMAND/, /serve +run the broker/] },
  { run: ['--version'], out: [/^\d+\.\d+\.\d+\n$/] },
  { run: ['help', 'task'], out: [/countersign task open/] },
  { run: ['nope'], exit: 2, err: [/^error: there is no command `nope`\nhint: countersign --help\n$/] },
  { run: ['nope\u001b[31m'], exit: 2, err: [/`nope\\u\{1b\}\[31m`/] },
  {
    run: ['task', '--nope'],
    exit: 2,
    err: [/^error: there is no option `--nope`\nhint: countersign task --help\n$/],
  },
  { run: ['token', '--agent'], exit: 2, err: [/expected a value after `--agent`/] },
  { run: ['task', 'list', '--json=yes'], exit: 2, err: [/`--json` takes no value/] },
  { run: ['serve', 'here'], exit: 2, err: [/did not expect `here`/] },
  { run: ['task', 'list', '--', 'rest'], exit: 2, err: [/did not expect `rest`/] },
  { run: ['server', 'list', ...at, '--', 'rest'], exit: 2, err: [/did not expect `rest`/] },
  { run: ['token', ...at], exit: 2, err: [/expected `--agent NAME`/] },
  { run: ['connect', ...at], exit: 2, err: [/expected `--agent NAME`/] },
  {
    run: ['token', '--agent', 'coder', ...at],
    exit: 1,
    err: [/no key of the agent `coder`/, /countersign agent add coder/],
  },
  { run: ['token', '--agent', '../up', ...at], exit: 1, err: [/no agent's name/] },
  { run: ['explain', 'files/read', ...at], exit: 2, err: [/expected `--task ID`/] },
  { run: ['call', 'read', ...at], exit: 2, err: [/expected SERVER\/NAME/] },
  {
    run: ['call', 'files/read', '{"a":1,"a":2}', ...at],
    exit: 2,
    err: [/expected the arguments as a JSON object/],
  },
  { run: ['call', 'files/read', '[1]', ...at], exit: 2, err: [/expected the arguments as a JSON object/] },
  { run: ['policy', 'check', '$root/none.cedar', ...at], exit: 1, err: [/there is no `.*none\.cedar`/] },
  { run: ['policy', 'check', '$root/bad.jsonc', ...at], exit: 2, err: [/ends with `\.cedar`/] },
  { run: ['policy', 'check', '$root', ...at], exit: 1, err: [/there is no `\.cedar` file in/] },
  { run: ['policy', 'swap', '--starter', 'lax', ...at], exit: 2, err: [/expected one of observe, guarded/] },
  { run: ['server', 'add', 'x', ...at], exit: 2, err: [/expected either `--url URL` or `-- COMMAND/] },
  {
    run: ['server', 'add', 'x', '--env', 'sometoken', ...at, '--', 'y'],
    exit: 2,
    err: [/expected NAME=VALUE/],
    never: [/sometoken/],
  },
  { run: ['server', 'review', 'x', '--accept', '--reject', 'y', ...at], exit: 2, err: [/two things/] },
  { run: ['audit', 'receipt', 'first', ...at], exit: 2, err: [/expected the index of an entry/] },
  { run: ['audit', 'verify', ...at], exit: 1, err: [/there is no log in/, /hint: .*countersign serve/] },
  {
    run: ['audit', 'verify', '$root/elsewhere', ...at],
    exit: 1,
    err: [/there is no log in/, /audit export/],
  },
  { run: ['doctor', ...at], out: [/warning +broker +not running +hint: countersign serve/, /ok +node/] },
  { run: ['task', 'list', '--config', '$root/bad.jsonc'], exit: 1, err: [/`comand`/, /hint: .*config\.md/] },
  { run: ['task', 'list', '--config', '$root/torn.jsonc'], exit: 1, err: [/line 1, column/] },
  { run: ['task', 'list', '--config', '$root/none.jsonc'], exit: 1, err: [/cannot be read \(ENOENT\)/] },
  {
    run: ['task', '--nope', '--json'],
    exit: 2,
    out: [/^\{"error":\{"message":"there is no option `--nope`","hint":"[^"]+"\}\}\n$/],
  },
]

describe('usage', () => {
  for (const one of cases) test(`countersign ${one.run.join(' ')}`, async () => play(one, names))

  for (const name of Object.keys(commands)) {
    test(`countersign ${name} --help says how it is used, and does nothing`, async () => {
      const { out, err, exit } = await cli([name, '--help', '--home', '/nonexistent/home'])
      assert.equal(exit, 0)
      assert.equal(err, '')
      assert.match(out, new RegExp(`^countersign ${name}`))
      assert.match(out, /everywhere: \[--home DIR\]/)
    })
  }
})

describe('global options', () => {
  test('before the command, they are not taken for words of what the command starts', async () => {
    const home = names['home'] ?? ''
    const { out } = await cli([
      '--home',
      home,
      '--json',
      'server',
      'add',
      'x',
      '--url',
      'bad',
      '--',
      'cmd',
      '--home',
      '/elsewhere',
    ])
    assert.match(out, /expected either `--url URL` or `-- COMMAND/)
    assert.match((await cli([`--home=${home}`, 'doctor'])).out, /no folder|GiB free/)
    assert.equal((await cli(['--home'])).exit, 2)
  })

  test('`--json` behind `--` belongs to the command that is started', async () => {
    const { out, err } = await cli(['task', 'list', '--', '--json'])
    assert.equal(out, '')
    assert.match(err, /^error: did not expect `--json`/)
  })
})
