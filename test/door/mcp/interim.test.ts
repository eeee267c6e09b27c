import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { alpha, beta, meta, modern, post, settled, start, taskOf, text, type Harness } from './harness.ts'
import { refuse } from '../../../src/call/refusal.ts'
import type { JsonObject } from '../../../src/lib/json.ts'
import type { LogLine } from '../../../src/server/answer.ts'

/** What reaches a client beside answers: log lines, that a resource has changed, and what it missed. */
let h: Harness
beforeEach(async () => {
  h = await start({ pollMs: 20, recheckMs: 30 })
})
afterEach(() => h.stop())

const lines: readonly LogLine[] = [
  { level: 'info', logger: 'files', data: 'opened' },
  { level: 'warning', data: { left: 3 } },
]
const logged = (arrival: Parameters<Harness['script']>[0]) =>
  settled(arrival, { ...text('done'), log: lines } as ReturnType<typeof text>)

const auth = (session: string | null = null, token: string = alpha.token) => ({
  authorization: `Bearer ${token}`,
  accept: 'application/json, text/event-stream',
  ...(session === null ? {} : { 'mcp-session-id': session }),
})

async function open(version = '2025-11-25'): Promise<string> {
  const params = { protocolVersion: version, capabilities: {}, clientInfo: { name: 'test', version: '1' } }
  const answer = await post(`${h.url}/mcp`, { jsonrpc: '2.0', id: 0, method: 'initialize', params }, auth())
  return answer.headers.get('mcp-session-id') ?? ''
}

const request = (session: string, method: string, params: JsonObject = {}, id = 1) =>
  post(`${h.url}/mcp`, { jsonrpc: '2.0', id, method, params }, auth(session))

const call = (session: string, id = 1) =>
  request(session, 'tools/call', { name: 'files__read_file', arguments: {} }, id)

type Event = { readonly id: string | null; readonly message: JsonObject | null }

/** The events of a whole stream, those without a message too. */
const eventsOf = (stream: string): readonly Event[] =>
  stream.split('\n\n').flatMap((block) => {
    const data = /^data: ?(.*)$/m.exec(block)?.[1]
    if (data === undefined) return []
    return [{ id: /^id: (.*)$/m.exec(block)?.[1] ?? null, message: data === '' ? null : JSON.parse(data) }]
  })

const methodsOf = (stream: string): readonly unknown[] =>
  eventsOf(stream).flatMap(({ message }) => (message === null ? [] : [message['method'] ?? 'answer']))

/** A stream that a GET opened, read as it comes. */
async function listen(session: string, headers: { readonly [name: string]: string } = {}) {
  const ended = new AbortController()
  const response = await fetch(`${h.url}/mcp`, {
    headers: { ...auth(session), accept: 'text/event-stream', ...headers },
    signal: ended.signal,
  })
  const read = { text: '' }
  const reading = (async () => {
    for await (const chunk of response.body ?? []) read.text += Buffer.from(chunk).toString()
  })().catch(() => undefined)
  return { status: response.status, read, reading, close: () => ended.abort() }
}

const until = async (happened: () => boolean): Promise<void> => {
  for (let i = 0; i < 300 && !happened(); i++) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.ok(happened(), 'it never came about')
}

describe('log lines of a server', () => {
  test('come with the answer and before it, for a session that has set a level', async () => {
    h.script = logged
    const session = await open()
    assert.deepEqual(methodsOf((await call(session)).text), ['answer'])
    assert.equal(h.arrivals.at(-1)?.takes?.log, null)
    assert.deepEqual((await request(session, 'logging/setLevel', { level: 'info' })).body['result'], {})
    const heard = await call(session)
    assert.deepEqual(methodsOf(heard.text), ['notifications/message', 'notifications/message', 'answer'])
    assert.equal(h.arrivals.at(-1)?.takes?.log, 'info')
    assert.deepEqual(eventsOf(heard.text)[1]?.message?.['params'], lines[0])
  })

  test('come to a modern client only with a request that asks for them', async () => {
    h.script = logged
    const params = { name: 'files__read_file', arguments: {} }
    const asking = { ...params, _meta: { ...meta(), 'io.modelcontextprotocol/logLevel': 'debug' } }
    const wanted = await modern(`${h.url}/mcp`, 'tools/call', asking)
    assert.deepEqual(methodsOf(wanted.text), ['notifications/message', 'notifications/message', 'answer'])
    await modern(`${h.url}/mcp`, 'tools/call', params)
    await modern(`${h.url}/mcp`, 'tools/call', { ...params, _meta: { ...asking._meta, 'io.modelcontextprotocol/logLevel': 'everything' } }) // prettier-ignore
    assert.deepEqual(h.arrivals.map((arrival) => arrival.takes?.log), ['debug', null, null]) // prettier-ignore
  })

  test('a level that MCP does not know is refused', async () => {
    assert.match((await request(await open(), 'logging/setLevel', { level: 'loud' })).text, /-32602/)
  })

  test('nothing of an answer that is withheld is said, what was logged neither', async () => {
    h.script = (arrival) =>
      settled(arrival, { kind: 'withheld', problem: 'revoked', detail: 'The access was revoked.' })
    const session = await open()
    await request(session, 'logging/setLevel', { level: 'debug' })
    assert.deepEqual(methodsOf((await call(session)).text), ['answer'])
  })
})

