import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  alpha,
  asking,
  beta,
  meta,
  modern,
  post,
  settled,
  start,
  text,
  type Answer,
  type Harness,
} from '../door/mcp/harness.ts'
import { head, open, until } from './sockets.ts'

/** How much of the agents' door one agent, or a stranger, can take. The path behind it is scripted. */
let h: Harness
let release: () => void
const call = (more: { readonly headers?: { readonly [name: string]: string | null } } = {}) =>
  modern(`${h.url}/mcp`, 'tools/call', { name: 'files__read_file', arguments: {} }, more)
const asBeta = { headers: { authorization: `Bearer ${beta.token}` } }

beforeEach(async () => {
  h = await start({ atOnce: 8, atOncePerAgent: 4, atOnceLeast: 2, streamsPerAgent: 2, streams: 3, sessionsPerAgent: 2, sessions: 3 }) // prettier-ignore
  const open = Promise.withResolvers<void>()
  release = open.resolve
  h.script = async (arrival) => {
    await open.promise
    return settled(arrival, text('ok'))
  }
})
afterEach(async () => {
  release()
  await h.stop()
})

const underWay = (count: number) => until(() => h.arrivals.length >= count, 'the calls')
const errorOf = ({ status, headers, body }: Answer) => {
  const error = body['error']
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return [status, headers.get('retry-after'), code]
}

describe('requests under way', () => {
  test('of one agent are bounded: beyond that it is told 429 and when to come back, and the others are served', async () => {
    const running = Array.from({ length: 4 }, () => call())
    await underWay(4)
    const refused = await call()
    assert.deepEqual(errorOf(refused), [429, '1', 6907])
    assert.match(refused.text, /too-many-calls.*Wait until one of them has ended/)
    const other = call(asBeta)
    await underWay(5)
    release()
    assert.equal((await other).status, 200)
    assert.deepEqual(
      (await Promise.all(running)).map(({ status }) => status),
      [200, 200, 200, 200],
    )
    assert.equal((await call()).status, 200, 'its places have come back')
    assert.equal(h.arrivals.length, 6, 'what was turned away never reached the path')
  })

  test('of all together are bounded: who holds little is served even then, and nobody beyond', async () => {
    await h.stop()
    h = await start({ atOnce: 3, atOncePerAgent: 3, atOnceLeast: 2 })
    const held = Promise.withResolvers<void>()
    h.script = async (arrival) => {
      await held.promise
      return settled(arrival, text('ok'))
    }
    const greedy = Array.from({ length: 3 }, () => call())
    await underWay(3)
    const modest = [call(asBeta), call(asBeta)]
    await underWay(5)
    assert.deepEqual(errorOf(await call(asBeta)), [503, '1', 6907])
    held.resolve()
    const all = await Promise.all([...greedy, ...modest])
    assert.deepEqual(new Set(all.map(({ status }) => status)), new Set([200]))
  })

  test('that are cancelled give their places back', async () => {
    const ends: AbortController[] = []
    h.script = (arrival) =>
      new Promise((resolve) =>
        arrival.signal.addEventListener('abort', () => resolve(settled(arrival, text('late')))),
      )
    for (let n = 0; n < 4; n++) {
      const end = new AbortController()
      ends.push(end)
      const body = { jsonrpc: '2.0', id: n, method: 'tools/call', params: { name: 'files__read_file', arguments: {}, _meta: meta() } } // prettier-ignore
      void fetch(`${h.url}/mcp`, {
        method: 'POST',
        signal: end.signal,
        headers: {
          authorization: `Bearer ${alpha.token}`,
          'content-type': 'application/json',
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': 'tools/call',
          'mcp-name': 'files__read_file',
        },
        body: JSON.stringify(body),
      }).catch(() => undefined)
    }
    await underWay(4)
    assert.equal((await call()).status, 429)
    for (const end of ends) end.abort()
    h.script = (arrival) => settled(arrival, text('ok'))
    await until(async () => (await call()).status === 200, 'a place')
  })
})

