import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { cli, play, type Case, type Names } from './run.ts'
import { filesystemServer } from '../world.ts'
import { join } from 'node:path'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'

/** An operator looks at profiles, is told of one that fits, and reviews a server by it. In order. */

const names: Names = {}
before(async () => {
  const root = await mkdtemp(join(tmpdir(), 'countersign-profiles-'))
  const [command, [script = '']] = [filesystemServer(root).command, filesystemServer(root).args]
  Object.assign(names, { root, home: join(root, 'home'), node: command, script })
  const head = 'profile: mine\nabout: mine\nwritten_from: here\ntools:\n'
  await writeFile(
    join(root, 'mine.yaml'),
    `${head}  write_file: { effects: [write, delete], confidentiality: internal, integrity: untrusted }\n`,
  )
  await writeFile(join(root, 'bad.yaml'), `${head}  write_file: { effects: [fly] }\n`)
})
after(() => rm(names['root'] ?? '', { recursive: true, force: true }))

const transcript: readonly Case[] = [
  { run: ['profile', 'list'], out: [/^PROFILE +TOOLS +ABOUT$/m, /^github +\d+ +GitHub/m] },
  { run: ['profile', 'list', '--json'], out: [/^\{\n {2}"profiles": \[/] },
  {
    run: ['profile', 'show', 'filesystem'],
    out: [
      /^written from +@modelcontextprotocol/m,
      /^move_file +write delete +internal, untrusted +source=path,destination=path$/m,
    ],
  },
  {
    run: ['profile', 'show', 'nothing'],
    exit: 1,
    err: [/no packaged profile `nothing`/, /hint: countersign profile list/],
  },
  {
    run: ['profile', 'show', '$root/bad.yaml'],
    exit: 1,
    err: [/bad\.yaml`: line 5, column \d+: `tools\.write_file\.effects\.0`/],
  },
  { run: ['profile', 'fly'], exit: 2, err: [/there is no `profile fly`/] },
  { run: ['profile', 'lint'], exit: 2, err: [/expected a name/] },
  {
    run: ['server', 'add', 'files', '--', '$node', '$script', '$root'],
    out: [
      /profile `filesystem` knows 14 of its 14 tools: remove the server and add it again with --profile filesystem/,
    ],
  },
  {
    run: ['profile', 'lint', 'files'],
    exit: 1,
    out: [
      /^`files` has no profile$/m,
      /costs: every write of `write_file` asks; whatever `write_file` returns/,
    ],
  },
  // A profile of one's own is held against a server before anybody configures it.
  {
    run: ['profile', 'lint', '$root/mine.yaml', '--server', 'files'],
    exit: 1,
    out: [
      /nobody has said which arguments of `write_file` decide where it acts/,
      /the profile `mine` has not said anything of `move_file`/,
    ],
  },
  { run: ['profile', 'lint', '$root/mine.yaml'], out: [/is a profile of 1 tools?/] },
  { run: ['profile', 'lint', 'files', '--server', 'files'], exit: 2, err: [/goes with a file/] },
  { run: ['server', 'remove', 'files'] },
  {
    run: ['server', 'add', 'files', '--profile', 'filesystem', '--', '$node', '$script', '$root'],
    out: [/^files\/move_file +quarantined +write delete +internal, untrusted +source=path,destination=path/m],
    never: [/add it again/],
  },
  {
    run: ['profile', 'lint', 'files'],
    out: [/^`files` by the profile `filesystem`$/m, /nothing lacks a label/],
  },
  {
    run: ['profile', 'lint', 'files', '--all'],
    out: [/note: `edit_file` looks like delete .*“it replaces lines/],
  },
  {
    run: ['server', 'review', 'files', '--accept', 'write_file', '--bears', 'path=path,content=command'],
    out: [/^accepted 1$/m],
  },
  {
    run: ['server', 'show', 'files/write_file'],
    out: [/^proposed +write delete, by the profile filesystem$/m, /^acts on +path=path,content=command$/m],
  },
  {
    run: ['server', 'review', 'files', '--accept', 'move_file', '--bears', 'source'],
    exit: 2,
    err: [/expected ARGUMENT=KIND/],
  },
  {
    run: ['server', 'review', 'files', '--accept', 'move_file', '--bears', 'source=thing'],
    exit: 1,
    err: [/overrides\.bears/],
  },
  { run: ['server', 'review', 'files', '--accept'], out: [/^accepted 13$/m] },
  { run: ['server', 'review', 'files'], out: [/^nothing waits for review$/m] },
  // It shows what a review made now would change, decisions made by hand among it, and nothing that stays.
  {
    run: ['server', 'review', 'files', '--again'],
    out: [/^files\/write_file by its review → now: acts on: path=path,content=command → path=path$/m],
    never: [/files\/read_file/],
  },
  // Reviewed again, it takes what the profile says.
  { run: ['server', 'review', 'files', '--again', '--accept', 'write_file'], out: [/^accepted 1$/m] },
  { run: ['server', 'show', 'files/write_file'], out: [/^acts on +path=path$/m] },
]

describe('profiles from the command line', { timeout: 120_000 }, () => {
  for (const one of transcript)
    test(`countersign ${one.run.join(' ')}`, () =>
      play({ ...one, run: ['--home', '$home', ...one.run] }, names))

  test('--json prints one value with every finding', async () => {
    const ran = await cli(['profile', 'lint', 'files', '--json', '--home', names['home'] ?? ''])
    const value = JSON.parse(ran.out)
    assert.equal(value.profile, 'filesystem')
    for (const finding of value.findings)
      assert.deepEqual(Object.keys(finding).sort(), ['costs', 'message', 'rule', 'severity', 'tool'])
  })
})