describe('what a client can be asked for', () => {
  test('is what it declares, of what the broker passes on', async () => {
    await h.stop()
    h = await start({ inputs: ['form', 'sampling'] })
    const params = { name: 'files__read_file', arguments: {} }
    for (const [capabilities, inputs] of [
      [{}, []],
      [{ elicitation: {} }, ['form']],
      [{ elicitation: { url: {} } }, []],
      [{ elicitation: { form: {} }, sampling: {}, roots: {} }, ['form', 'sampling']],
    ] as const) {
      await modern(`${h.url}/mcp`, 'tools/call', params, { capabilities })
      assert.deepEqual(h.arrivals.at(-1)?.takes?.inputs, inputs)
    }
  })

  test('a server that fails for want of it is told on as what the client lacks, to clients that know that code', async () => {
    h.script = (arrival) =>
      settled(arrival, { ...text('no model here'), isError: true, needs: ['sampling'] } as ReturnType<
        typeof text
      >)
    const told = await modern(`${h.url}/mcp`, 'tools/call', { name: 'files__read_file', arguments: {} })
    assert.equal(told.status, 400)
    assert.match(told.text, /-32021.*"requiredCapabilities":\{"sampling":\{\}\}/)
    assert.match((await call(await open())).text, /no model here/)
  })
})

describe('a watched resource', () => {
  const uri = 'countersign+files:file:///a'
  const subscription = { server: 'files', task: 't_alpha', uri: 'file:///a' }
  const subscribe = (session: string) => request(session, 'resources/subscribe', { uri })

  test('is watched by a call of the path, and its change told by the URI that the client gave', async () => {
    h.script = (arrival) => settled(arrival, { kind: 'result', result: {}, isError: false })
    const session = await open()
    const stream = await listen(session)
    assert.ok((await subscribe(session)).body['result'])
    assert.deepEqual(
      h.arrivals.map(({ wanted, arguments: args }) => [wanted.operation, args]),
      [['subscribe', { uri: 'file:///a' }]],
    )
    h.updated(subscription)
    await until(() => methodsOf(stream.read.text).length > 0)
    assert.deepEqual(eventsOf(stream.read.text)[0]?.message, {
      jsonrpc: '2.0',
      method: 'notifications/resources/updated',
      params: { uri },
    })
    stream.close()
  })

  test('is told of no longer once nobody wants it, and the server is told so, too', async () => {
    h.script = (arrival) => settled(arrival, { kind: 'result', result: {}, isError: false })
    const session = await open()
    const stream = await listen(session)
    await subscribe(session)
    await request(session, 'resources/unsubscribe', { uri })
    assert.deepEqual(h.unsubscribed, [subscription])
    h.updated(subscription)
    h.changed()
    await until(() => methodsOf(stream.read.text).length > 0)
    assert.ok(!methodsOf(stream.read.text).includes('notifications/resources/updated'))
    stream.close()
  })

  test('ends with the session that watched it', async () => {
    h.script = (arrival) => settled(arrival, { kind: 'result', result: {}, isError: false })
    const session = await open()
    await subscribe(session)
    await fetch(`${h.url}/mcp`, { method: 'DELETE', headers: auth(session) })
    assert.deepEqual(h.unsubscribed, [subscription])
  })

  test('that the path refuses is not watched', async () => {
    h.script = () => refuse('denied', 'decide', 'secret-reason')
    const session = await open()
    const stream = await listen(session)
    assert.match((await subscribe(session)).text, /"error"/)
    h.updated(subscription)
    h.changed()
    await until(() => methodsOf(stream.read.text).length > 0)
    assert.ok(!methodsOf(stream.read.text).includes('notifications/resources/updated'))
    stream.close()
  })

  test('somebody whose access has ended meanwhile is told nothing of it', async () => {
    h.script = (arrival) => settled(arrival, { kind: 'result', result: {}, isError: false })
    const session = await open()
    const stream = await listen(session)
    await subscribe(session)
    h.revoked.add(alpha.token)
    h.updated(subscription)
    await stream.reading
    assert.deepEqual(methodsOf(stream.read.text), [])
  })

  test('`subscriptions/listen` honours what the path allows, call by call, and ends with its stream', async () => {
    h.script = (arrival) =>
      arrival.arguments['uri'] === 'file:///a'
        ? settled(arrival, { kind: 'result', result: {}, isError: false })
        : refuse('denied', 'decide', 'secret-reason')
    const other = 'countersign+files:file:///secret'
    const heard = modern(
      `${h.url}/mcp`,
      'subscriptions/listen',
      { notifications: { resourceSubscriptions: [uri, other, uri] } },
      { id: 7 },
    )
    await until(() => h.arrivals.length === 2)
    await new Promise((resolve) => setTimeout(resolve, 50))
    h.updated(subscription)
    h.updated({ ...subscription, uri: 'file:///secret' })
    await new Promise((resolve) => setTimeout(resolve, 50))
    await h.stop()
    const told = eventsOf((await heard).text).map(({ message }) => message)
    assert.deepEqual(told.slice(0, 2).map((message) => message?.['method']), [
      'notifications/subscriptions/acknowledged',
      'notifications/resources/updated',
    ]) // prettier-ignore
    const _meta = { 'io.modelcontextprotocol/subscriptionId': 7 }
    assert.deepEqual(told[0]?.['params'], { notifications: { resourceSubscriptions: [uri] }, _meta })
    assert.deepEqual(told[1]?.['params'], { uri, _meta })
    assert.equal(told.length, 3)
    assert.deepEqual(h.unsubscribed, [subscription])
  })
})

