import { after, describe, it } from 'node:test'
import assert from 'node:assert/strict'
import { Client } from '@modelcontextprotocol/client'
import { fileURLToPath } from 'node:url'
import { PassThrough } from 'node:stream'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { connect } from '../../src/cli/connect.ts'
import { createAgentKey } from '../../src/identity/key.ts'
import { createMirrors, encode, mirrored } from '../../src/cli/bridge/headers.ts'
import { lines, serverEvents } from '../../src/cli/bridge/stream.ts'
import { scratch } from '../identity/scratch.ts'
import { startBroker, type FakeBroker } from './connect-broker.ts'
import { writeRunFile } from '../../src/cli/run.ts'

const launch = fileURLToPath(new URL('./connect-launch.ts', import.meta.url))
const modern = { versionNegotiation: { mode: { pin: '2026-07-28' } } } as const

async function world() {
  const home = await scratch()
  const key = await createAgentKey(home, 'coder')
  const running = async (broker: FakeBroker) => {
    await writeRunFile(home, {
      pid: process.pid,
      agents: broker.url,
      operators: broker.url,
      startedAt: '2026-01-01T00:00:00.000Z',
    })
    return broker
  }
  const start = async (port?: number) => {
    const broker = await running(await startBroker(key, port))
    after(() => broker.stop())
    return broker
  }
  const client = async (options: ConstructorParameters<typeof Client>[1] = {}) => {
    const made = new Client({ name: 'editor', version: '1.0.0' }, options)
    await made.connect(new StdioClientTransport({ command: process.execPath, args: [launch, home, 'coder'] }))
    after(() => made.close())
    return made
  }
  return { home, key, start, client }
}

const call = (client: Client, name: string, args = {}) => client.callTool({ name, arguments: args })
const until = async (what: () => boolean): Promise<void> => {
  for (let i = 0; i < 500 && !what(); i += 1) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.equal(what(), true)
}

for (const [era, options] of [
  ['of the newest revision', modern],
  ['of the era of sessions', {}],
] as const) {
  describe(`a client ${era} that launches connect`, () => {
    it('lists, calls, hears progress, and its task ends when it goes', async () => {
      const { start, client } = await world()
      const broker = await start()
      const mine = await client(options)
      assert.deepEqual(
        (await mine.listTools()).tools.map(({ name }) => name),
        ['echo', 'wait', 'ask', 'change'],
      )
      const progress: number[] = []
      const result = await mine.callTool(
        { name: 'echo', arguments: { text: 'Grüße ✓' } },
        { onprogress: (one) => progress.push(one.progress) },
      )
      assert.deepEqual([result.content, progress], [[{ type: 'text', text: 'Grüße ✓' }], [1]])
      const many = await Promise.all(
        Array.from({ length: 20 }, (_, i) => call(mine, 'echo', { text: String(i) })),
      )
      assert.deepEqual(
        many.map(({ content }) => content?.[0]),
        Array.from({ length: 20 }, (_, i) => ({ type: 'text', text: String(i) })),
      )
      await mine.close()
      // A client of the newest revision has looked at another process of ours first: that one had a task, too.
      await until(() => broker.state.revoked.length === broker.state.opened.length)
      assert.deepEqual(new Set(broker.state.revoked), new Set(broker.state.opened))
    })

    it('cancels', async () => {
      const { start, client } = await world()
      const broker = await start()
      const mine = await client(options)
      const stop = new AbortController()
      const waiting = assert.rejects(mine.callTool({ name: 'wait', arguments: {} }, { signal: stop.signal }))
      await until(() => broker.state.seen.length >= 2)
      await new Promise((resolve) => setTimeout(resolve, 100))
      stop.abort()
      await waiting
      await until(() => broker.state.cancelled.length === 1)
      assert.equal((await call(mine, 'echo', { text: 'on' })).isError, undefined)
    })

    it('keeps working when its token has expired', async () => {
      const { start, client } = await world()
      const broker = await start()
      const mine = await client(options)
      await call(mine, 'echo', { text: 'a' })
      const opened = broker.state.opened.length
      broker.expireTokens()
      await Promise.all([
        call(mine, 'echo', { text: 'b' }),
        call(mine, 'echo', { text: 'c' }),
        call(mine, 'echo', { text: 'd' }),
      ])
      assert.equal(broker.state.opened.length, opened)
      assert.deepEqual(broker.state.refreshed, [broker.state.opened.at(-1)])
    })

    it('goes on in a new task when the old one has ended', async () => {
      const { start, client } = await world()
      const broker = await start()
      const mine = await client(options)
      await call(mine, 'echo', { text: 'a' })
      const opened = broker.state.opened.length
      broker.endTask()
      const again = await Promise.all([call(mine, 'echo', { text: 'b' }), call(mine, 'echo', { text: 'c' })])
      assert.deepEqual(
        again.map(({ content }) => content?.[0]),
        [
          { type: 'text', text: 'b' },
          { type: 'text', text: 'c' },
        ],
      )
      assert.equal(broker.state.opened.length, opened + 1)
    })
  })
}

