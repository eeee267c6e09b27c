import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createAccesses } from '../../src/cli/bridge/access.ts'
import { join, resolve } from 'node:path'
import { loadAgentKey } from '../../src/identity/key.ts'
import { loadConfig } from '../../src/config/load.ts'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { openSqlite } from '../../src/store/sqlite.ts'
import { spawn, type ChildProcess } from 'node:child_process'
import { startBroker } from '../../src/broker.ts'
import { startHostile, type Hostile } from '../attack/servers/hostile.ts'
import { tmpdir } from 'node:os'
import { z } from 'zod'
import type { Effect } from '../../src/registry/tool.ts'

/** A broker as supervisors run it: a process of its own that is told to end while it works. */

const root: { path: string } = { path: '' }
let upstream: Hostile
const slow = { answers: true }
const children: ChildProcess[] = []

before(async () => {
  root.path = await mkdtemp(join(tmpdir(), 'countersign-drain-'))
  const wait = () => new Promise<void>((after) => setTimeout(after, 60))
  upstream = await startHostile({
    look: {
      description: 'Looks something up.',
      input: z.object({ n: z.number() }),
      annotations: { readOnlyHint: true, openWorldHint: false },
      run: async () => {
        while (!slow.answers) await wait()
        await wait()
        return 'seen'
      },
    },
    change: { description: 'Changes something.', input: z.object({}), annotations: { readOnlyHint: false } },
  })
})
after(async () => {
  slow.answers = true
  for (const child of children) child.kill('SIGKILL')
  await upstream.close()
  await rm(root.path, { recursive: true, force: true })
})

type Served = {
  readonly home: string
  readonly child: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>
  readonly lines: () => readonly { readonly [field: string]: unknown }[]
  readonly agents: string
  readonly ready: () => Promise<number>
  call(tool: string, args: object): Promise<Answered>
}
type Answered =
  | { readonly kind: 'answer'; readonly status: number; readonly headers: Headers; readonly text: string }
  /** Nobody listens any more, or the connection ended before a byte of an answer. */
  | { readonly kind: 'gone' }

async function serve(name: string, listen: object): Promise<Served> {
  const home = join(root.path, name)
  const config = join(root.path, `${name}.json`)
  await writeFile(
    config,
    JSON.stringify({
      home,
      operator: 'operator',
      listen: { agents: '127.0.0.1:0', operators: '127.0.0.1:0', ...listen },
      servers: { up: { url: upstream.url } },
      agents: { agent: {} },
      observe: { log: 'json' },
    }),
  )
  const first = await startBroker(loadConfig(config))
  try {
    await first.listed
    const by = { name: 'operator', proof: 'terminal' }
    for (const { id, digest } of first.core.registry.tools({ state: 'quarantined' })) {
      const effects: readonly Effect[] = id === 'up/look' ? ['read'] : ['write']
      await first.core.registry.review({ id, digest, overrides: { effects }, by })
    }
  } finally {
    await first.close()
  }
  const main = resolve(import.meta.dirname, '../../src/cli/main.ts')
  const child = spawn(process.execPath, [main, 'serve', '--config', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  children.push(child)
  let printed = ''
  child.stderr.on('data', (data: Buffer) => (printed += data.toString()))
  const ended = new Promise<Awaited<Served['ended']>>((done) =>
    child.once('exit', (code, signal) => done({ code, signal })),
  )
  const lines = () =>
    printed
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
  await until(
    () => lines().some(({ event }) => event === 'ready'),
    () => printed,
  )
  const run: { readonly agents: string } = JSON.parse(await readFile(join(home, 'run.json'), 'utf8'))
  const access = createAccesses({
    agent: 'agent',
    key: await loadAgentKey(home, 'agent'),
    base: async () => run.agents,
  })
  const { token } = await access.get()
  return {
    home,
    child,
    ended,
    lines,
    agents: run.agents,
    ready: async () => (await fetch(new URL('/readyz', run.agents)).catch(() => null))?.status ?? 0,
    call: (tool, args) => post(run.agents, token, { tool, args }),
  }
}

async function post(
  base: string,
  token: string,
  { tool, args }: { readonly tool: string; readonly args: object },
): Promise<Answered> {
  const name = `up__${tool}`
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  }
  try {
    const response = await fetch(new URL('/mcp', base), {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        'mcp-name': name,
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name, arguments: args, _meta: meta },
      }),
    })
    return { kind: 'answer', status: response.status, headers: response.headers, text: await response.text() }
  } catch {
    return { kind: 'gone' }
  }
}

