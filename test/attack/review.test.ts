import { after, before, mock, test } from 'node:test'
import assert from 'node:assert/strict'
import { at, call, codeOf, folder, message, refusal, waitNoMore } from './play.ts'
import { connect } from 'node:net'
import { DatabaseSync } from 'node:sqlite'
import { execFile } from 'node:child_process'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import { join, resolve } from 'node:path'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { readRunFile, writeRunFile } from '../../src/cli/run.ts'
import { redact } from '../../src/flow/redact.ts'
import { secretOf } from '../../src/credential/secret.ts'
import { startHostile, type Hostile } from './servers/hostile.ts'
import { tmpdir } from 'node:os'
import { world, type World } from '../world.ts'
import { z } from 'zod'

/** What a review with an attacker's eyes found, kept from coming back. */

let w: World
before(async () => (w = await world({ config: waitNoMore })))
after(() => w.close())

/** The status line that some bytes of HTTP are answered with. */
const answered = (base: string, bytes: string): Promise<string> =>
  new Promise((done, failed) => {
    const { hostname, port } = new URL(base)
    const socket = connect(Number(port), hostname, () => socket.write(bytes))
    let text = ''
    socket.on('data', (chunk) => (text += String(chunk)))
    socket.on('close', () => done(text.split('\r\n', 1)[0] ?? ''))
    socket.on('error', failed)
  })