describe('connect, in the newest revision', () => {
  it('mirrors the body into headers, from the body', async () => {
    const { start, client } = await world()
    const broker = await start()
    const mine = await client(modern)
    await mine.listTools()
    await call(mine, 'echo', { text: 'Grüße' })
    const { headers } = broker.state.seen.at(-1) ?? {}
    assert.equal(headers?.['mcp-method'], 'tools/call')
    assert.equal(headers?.['mcp-name'], 'echo')
    assert.equal(headers?.['mcp-protocol-version'], '2026-07-28')
    assert.equal(headers?.['mcp-param-text'], `=?base64?${Buffer.from('Grüße').toString('base64')}?=`)
    assert.equal(headers?.['mcp-session-id'], undefined)
  })
})

describe('connect, in the era of sessions', () => {
  it("carries the broker's questions to the client and the answers back", async () => {
    const { start, client } = await world()
    await start()
    const mine = await client({ capabilities: { elicitation: { form: {} } } })
    mine.setRequestHandler('elicitation/create', () =>
      Promise.resolve({ action: 'accept', content: { colour: 'green' } }),
    )
    assert.deepEqual((await call(mine, 'ask')).content, [{ type: 'text', text: 'green' }])
  })

  it('carries what belongs to no request', async () => {
    const { start, client } = await world()
    const broker = await start()
    const mine = await client({})
    let changed = 0
    mine.setNotificationHandler('notifications/tools/list_changed', () => void (changed += 1))
    await until(() => broker.state.seen.some(({ method }) => method === 'GET'))
    await call(mine, 'change')
    await until(() => changed === 1)
  })

  it('begins a lost session again, unseen by the client, but for its lists', async () => {
    const { start, client } = await world()
    const broker = await start()
    const mine = await client({})
    let changed = 0
    mine.setNotificationHandler('notifications/tools/list_changed', () => void (changed += 1))
    await call(mine, 'echo', { text: 'a' })
    broker.forgetSessions()
    const both = await Promise.all([call(mine, 'echo', { text: 'b' }), call(mine, 'echo', { text: 'c' })])
    assert.deepEqual(
      both.map(({ isError }) => isError),
      [undefined, undefined],
    )
    assert.equal(broker.state.initialized, 2)
    await until(() => changed === 1)
  })
})