const isSeen = (answer: Answered): boolean =>
  answer.kind === 'answer' && answer.status === 200 && answer.text.includes('seen')

async function until(is: () => boolean | Promise<boolean>, said: () => string = () => ''): Promise<void> {
  for (let tries = 0; tries < 1_000; tries += 1) {
    if (await is()) return
    await new Promise((after) => setTimeout(after, 20))
  }
  throw new Error(`it did not come to that:\n${said()}`)
}

/** Outcomes by call, of every intent in the log; null for one that has none. */
async function outcomes(home: string): Promise<ReadonlyMap<string, string | null>> {
  const store = await openSqlite({ path: join(home, 'store', 'countersign.db') })
  try {
    const found = new Map<string, string | null>()
    const size = await store.log.size()
    for (let from = 0; from < size; from += 1_000)
      for (const { bytes } of await store.log.read(from, 1_000)) {
        const { kind, call, outcome } = JSON.parse(Buffer.from(bytes).toString('utf8'))
        if (kind === 'intent') found.set(call, null)
        if (kind !== 'outcome') continue
        assert.equal(found.get(call), null, 'one outcome, after its intent')
        found.set(call, outcome)
      }
    return found
  } finally {
    await store.close()
  }
}

describe('a broker that is told to end while it works', () => {
  it('says so first, takes no more, loses no outcome, and leaves in order', async () => {
    const served = await serve('orderly', { drainSeconds: 4, graceSeconds: 30 })
    const answers: Answered[] = []
    const over = { yes: false }
    const worker = async (n: number): Promise<void> => {
      while (!over.yes) {
        const answer = await served.call('look', { n })
        answers.push(answer)
        if (answer.kind === 'gone') return
        if (answer.status === 503) await new Promise((after) => setTimeout(after, 20))
      }
    }
    const workers = Array.from({ length: 24 }, (_, n) => worker(n))
    const held = served.call('change', {})
    await until(() => answers.length >= 60 && served.lines().some(({ event }) => event === 'ask'))
    assert.equal(await served.ready(), 200)
    served.child.kill('SIGTERM')
    await until(async () => (await served.ready()) === 503)
    const late = await served.call('look', { n: 0 })
    assert.ok(isSeen(late), 'calls are taken until nobody sends any')
    answers.push(late)
    const { code, signal } = await served.ended
    over.yes = true
    await Promise.all(workers)
    assert.deepEqual({ code, signal }, { code: 0, signal: null })

    const all = await outcomes(served.home)
    assert.deepEqual([...new Set(all.values())], ['ok'], 'every intent has its outcome, and none is unknown')
    const good = answers.filter(isSeen)
    assert.equal(good.length, all.size, 'whoever had an intent has its answer')
    assert.equal(upstream.calls.length, all.size)
    const turned = answers.filter((one) => one.kind === 'answer' && one.status !== 200)
    for (const one of turned) {
      assert.ok(one.kind === 'answer')
      assert.equal(one.status, 503)
      assert.match(one.headers.get('retry-after') ?? '', /^\d+$/)
      assert.equal(one.headers.get('connection'), 'close')
    }
    const waited = await held
    assert.ok(waited.kind === 'answer' && waited.status === 200)
    assert.match(
      waited.text,
      /"resultType":"input_required"/,
      'whoever waits for a person is told to come back',
    )
    const events = served.lines().map(({ event }) => event)
    assert.deepEqual(
      events.filter((event) => ['ready', 'draining', 'stopping', 'stopped'].includes(String(event))),
      ['ready', 'draining', 'stopping', 'stopped'],
    )
    await assert.rejects(readFile(join(served.home, 'run.json')))
  })

  it('a second signal ends it at once, and the next start settles what was under way', async () => {
    slow.answers = false
    const served = await serve('impatient', { graceSeconds: 600 })
    const before = upstream.calls.length
    const call = served.call('look', { n: 1 })
    await until(() => upstream.calls.length > before)
    served.child.kill('SIGTERM')
    await until(() => served.lines().some(({ event }) => event === 'stopping'))
    // Another one than the first: whichever comes second counts.
    served.child.kill('SIGINT')
    assert.deepEqual(await served.ended, { code: null, signal: 'SIGINT' })
    assert.equal((await call).kind, 'gone')
    slow.answers = true
    const again = await startBroker(loadConfig(join(root.path, 'impatient.json')))
    assert.equal(again.recovered.length, 1)
    await again.close()
    assert.deepEqual([...(await outcomes(served.home)).values()], ['unknown'])
  })
})