test('a request target that is no URL, as the picture of a web page could name one, does not end the broker', async () => {
  for (const base of [w.broker.urls.agents, w.broker.urls.operators])
    for (const target of ['//', '//@', '/\\', 'http://[', '//a b']) {
      const line = await answered(
        base,
        `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
      )
      assert.match(line, /^HTTP\/1\.1 4\d\d /, target)
    }
})

test(
  'a server that spells its secret in thousands of keys does not hold up the broker',
  { timeout: 20_000 },
  () => {
    const secret = 'abcdefghijklmnopqrst'
    const spelled = (i: number) =>
      [...secret].map((c, bit) => ((i >> bit) & 1 ? `%${c.charCodeAt(0).toString(16)}` : c)).join('')
    const many = Object.fromEntries(Array.from({ length: 12_000 }, (_, i) => [spelled(i), i]))
    const { value, counts } = redact(many, [{ name: 'token', value: secretOf(secret) }])
    assert.ok(isJsonObject(value))
    // Nothing is lost, and nothing takes another's place.
    assert.deepEqual(Object.values(value), Object.values(many))
    assert.deepEqual(Object.keys(value).slice(0, 3), ['[secret]', '[secret] (2)', '[secret] (3)'])
    assert.equal(counts['token'], 12_000)
  },
)

const letters = {
  read_file: {
    description: 'Reads a file.',
    input: z.object({}),
    annotations: { readOnlyHint: true },
    run: () => 'salary of the owner: 91000',
  },
  post_message: { description: 'Posts a message.', input: z.object({ text: z.string() }) },
}
const noWayOut = `
@id("open") @reason("reads and writes of this team") permit (principal, action, resource);
@id("out") @reason("it has read things that are not for everyone")
forbid (principal, action in Action::"effect:egress", resource) when { context.labels.confidentiality >= 2 };
`

const reached = (server: Hostile, tool: string): number =>
  server.calls.filter((one) => one.tool === tool).length

test('an agent that opens two tasks before it reads cannot send from one what it read in the other', async () => {
  const server = await startHostile(letters)
  const dir = await folder({ 'rules.cedar': noWayOut })
  const config = { ...waitNoMore, policy: { dir: dir.path } }
  const town = await world({
    servers: { chat: { url: server.url } },
    agents: { agent: {}, other: {} },
    config,
    unreviewed: true,
  })
  try {
    await town.reviewAll({
      'chat/read_file': { confidentiality: 'confidential' },
      'chat/post_message': { effects: ['write', 'egress'], confidentiality: 'public' },
    })
    const reader = await town.client()
    const sender = await town.client()
    const stranger = await town.client({ agent: 'other' })
    assert.equal(refusal(await call(sender, 'chat__post_message', { text: 'hello' })), null)
    await call(reader, 'chat__read_file')
    assert.equal(refusal(await call(sender, 'chat__post_message', { text: '91000' })), 'denied')
    assert.equal(reached(server, 'post_message'), 1)
    // Another agent has another memory.
    assert.equal(refusal(await call(stranger, 'chat__post_message', { text: 'hello' })), null)
  } finally {
    await town.close()
    await server.close()
    await dir.close()
  }
})

test('repeating a call while a person thinks does not fill the disk, and the newest can still be resumed', async () => {
  const token = await w.token()
  const post = (body: JsonObject) => w.post(body, { token, headers: { 'mcp-param-ticket': 'T-1' } })
  const comment = () =>
    post(message('playground__ticket_comment', { ticket: 'T-1', comment: 'x'.repeat(9000) }))
  await w.post(message('playground__notes_search', { words: 'internal' }), { token })
  const first = (await comment()).body
  assert.equal(at(first, 'result', 'resultType') ?? codeOf(first), 'input_required')
  const ask = await w.nextAsk()
  for (let times = 0; times < 50; times += 1) await comment()
  const newest = (await w.entries()).findLast((entry) => entry['code'] === 'approval-required')
  const database = new DatabaseSync(join(w.home, 'store', 'countersign.db'), { readOnly: true })
  try {
    const kept = database.prepare('select call from held').all()
    assert.ok(kept.length <= 33, `${kept.length} are kept`)
  } finally {
    database.close()
  }
  for (const id of [ask.call, newest?.['call'] ?? null]) {
    const status = await w.post(message('countersign_status', { call: id }), { token })
    assert.equal(at(status.body, 'result', 'structuredContent', 'state'), 'pending')
  }
  await w.answer(ask, 'refuse')
})

test('a configuration that a cloned project brings along is not obeyed by commands that are run in it (incident 25)', async () => {
  const root = await mkdtemp(join(tmpdir(), 'countersign-cloned-'))
  try {
    const project = join(root, 'project')
    await mkdir(project)
    await mkdir(join(root, 'user'))
    await writeFile(
      join(project, 'countersign.json'),
      JSON.stringify({ home: 'theirs', policy: { dir: '.' } }),
    )
    await writeFile(
      join(project, 'all.cedar'),
      '@id("theirs") @reason("everything") permit (principal, action, resource);',
    )
    const env = { PATH: process.env['PATH'], HOME: join(root, 'user') }
    const main = resolve(import.meta.dirname, '../../src/cli/main.ts')
    const run = promisify(execFile)(process.execPath, [main, 'policy', 'show', '--json'], {
      cwd: project,
      env,
    })
    const { stdout } = await run
    assert.doesNotMatch(stdout, /"id": "theirs"/)
    assert.match(stdout, /"id": "guarded\/writes"/)
    await assert.rejects(stat(join(project, 'theirs')))
    assert.ok((await stat(join(root, 'user', '.countersign'))).isDirectory())
  } finally {
    await rm(root, { recursive: true, force: true })
  }
})

test("a broker's old number that is now a process of another user is not taken for the broker", async () => {
  const home = await mkdtemp(join(tmpdir(), 'countersign-run-'))
  const kill = mock.method(process, 'kill', () => {
    throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' })
  })
  try {
    const urls = { agents: 'http://127.0.0.1:1', operators: 'http://127.0.0.1:2' }
    await writeRunFile(home, { pid: 4711, ...urls, startedAt: '2026-01-01T00:00:00Z' })
    await assert.rejects(readRunFile(home), /has ended/)
  } finally {
    kill.mock.restore()
    await rm(home, { recursive: true, force: true })
  }
})
