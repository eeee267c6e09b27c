import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { join } from 'node:path'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { cli, play, type Case, type Names } from './run.ts'
import { startPlayground } from '../../examples/servers/playground.ts'
import { tmpdir } from 'node:os'

/** A person sets up a broker that does not run: the same routes, over a core in this process. In order. */

const names: Names = {}
let playground: Awaited<ReturnType<typeof startPlayground>>
before(async () => {
  const root = await mkdtemp(join(tmpdir(), 'countersign-alone-'))
  playground = await startPlayground({ port: 0 })
  Object.assign(names, { root, home: join(root, 'home'), url: playground.url })
  await writeFile(join(root, 'own.cedar'), '@id("own") permit (principal, action, resource);\n')
})
after(async () => {
  await playground.close()
  await rm(names['root'] ?? '', { recursive: true, force: true })
})

const transcript: readonly Case[] = [
  { run: ['server', 'list'], out: [/^no server is registered: countersign adopt/] },
  // Registering shows what was found, with the effects that a reviewer is offered.
  {
    run: ['server', 'add', 'play', '--url', '$url'],
    out: [/^registered play$/m, /^play\/\S+ +quarantined +(read|write)/m, /countersign server review play$/m],
  },
  {
    run: ['server', 'add', 'play', '--url', '$url'],
    exit: 1,
    err: [/`play` is registered already/, /server remove play/],
  },
  {
    run: [
      'server',
      'add',
      'gone',
      '--url',
      'http://127.0.0.1:9/mcp',
      '--header',
      'authorization=Bearer $url',
    ],
    out: [/^registered gone$/m, /could not be listed: unreachable/],
    err: [/warning: `authorization` looks like a secret/],
  },
  { run: ['server', 'review', 'play', '--accept', '--effects', 'fly'], exit: 1, err: [/overrides\.effects/] },
  { run: ['server', 'review', 'play', '--accept'], out: [/^accepted \d+$/m] },
  { run: ['agent', 'add', 'coder', '--tools', 'play/*', '--calls', '50'], out: [/^added coder$/m] },
  { run: ['agent', 'add', 'coder'], exit: 1, err: [/exists already/] },
  { run: ['agent', 'rotate', 'coder'], out: [/^new key for coder$/m] },
  { run: ['policy', 'swap', '$root/own.cedar'], out: [/^live: version sha256:/] },
  // Another process, so to speak: a swap outlives the command and a restart.
  { run: ['policy', 'show'], out: [/own\.cedar/], never: [/guarded/] },
  {
    run: ['call', 'play/notes_search', '{"words":"e"}', '--words', 'try it'],
    out: [/^play\/notes_search {2}ok {2}c_\w+$/m, /"notes":/],
  },
  { run: ['revoke', 'agent:coder', '--reason', 'lost laptop'], out: [/^revoked agent:coder/] },
  { run: ['revoke', 'lift', 'agent:coder'], out: [/^lifted agent:coder$/m] },
  { run: ['revoke', 'lift', 'agent:coder'], exit: 1, err: [/there is no such revocation/] },
  {
    run: ['audit', 'export', 'copy'],
    out: [/^\d+ entries in .*copy$/m],
    keep: { copy: /entries in (.*)$/m },
  },
  { run: ['audit', 'verify', '$copy'], out: [/^ok: \d+ entries/, /note: no verifier key/] },
  { run: ['token', '--agent', 'coder'], exit: 3, err: [/no broker runs here/, /countersign serve/] },
]

describe('a broker that does not run', () => {
  for (const one of transcript)
    test(`countersign ${one.run.join(' ')}`, () =>
      play({ ...one, run: ['--home', '$home', ...one.run] }, names))

  test('a key that the broker did not take is not left behind', async () => {
    const home = names['home'] ?? ''
    const { exit } = await cli(['agent', 'add', 'other', '--owner', '', '--home', home])
    assert.equal(exit, 1)
    assert.ok(!(await readdir(join(home, 'agents'))).includes('other.jwk'))
  })
})