describe('an answer that was missed', () => {
  /** A call whose client goes away before it is answered. */
  async function lose(session: string): Promise<{ readonly lastId: string; answer(): void }> {
    const answering = Promise.withResolvers<void>()
    h.script = async (arrival) => {
      await answering.promise
      return settled(arrival, text('worth waiting for'))
    }
    const gone = new AbortController()
    const response = await fetch(`${h.url}/mcp`, {
      method: 'POST',
      signal: gone.signal,
      headers: { ...auth(session), 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'files__read_file', arguments: {} } }), // prettier-ignore
    })
    const first = await response.body?.getReader().read()
    const [primed] = eventsOf(Buffer.from(first?.value ?? []).toString())
    assert.equal(primed?.message, null)
    gone.abort()
    return { lastId: primed?.id ?? '', answer: answering.resolve }
  }

  test('is told to the session that comes back for it, whenever it comes, and was made once', async () => {
    const session = await open()
    const { lastId, answer } = await lose(session)
    const early = await listen(session, { 'last-event-id': lastId })
    answer()
    await early.reading
    assert.match(early.read.text, /worth waiting for/)
    const late = await listen(session, { 'last-event-id': lastId })
    await late.reading
    assert.match(late.read.text, /worth waiting for/)
    assert.equal(h.arrivals.length, 1)
  })

  /** What a GET for it says within a moment. */
  async function heardBy(headers: { readonly [name: string]: string }, lastId: string): Promise<string> {
    const moment = AbortSignal.timeout(300)
    const response = await fetch(`${h.url}/mcp`, {
      signal: moment,
      headers: { ...headers, accept: 'text/event-stream', 'last-event-id': lastId },
    })
    let said = String(response.status)
    try {
      for await (const chunk of response.body ?? []) said += Buffer.from(chunk).toString()
    } catch {
      assert.ok(moment.aborted)
    }
    return said
  }

  test('is told to nobody else who knows its place', async () => {
    const session = await open()
    const { lastId, answer } = await lose(session)
    answer()
    for (const headers of [auth(await open()), auth(session, beta.token)])
      assert.doesNotMatch(await heardBy(headers, lastId), /worth waiting for/)
    assert.match(await heardBy(auth(session), lastId), /worth waiting for/)
  })

  test('is not told once the access or the task has ended', async () => {
    const session = await open()
    const { lastId, answer } = await lose(session)
    answer()
    h.tasks.set('t_alpha', taskOf(alpha, { state: 'closed' }))
    assert.doesNotMatch(await heardBy(auth(session), lastId), /worth waiting for/)
    h.revoked.add(alpha.token)
    assert.match(await heardBy(auth(session), lastId), /^401/)
  })

  test('is gone with its session', async () => {
    const session = await open()
    const { lastId, answer } = await lose(session)
    answer()
    await fetch(`${h.url}/mcp`, { method: 'DELETE', headers: auth(session) })
    const response = await fetch(`${h.url}/mcp`, {
      headers: { ...auth(session), accept: 'text/event-stream', 'last-event-id': lastId },
    })
    assert.equal(response.status, 404)
  })

  test('clients of revisions that know no priming event get none', async () => {
    const answer = await call(await open('2025-06-18'))
    assert.match(answer.headers.get('content-type') ?? '', /application\/json/)
  })
})