describe('somebody who has proven nothing', () => {
  const stranger = { authorization: 'Bearer stranger' }

  test('has no large body read, and is refused and recorded as any stranger', async () => {
    const large = await post(
      `${h.url}/mcp`,
      { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x'.repeat(100_000) } },
      stranger,
    )
    assert.equal(large.status, 401)
    assert.equal(h.arrivals.length, 1)
    assert.deepEqual(h.arrivals[0]?.arguments, {})
  })

  test('is told so before the body has come, when it announces a large one', async () => {
    const port = Number(new URL(h.url).port)
    const wire = await open(port, head('/mcp', 4_000_000, 'Authorization: Bearer stranger\r\n'))
    await until(() => wire.heard().startsWith('HTTP/1.1 401'), 'the answer')
    wire.socket.destroy()
  })

  test('is whoever was revoked while the body was coming in', async () => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: meta() } })
    const headers = `Authorization: Bearer ${alpha.token}\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n`
    const wire = await open(
      Number(new URL(h.url).port),
      `${head('/mcp', body.length, headers)}${body.slice(0, 20)}`,
    )
    await sleep(50)
    h.revoked.add(alpha.token)
    wire.socket.write(body.slice(20))
    await until(() => wire.heard().startsWith('HTTP/1.1 401'), 'the answer')
    wire.socket.destroy()
  })
})

describe('what is kept between requests', () => {
  const initialize = (token: string = alpha.token, capabilities: object = {}) =>
    post(
      `${h.url}/mcp`,
      {
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: {
          protocolVersion: '2025-11-25',
          capabilities: { ...capabilities },
          clientInfo: { name: 't', version: '1' },
        },
      },
      { authorization: `Bearer ${token}` },
    )
  const idOf = (answer: Answer): string => answer.headers.get('mcp-session-id') ?? ''
  const inSession = (session: string, token: string, signal: AbortSignal) =>
    fetch(`${h.url}/mcp`, {
      signal,
      headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream', 'mcp-session-id': session },
    })

  test('sessions of one agent: the oldest at rest makes room; when all are at work it is told 429', async () => {
    const gone = new AbortController()
    const first = idOf(await initialize())
    for (const session of [first, idOf(await initialize())]) {
      const stream = await inSession(session, alpha.token, gone.signal)
      assert.equal(stream.status, 200)
    }
    const refused = await initialize()
    assert.deepEqual(errorOf(refused), [429, '1', 6901])
    assert.equal((await initialize(beta.token)).status, 200)
    gone.abort()
  })

  test('sessions of all agents together: 503', async () => {
    await h.stop()
    h = await start({ sessions: 2, sessionsPerAgent: 2 })
    const gone = new AbortController()
    for (const token of [alpha.token, alpha.token]) {
      const session = idOf(await initialize(token))
      await inSession(session, token, gone.signal)
    }
    assert.deepEqual(errorOf(await initialize(beta.token)), [503, '1', 6901])
    gone.abort()
  })

  test('a session keeps nothing of what a client declares but what it can be asked for', async () => {
    const large = { elicitation: { form: {}, words: 'x'.repeat(1_000_000) }, experimental: { 'x-y': 'y'.repeat(1_000_000) } } // prettier-ignore
    const answer = await initialize(alpha.token, large)
    assert.equal(answer.status, 200)
    assert.ok(idOf(answer).length < 2_000, 'a session id carries what is kept')
  })

  test('streams of one agent and of all are bounded, with 429 and 503', async () => {
    const gone = new AbortController()
    const listen = (token: string) =>
      fetch(`${h.url}/mcp`, {
        method: 'POST',
        signal: gone.signal,
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': 'subscriptions/listen',
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'subscriptions/listen',
          params: { notifications: { toolsListChanged: true }, _meta: meta() },
        }),
      })
    assert.deepEqual([(await listen(alpha.token)).status, (await listen(alpha.token)).status], [200, 200])
    const own = await listen(alpha.token)
    assert.deepEqual([own.status, own.headers.get('retry-after')], [429, '1'])
    assert.equal((await listen(beta.token)).status, 200)
    assert.equal((await listen(beta.token)).status, 503)
    gone.abort()
  })

  test('calls held for people are bounded: one more is told at once to come back', async () => {
    await h.stop()
    h = await start({ heldAtOnce: 1, holdMs: 5_000, legs: 2 })
    h.script = asking(h)
    const first = call()
    await until(() => h.asks.size === 1, 'the ask')
    await sleep(50)
    const began = performance.now()
    const second = await call()
    assert.match(second.text, /requestState/)
    assert.ok(performance.now() - began < 4_000, 'it was not held')
    h.answer('a_ask', 'approved')
    assert.match((await first).text, /written/)
  })
})
