import { createHash } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { mkdtemp, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { tmpdir } from 'node:os'
import { openSqlite } from '../src/store/sqlite.ts'
import { canonical } from '../src/lib/jcs.ts'
import { main as cli } from '../src/cli/main.ts'
import { newId } from '../src/lib/id.ts'
import { clean } from '../src/flow/labels.ts'
import { parseCases } from '../src/policy/cases.ts'
import { rfc3339 } from '../src/lib/clock.ts'
import type { JsonObject } from '../src/lib/json.ts'
import type { Task } from '../src/task/task.ts'

/**
 * How fast `policy replay` is: `node scripts/replay-speed.ts [--calls 100000] [--starter guarded] [--json]`. Makes a store
 * with that many calls of a synthetic year (tasks of 20 calls, results of 1 to 4 KB), replays it, and says what it took.
 */
const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '100000' },
    starter: { type: 'string', default: 'guarded' },
    json: { type: 'boolean', default: false },
  },
})

const broker = 'b_0000000000000000000001'
const perTask = 20
const startsAt = Date.UTC(2026, 0, 1)

async function main(): Promise<void> {
  const home = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'countersign-replay-'))
  try {
    await fill(join(home, 'store', 'countersign.db'), Number(values.calls))
    let out = ''
    const args = [
      'policy',
      'replay',
      '--home',
      home,
      '--starter',
      values.starter,
      '--limit',
      values.calls,
      '--json',
    ]
    const terminal = {
      err: (text: string) => void process.stderr.write(text),
      colour: false,
      interactive: false,
    }
    const used = process.cpuUsage()
    await cli(args, { ...terminal, out: (text: string) => void (out += text) })
    const { user, system } = process.cpuUsage(used)
    const cpuSeconds = Math.round((user + system) / 1000) / 1000
    if (!out.includes('callsPerSecond')) throw new Error(out)
    const { calls, before, after, seconds, callsPerSecond } = JSON.parse(out)
    const mebibytes = Math.round(process.memoryUsage.rss() / 1024 / 1024)
    if (!values.json)
      process.stdout.write(
        `${calls} calls in ${seconds} s, ${callsPerSecond} a second; ${cpuSeconds} s of processor time with loading\n`,
      )
    process.stdout.write(
      `${JSON.stringify({ calls, before, after, seconds, cpuSeconds, callsPerSecond, mebibytes })}\n`,
    )
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

/** The calls of a mail assistant: reads an inbox and a directory, sends, files, now and then to a stranger. */
async function fill(path: string, calls: number): Promise<void> {
  const store = await openSqlite({ path })
  const entry = (one: JsonObject) => Buffer.from(canonical({ at: rfc3339(startsAt), broker, v: 1, ...one }))
  const act = (name: string) =>
    entry({ kind: 'act', act: name, by: 'operator', proof: 'terminal', subject: 'speed', detail: {} })
  await store.registry.putTools(
    tools.map((to) => ({ to, was: null })),
    act('tools-added'),
  )
  const opened: Task[] = []
  for (let n = 0; n < Math.ceil(calls / perTask); n += 1) {
    const task = taskOf(n)
    opened.push(task)
    await store.tasks.open(task, null, act('task-opened'))
    await store.tasks.close(task.id, 'done', task.openedAt + 1, act('task-closed'))
  }
  await store.close()
  const database = new DatabaseSync(path)
  try {
    database.exec('begin')
    const last = database.prepare('select max(idx) as last from entries').get()?.['last']
    const next = { index: Number(last ?? -1) + 1 }
    for (let n = 0; n < calls; n += 1) writeCall(database, next, { n, task: opened[Math.floor(n / perTask)] })
    database.exec('commit')
  } finally {
    database.close()
  }
}

type Next = { index: number }

function writeCall(
  database: DatabaseSync,
  next: Next,
  { n, task }: { n: number; task: Task | undefined },
): void {
  if (task === undefined) return
  const at = task.openedAt + (n % perTask) * 60_000
  const made = callOf(n)
  const call = newId('c')
  const labels =
    n % perTask === 0
      ? clean
      : { confidentiality: 'confidential', integrity: 'untrusted', sources: ['mail/inbox'] }
  const common = { broker, v: 1, call, task: task.id }
  const intent = {
    ...common,
    at: rfc3339(at),
    kind: 'intent',
    chain: call,
    who: {
      kind: 'agent',
      name: task.agent,
      onBehalfOf: 'owner',
      proven: 'task-token',
      issuer: 'countersign',
    },
    what: { tool: made.tool, digest: `sha256:${'0'.repeat(64)}`, effects: ['read'], operation: 'call' },
    arguments: keep(database, 'arguments', made.arguments, { call, at }),
    policy: `sha256:${'0'.repeat(64)}`,
    policies: ['observe/all'],
    labels,
    approval: null,
  }
  const outcome = {
    ...common,
    at: rfc3339(at + 200),
    kind: 'outcome',
    outcome: 'ok',
    detail: '',
    result: keep(database, 'result', made.answer, { call, at }),
    labels: { confidentiality: 'confidential', integrity: 'untrusted', sources: ['mail/inbox'] },
    lease: null,
    redacted: {},
    durationMs: 200,
  }
  for (const one of [intent, outcome]) {
    const bytes = Buffer.from(JSON.stringify(one))
    database
      .prepare(
        'insert into entries (idx, leaf, bytes, kind, call, task, agent, at) values (?, ?, ?, ?, ?, ?, ?, ?)',
      )
      .run(next.index, Buffer.alloc(32), bytes, one.kind, call, task.id, task.agent, at)
    next.index += 1
  }
}

function keep(
  database: DatabaseSync,
  kind: string,
  value: JsonObject,
  { call, at }: { readonly call: string; readonly at: number },
): string {
  const bytes = Buffer.from(JSON.stringify(value))
  const commitment = `sha256:${createHash('sha256').update(call).update(bytes).digest('hex')}`
  database
    .prepare('insert into payloads (commitment, salt, bytes, kind, call, at) values (?, ?, ?, ?, ?, ?)')
    .run(commitment, Buffer.alloc(32), bytes, kind, call, at)
  return commitment
}

const text = (value: unknown): JsonObject => ({
  kind: 'result',
  isError: false,
  result: { content: [{ type: 'text', text: typeof value === 'string' ? value : JSON.stringify(value) }] },
})

function callOf(n: number): {
  readonly tool: string
  readonly arguments: JsonObject
  readonly answer: JsonObject
} {
  const mails = Array.from({ length: 10 }, (_, i) => ({
    from: `person${(n * 7 + i) % 500}@corp${i % 9}.example`,
    subject: `Invoice ${n * 31 + i} for project ${i}`,
    body: `Please look at https://corp${i}.example/docs/${n % 1000}/${i} before ${rfc3339(startsAt + n * 1000).slice(0, 10)}. `.repeat(
      2,
    ),
  }))
  switch (n % 5) {
    case 0:
      return { tool: 'mail/inbox', arguments: { page: n }, answer: text(mails) }
    case 1:
      return {
        tool: 'mail/contacts',
        arguments: {},
        answer: text(mails.map(({ from }) => ({ email: from }))),
      }
    case 2: {
      const to = n % 50 === 2 ? `stranger${n}@else.example` : `person${((n - 1) * 7) % 500}@corp0.example`
      return {
        tool: 'mail/send',
        arguments: { to, body: 'hello '.repeat(100) },
        answer: text({ id: `m${n}` }),
      }
    }
    case 3:
      return { tool: 'mail/inbox', arguments: { page: n }, answer: text(mails.slice(0, 3)) }
    default:
      return { tool: 'mail/file', arguments: { id: `m${n - 2}`, folder: 'done' }, answer: text({ ok: true }) }
  }
}

const taskOf = (n: number): Task => ({
  id: newId('t'),
  parent: null,
  agent: `agent${n % 10}`,
  owner: 'owner',
  purpose: { class: 'general', words: 'Answer my mail, and tell person7@corp0.example', vouched: true },
  environment: 'development',
  tools: ['*'],
  budget: {},
  openedAt: startsAt + n * perTask * 60_000,
  expiresAt: startsAt + n * perTask * 60_000 + 8 * 3_600_000,
  idleMs: 0,
  state: 'open',
  closedAt: null,
  closedBecause: null,
  context: {},
})

const parsed = parseCases(`
tools:
  mail/inbox: { effects: [read], confidentiality: confidential, bears: {} }
  mail/contacts:
    effects: [read]
    integrity: trusted
    bears: {}
    results: { fields: [{ at: /*/email, directory: true }] }
  mail/send: { effects: [egress], integrity: trusted, bears: { /to: recipient }, results: { fields: [{ at: /id }] } }
  mail/file: { effects: [write], integrity: trusted, bears: { /id: id } }
cases: [{ name: none, call: mail/inbox, expect: allow }]
`)
const tools = parsed.ok ? (parsed.cases[0]?.tools ?? []) : []

await main()
