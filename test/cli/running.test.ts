import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { cli, play, type Case, type Names } from './run.ts'
import { join } from 'node:path'
import { writeFile } from 'node:fs/promises'
import { world, type World } from '../world.ts'

/** Commands at a broker that runs, by someone who holds the operator key and nothing else: a script, or an agent. */

const names: Names = {}
let here: World
before(async () => {
  here = await world({ unreviewed: true })
  Object.assign(names, { home: here.home, files: here.files })
  await writeFile(join(here.files, 'own.cedar'), '@id("own") permit (principal, action, resource);\n')
  await writeFile(
    join(here.files, 'torn.cedar'),
    '@id("torn") permit (principal, action, resource) when { context.nope };\n',
  )
})
after(() => here.close())

const proof = [/this needs your passphrase|a person has to be proven/]

const before1: readonly Case[] = [
  { run: ['task', 'list'], out: [/^no tasks$/m] },
  { run: ['secret', 'list'], out: [/^no secret is sealed$/m] },
  { run: ['approve'], out: [/^nothing waits$/m] },
  { run: ['approve', 'a_none'], exit: 1, err: [/there is no such ask/, /hint: countersign approve\n/] },
  { run: ['server', 'list'], out: [/^playground +active +development +0 reviewed, \d+ quarantined/m] },
  { run: ['server', 'tools', 'nobody'], out: [/^no tools$/m] },
  {
    run: ['server', 'review', 'playground'],
    out: [
      /^playground\/notes_search +quarantined +read/m,
      /accept all of it: countersign server review playground --accept/,
    ],
  },
  { run: ['server', 'review', 'nobody'], exit: 1, err: [/there is no such server/, /server list/] },
  {
    run: ['server', 'review', 'playground', '--accept', 'nope'],
    exit: 1,
    err: [/`nope` does not wait for review/],
  },
  { run: ['server', 'review', 'playground', '--reject', 'notes_search'], out: [/^rejected 1$/m] },
  { run: ['server', 'show', 'playground/nope'], exit: 1, err: [/there is no such tool/, /server tools/] },
  { run: ['server', 'refresh', 'nobody'], exit: 1, err: [/there is no server `nobody`/, /server list/] },
  { run: ['server', 'refresh', 'playground'], out: [/^playground\/notes_search +quarantined/m] },
  { run: ['server', 'export', 'nobody'], exit: 1, err: [/there is no such server/] },
  // What gives authority needs a person, whatever the key.
  { run: ['server', 'review', 'playground', '--accept'], exit: 4, err: proof },
  { run: ['server', 'add', 'evil', '--', 'sh', '-c', 'true'], exit: 4, err: proof },
  { run: ['agent', 'add', 'other'], exit: 4, err: proof },
  { run: ['agent', 'rotate', 'agent'], exit: 4, err: proof },
  { run: ['policy', 'swap', '$files/own.cedar'], exit: 4, err: proof },
  { run: ['call', 'playground/notes_search', '{"words":"x"}'], exit: 4, err: proof },
  { run: ['task', 'open', '--agent', 'agent', '--purpose', 'other'], exit: 4, err: [/purpose/] },
  { run: ['passphrase'], exit: 4, err: [/the first passphrase is set where the broker runs\nhint: press p/] },
]