/** connect in this process, for what no client sends. */
async function inProcess(home: string) {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  const stop = new AbortController()
  const ended = connect({ agent: 'coder', home, stdin, stdout, stderr, signal: stop.signal })
  after(() => stop.abort())
  const answers = lines(stdout)
  const next = async (): Promise<unknown> => JSON.parse(String((await answers.next()).value))
  return {
    stdin,
    stop,
    ended,
    next,
    say: (message: object) => void stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`),
  }
}

const errorIn = (message: unknown): string =>
  String(Reflect.get(Object(Reflect.get(Object(message), 'error')), 'message'))

describe('connect when things go wrong', () => {
  it('a broker that is down is an answer that says how to start it; once it runs, the same client is served', async () => {
    const { home, start } = await world()
    const { say, next, stdin, ended } = await inProcess(home)
    say({ id: 1, method: 'tools/list', params: {} })
    assert.match(errorIn(await next()), /countersign serve/)
    await start()
    const params = {
      _meta: {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    }
    say({ id: 2, method: 'tools/list', params })
    assert.equal(Reflect.get(Object(await next()), 'id'), 2)
    stdin.end()
    assert.equal(await ended, 0)
  })

  it('a broker that dies and starts elsewhere is found again', async () => {
    const { home, key } = await world()
    const run = (broker: FakeBroker) =>
      writeRunFile(home, { pid: process.pid, agents: broker.url, operators: broker.url, startedAt: '' })
    const first = await startBroker(key)
    await run(first)
    const { say, next, stop, ended } = await inProcess(home)
    const params = {
      _meta: {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    }
    say({ id: 1, method: 'tools/list', params })
    await next()
    await first.stop()
    say({ id: 2, method: 'tools/list', params })
    assert.match(errorIn(await next()), /countersign serve|broke/)
    const second = await startBroker(key)
    await run(second)
    say({ id: 3, method: 'tools/list', params })
    assert.equal(Reflect.get(Object(await next()), 'id'), 3)
    stop.abort()
    await ended
    await second.stop()
    assert.equal(second.state.revoked.length, 1)
  })

  it('what is no message gets an error, and the next one is served', async () => {
    const { home } = await world()
    const { stdin, next, stop, ended } = await inProcess(home)
    for (const text of ['{', '[]', '5', 'null']) {
      stdin.write(`${text}\n`)
      assert.match(errorIn(await next()), /expected one JSON-RPC message/)
    }
    stop.abort()
    await ended
  })

  it('an agent without a key is told so before anything starts', async () => {
    const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() }
    const connecting = connect({
      agent: 'nobody',
      home: await scratch(),
      ...streams,
      signal: new AbortController().signal,
    })
    await assert.rejects(connecting, { name: 'PrivateFileError' })
  })
})

describe('the parts of the bridge', () => {
  async function* chunks(...parts: readonly string[]) {
    for (const part of parts) yield new TextEncoder().encode(part)
  }

  it('events are unfolded wherever the chunks are cut', async () => {
    const text =
      ': keep-alive\r\n\r\nid: 7\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata:x\n\nevent: message\rdata: y\r\r'
    for (let size = 1; size < text.length; size += 1) {
      const parts = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
      const events = []
      for await (const event of serverEvents(ReadableStream.from(chunks(...parts)))) events.push(event)
      assert.deepEqual(events, [
        { id: '7', data: '{"a":\n1}' },
        { id: '7', data: 'x' },
        { id: '7', data: 'y' },
      ])
    }
  })

  it('header values that are not plain are marked, and so are those that look marked', () => {
    for (const plain of ['a', 'a b', 'files__read', '~!']) assert.equal(encode(plain), plain)
    for (const odd of ['', ' a', 'a ', 'ä', 'a\nb', '=?base64?YQ==?=']) {
      assert.equal(encode(odd), `=?base64?${Buffer.from(odd).toString('base64')}?=`)
    }
  })

  it('only primitives that are reached by properties alone are mirrored', () => {
    const mirrors = createMirrors()
    const inputSchema = {
      type: 'object',
      properties: {
        region: { type: 'string', 'x-mcp-header': 'Region' },
        count: { type: 'integer', 'x-mcp-header': 'Count' },
        ratio: { type: 'number', 'x-mcp-header': 'Ratio' },
        bad: { type: 'string', 'x-mcp-header': 'a\r\nb' },
        deep: { type: 'object', properties: { flag: { type: 'boolean', 'x-mcp-header': 'Flag' } } },
      },
    }
    mirrors.learn({ tools: [{ name: 'run', inputSchema }] })
    const message = {
      method: 'tools/call',
      params: {
        name: 'run',
        arguments: { region: 'eu', count: 3, ratio: 1.5, bad: 'x', deep: { flag: true } },
      },
    }
    assert.deepEqual(mirrored(message, '2026-07-28', mirrors), {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'run',
      'mcp-param-Region': 'eu',
      'mcp-param-Count': '3',
      'mcp-param-Flag': 'true',
    })
    assert.deepEqual(mirrors.headersOf('run', { region: null, count: 2 ** 60 }), {})
    assert.deepEqual(mirrors.headersOf('other', { region: 'eu' }), {})
  })
})
