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
  await writeFile(join(root, 'torn.cedar'), 'permit (principal, action, resource) when { context.nope };\n')
})
after(async () => {
  await playground.close()
  await rm(names['root'] ?? '', { recursive: true, force: true })
})

const transcript: readonly Case[] = [
  { run: ['server', 'list'], out: [/^no server is registered: countersign adopt/] },
  { run: ['agent', 'list'], out: [/^no agent is registered/] },
  { run: ['task', 'list'], out: [/^no tasks$/m] },
  { run: ['secret', 'list'], out: [/^no secret is sealed$/m] },
  { run: ['approve'], out: [/^nothing waits$/m] },
  { run: ['audit', 'recent'], out: [/^no entries$/m] },
  { run: ['server', 'tools', 'play'], out: [/^no tools$/m] },
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
  { run: ['server', 'add', 'Bad Name', '--url', '$url'], exit: 1, err: [/expected 1 to 63 of a-z/] },
  { run: ['server', 'add', 'far', '--url', 'not a url'], exit: 1, err: [/^error: /] },
  {
    run: ['server', 'add', 'gone', '--url', 'http://127.0.0.1:9/mcp'],
    out: [/^registered gone$/m, /could not be listed: unreachable/],
  },
  { run: ['server', 'remove', 'gone'], out: [/removed gone/] },
  {
    run: ['server', 'remove', 'nobody'],
    exit: 1,
    err: [/there is no server `nobody`/, /countersign server list/],
  },
  {
    run: ['server', 'review', 'play'],
    out: [/quarantined/, /accept all of it: countersign server review play --accept/],
  },
  { run: ['server', 'review', 'nobody'], exit: 1, err: [/there is no such server/] },
  {
    run: ['server', 'review', 'play', '--accept', 'nope'],
    exit: 1,
    err: [/`nope` does not wait for review at `play`/],
  },
  { run: ['server', 'review', 'play', '--accept', '--effects', 'fly'], exit: 1, err: [/effects/] },
  { run: ['server', 'review', 'play', '--accept'], out: [/^accepted \d+$/m] },
  { run: ['server', 'review', 'play'], out: [/^nothing waits for review$/m] },
  {
    run: ['server', 'tools', 'play', '--state', 'reviewed', '--json'],
    keep: { tool: /"id": "(play\/[^"]+)"/ },
  },
  {
    run: ['server', 'show', '$tool'],
    out: [/^state +reviewed$/m, /the newest definition/, /nothing changed since the review/],
  },
  { run: ['server', 'show', 'play/nope'], exit: 1, err: [/there is no such tool/] },
  { run: ['server', 'export', 'play'], out: [/^\{\n {2}"version": 1,\n {2}"server": "play"/] },
  { run: ['server', 'refresh', 'play'], out: [/^\$tool +reviewed|^play\/\S+ +reviewed/m] },
  { run: ['server', 'list'], out: [/^play +active +development +\d+ reviewed, 0 quarantined/m] },
  { run: ['agent', 'add', 'coder', '--calls', 'many'], exit: 2, err: [/expected a number after `--calls`/] },
  { run: ['agent', 'add', 'coder', '--tools', 'play/*', '--calls', '50'], out: [/^added coder$/m] },
  { run: ['agent', 'add', 'coder'], exit: 1, err: [/exists already/] },
  { run: ['agent', 'rotate', 'coder'], out: [/^new key for coder$/m] },
  { run: ['agent', 'list'], out: [/^coder +\S+ +active +play\/\*$/m] },
  { run: ['task', 'open', '--agent', 'nobody'], exit: 1, err: [/countersign agent list/] },
  {
    run: ['task', 'open', '--agent', 'coder', '--words', 'try it'],
    out: [/^state +open$/m],
    keep: { task: /^id +(t_\w+)$/m },
  },
  { run: ['task', 'narrow', '$task', '--calls', '3'], out: [/^budget +\{"calls":3\}$/m] },
  { run: ['task', 'narrow', '$task', '--calls', '30'], exit: 1, err: [/^error: /] },
  {
    run: [
      'task',
      'lower',
      '$task',
      '--confidentiality',
      'public',
      '--integrity',
      'trusted',
      '--reason',
      'checked',
    ],
    out: [/^id/m],
  },
  { run: ['explain', '$tool', '--task', '$task'], out: [/^(it would be|policy would)/m] },
  { run: ['explain', '$tool', '--task', 't_none'], exit: 1, err: [/no such open task/] },
  { run: ['task', 'close', '$task'], out: [/^closed \$?t_/m] },
  { run: ['task', 'close', '$task'], out: [/^it had ended already$/m] },
  { run: ['task', 'show', '$task'], out: [/^state +closed$/m, /^closedBecause +closed-by-operator$/m] },
  { run: ['policy', 'show'], out: [/^version sha256:/m, /guarded\.cedar/] },
  { run: ['policy', 'check', '$root/own.cedar'], out: [/^valid, version sha256:/] },
  { run: ['policy', 'check', '$root/torn.cedar'], exit: 1, out: [/^torn\.cedar:\d+:\d+ +.*; /m] },
  { run: ['policy', 'swap', '$root/torn.cedar'], exit: 1, err: [/the live policies stay as they are/] },
  { run: ['policy', 'swap', '$root/own.cedar'], out: [/^live: version sha256:/] },
  // Another process, so to speak: a swap outlives the command and a restart.
  { run: ['policy', 'show'], out: [/own\.cedar/], never: [/guarded/] },
  { run: ['policy', 'swap', '--starter', 'guarded'], out: [/^live: version/] },
  {
    run: ['policy', 'suggest', '--out', '$root/new.cedar'],
    out: [/written to .*new\.cedar/, /from 0 calls/],
  },
  { run: ['policy', 'suggest', '--out', '$root/new.cedar'], exit: 1, err: [/exists already/] },
  { run: ['policy', 'check', '$root/new.cedar'], out: [/^valid/] },
  { run: ['secret', 'remove', 'nothing'], exit: 1, err: [/there is no secret/] },
  { run: ['revoke'], exit: 2, err: [/expected what to revoke/] },
  { run: ['revoke', 'coder'], exit: 1, err: [/expected `all`, or `agent:`/] },
  { run: ['revoke', 'agent:coder', '--reason', 'lost laptop'], out: [/^revoked agent:coder/] },
  { run: ['revoke', 'list'], out: [/^agent:coder +\S+ +\S+ +lost laptop$/m] },
  { run: ['revoke', 'lift', 'agent:coder'], out: [/^lifted agent:coder$/m] },
  { run: ['revoke', 'lift', 'agent:coder'], exit: 1, err: [/there is no such revocation/] },
  { run: ['revoke', 'list'], out: [/^nothing is revoked$/m] },
  { run: ['agent', 'revoke', 'coder'], out: [/^revoked coder$/m] },
  { run: ['audit', 'recent', '--kind', 'act', '--limit', '3'], out: [/agent-revoked/] },
  { run: ['audit', 'recent', '--limit', '9999'], exit: 1, err: [/query\.limit/] },
  { run: ['audit', 'call', 'c_none'], exit: 1, err: [/there is no such call/] },
  { run: ['audit', 'export', '../up'], exit: 1, err: [/expected a plain name/] },
  {
    run: ['audit', 'export', 'copy'],
    out: [/^\d+ entries in .*copy$/m],
    keep: { copy: /entries in (.*)$/m },
  },
  { run: ['audit', 'verify', '$copy'], out: [/^ok: \d+ entries/, /note: no verifier key/] },
  { run: ['audit', 'key'], out: [/^countersign\.local\/log\+/], keep: { vkey: /^(.*)$/m } },
  { run: ['audit', 'verify', '$copy', '--vkey', '$vkey'], out: [/^signature: (ok|verified|valid)/m] },
  { run: ['token', '--agent', 'coder'], exit: 3, err: [/no broker runs here/, /countersign serve/] },
  { run: ['server', 'remove', 'play'], out: [/tombstones/] },
]

describe('a broker that does not run', () => {
  for (const one of transcript)
    test(`countersign ${one.run.join(' ')}`, () =>
      play({ ...one, run: [...one.run, '--home', '$home'] }, names))

  test('a key that the broker did not take is not left behind', async () => {
    const home = names['home'] ?? ''
    const { exit } = await cli(['agent', 'add', 'other', '--purpose', 'x'.repeat(200), '--home', home])
    const left = (await readdir(join(home, 'agents'))).includes('other.jwk')
    assert.equal(left, exit === 0)
  })
})