const reviewed: readonly Case[] = [
  { run: ['server', 'review', 'playground'], out: [/^nothing waits for review$/m] },
  {
    run: ['server', 'show', 'playground/notes_search'],
    out: [
      /^state +reviewed$/m,
      /^effects +read/m,
      /the newest definition/,
      /nothing changed since the review/,
    ],
  },
  { run: ['server', 'export', 'playground'], out: [/^\{\n {2}"version": 1,\n {2}"server": "playground"/] },
  { run: ['agent', 'list'], out: [/^agent +operator +active +\*$/m] },
  { run: ['token', '--agent', 'agent'], out: [/^eyJ[\w.-]+$/m] },
  { run: ['task', 'open', '--agent', 'nobody'], exit: 1, err: [/agent list/] },
  {
    run: ['task', 'open', '--agent', 'agent', '--words', 'try it', '--tools', 'playground/*'],
    out: [/^state +open$/m],
    keep: { task: /^id +(t_\w+)$/m },
  },
  {
    run: ['task', 'list', '--state', 'open', '--agent', 'agent'],
    out: [/^t_\w+ +agent +operator +open +general/m],
  },
  { run: ['task', 'show', 't_none'], exit: 1, err: [/there is no such task/] },
  { run: ['task', 'narrow', '$task', '--calls', '3'], out: [/^budget +\{"calls":3\}$/m] },
  { run: ['task', 'narrow', '$task', '--calls', '30'], out: [/^budget +\{"calls":3\}$/m] },
  {
    run: ['task', 'narrow', '$task', '--minutes', 'soon'],
    exit: 2,
    err: [/expected a number after `--minutes`/],
  },
  {
    run: ['task', 'lower', '$task', '--confidentiality', 'public', '--integrity', 'trusted', '--reason', 'x'],
    exit: 4,
    err: proof,
  },
  {
    run: ['explain', 'playground/notes_search', '{"words":"x"}', '--task', '$task'],
    out: [/^it would be made$/m, /policy +guarded\//],
  },
  {
    run: ['explain', 'playground/notes_search', '{}', '--task', '$task'],
    out: [/^it would be refused$/m, /code +bad-arguments/],
  },
  {
    run: ['explain', 'playground/notes_add', '{"title":"a","text":"x"}', '--task', '$task'],
    out: [/^it would wait for a person$/m, /needs +1 approval, proven by/],
  },
  { run: ['explain', 'playground/notes_search', '--task', 't_none'], exit: 1, err: [/no such open task/] },
  { run: ['task', 'close', '$task'], out: [/^closed t_/m] },
  { run: ['task', 'close', '$task'], out: [/^it had ended already$/m] },
  { run: ['explain', 'playground/notes_search', '--task', '$task'], exit: 1, err: [/no such open task/] },
  { run: ['task', 'show', '$task'], out: [/^state +closed$/m, /^closedBecause +closed-by-operator$/m] },
  { run: ['policy', 'show'], out: [/^version sha256:/m, /guarded\.cedar/] },
  { run: ['policy', 'check', '$files/own.cedar'], out: [/^valid, version sha256:/] },
  {
    run: ['policy', 'check', '$files/torn.cedar'],
    exit: 1,
    out: [/^torn\.cedar:\d+:\d+ .*did you mean `time`/],
  },
  {
    run: ['policy', 'swap', '$files/torn.cedar'],
    exit: 1,
    err: [/the live policies stay as they are/, /torn\.cedar:\d+:\d+/],
  },
  {
    run: ['policy', 'suggest', '--out', '$files/new.cedar'],
    out: [/written to .*new\.cedar/, /from 2 calls on 1 day; it would have asked 1 times a day/],
  },
  { run: ['policy', 'suggest', '--out', '$files/new.cedar'], exit: 1, err: [/exists already/] },
  { run: ['policy', 'check', '$files/new.cedar'], out: [/^valid/] },
  {
    run: ['policy', 'suggest'],
    out: [/Action::"playground\/notes_search"/, /Action::"playground\/notes_add"/],
    never: [/Action::"playground\/payment_send"/],
  },
  { run: ['secret', 'remove', 'nothing'], exit: 1, err: [/there is no secret/] },
  { run: ['revoke'], exit: 2, err: [/expected what to revoke/] },
  { run: ['revoke', 'agent'], exit: 1, err: [/expected `all`, or `agent:`/] },
  { run: ['revoke', 'list'], out: [/^nothing is revoked$/m] },
  { run: ['revoke', 'server:playground', '--reason', 'odd'], out: [/^revoked server:playground/] },
  { run: ['revoke', 'list'], out: [/^server:playground +\S+ +operator +odd$/m] },
  { run: ['revoke', 'lift', 'server:playground'], exit: 4, err: proof },
  { run: ['audit', 'recent', '--kind', 'act', '--limit', '3'], out: [/ act +operator +server:playground/] },
  { run: ['audit', 'recent', '--limit', '9999'], exit: 1, err: [/`query\.limit`: too big/] },
  { run: ['audit', 'recent', '--kind', 'zzz'], exit: 1, err: [/`query\.kind`: invalid option/] },
  { run: ['audit', 'call', 'c_none'], exit: 1, err: [/there is no such call/] },
  { run: ['audit', 'export', '../up'], exit: 1, err: [/expected a plain name/] },
  {
    run: ['audit', 'export', 'copy'],
    out: [/^\d+ entries in .*copy$/m],
    keep: { copy: /entries in (.*)$/m },
  },
  { run: ['audit', 'key'], out: [/^countersign\.local\/log\+/], keep: { vkey: /^(.*)$/m } },
  {
    run: ['audit', 'verify', '$copy', '--vkey', '$vkey'],
    out: [/^ok: \d+ entries/, /^signature: verified/m],
  },
  { run: ['audit', 'verify', '$copy', '--vkey', 'other+00000000+AQ=='], exit: 5, out: [/^FAILED/] },
  {
    run: ['doctor'],
    out: [
      /^ok +store +.*sound/m,
      /^ok +broker +http/m,
      /^warning +passphrase +not set +hint: press p in the terminal/m,
    ],
  },
  { run: ['agent', 'revoke', 'agent'], out: [/^revoked agent$/m] },
  { run: ['token', '--agent', 'agent'], exit: 1, err: [/^error: /] },
]

const plays = (cases: readonly Case[]): void => {
  for (const one of cases)
    test(`countersign ${one.run.join(' ')}`, () =>
      play({ ...one, run: ['--home', '$home', ...one.run] }, names))
}

describe('before anything is reviewed', () => plays(before1))

describe('with an agent at work', () => {
  before(async () => {
    await here.reviewAll()
    const client = await here.client()
    await client.callTool({ name: 'playground__notes_search', arguments: { words: 'hello' } })
    const written = client.callTool({
      name: 'playground__notes_add',
      arguments: { title: 'a', text: 'kept' },
    })
    await here.answer(await here.nextAsk(), 'approve', 'passphrase')
    await written
    const deleted = client.callTool({
      name: 'playground__payment_send',
      arguments: { recipient: 'a', amount: 1 },
    })
    await here.answer(await here.nextAsk(), 'refuse')
    await deleted
  })
  plays(reviewed)

  test('with --json every command that prints data prints one JSON value with the same facts', async () => {
    const reads = [
      'server list',
      'server tools',
      'agent list',
      'task list',
      'approve',
      'revoke list',
      'policy show',
      'policy suggest',
      'secret list',
      'audit recent',
      'audit checkpoint',
      'audit key',
      'audit verify',
      'doctor',
    ]
    for (const words of reads) {
      const { out, err, exit } = await cli([...words.split(' '), '--json', '--home', here.home])
      assert.equal(exit, 0, `${words}: ${out}${err}`)
      assert.equal(typeof JSON.parse(out), 'object', words)
      assert.equal(err, '', words)
    }
    const failed = await cli(['task', 'show', 't_none', '--json', '--home', here.home])
    assert.deepEqual(JSON.parse(failed.out), {
      error: { message: 'there is no such task', hint: 'countersign task list' },
    })
  })
})
