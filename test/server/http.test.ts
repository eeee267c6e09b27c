import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { after, describe, test } from 'node:test'
import type { JsonObject } from '../../src/lib/json.ts'
import { json, said, startWeb, stream, type Web, type WebOptions } from './fixtures/web.ts'
import {
  configure,
  createWorld,
  noLease,
  problemOf,
  textOf,
  until,
  type Options,
  type World,
} from './world.ts'

const open: { close(): Promise<void> }[] = []
after(() => Promise.all(open.map((each) => each.close())))

async function worldOf(
  web: WebOptions,
  extra: JsonObject = {},
  options: Options = {},
): Promise<World & { web: Web }> {
  const started = await startWeb(web)
  const world = createWorld({ web: configure({ url: started.url, ...extra }) }, options)
  open.push(world.servers, started)
  return { ...world, web: started }
}
const act = { server: 'web', tool: 'act' } as const

describe('the modern revision', () => {
  test('every request says its revision, method and name, in the body and in the headers alike', async () => {
    const world = await worldOf({
      era: 'modern',
      act: (_heard, response, id) => json(response, { id, result: said('ok') }),
    })
    assert.equal(textOf(await world.call(act)), 'ok')
    assert.deepEqual(
      world.web.heard.map(({ method, body }) => `${method} ${JSON.stringify(body.method)}`),
      ['POST "server/discover"', 'POST "tools/list"', 'POST "tools/call"'],
    )
    const last = world.web.heard.at(-1)
    assert.equal(last?.headers['mcp-protocol-version'], '2026-07-28')
    assert.equal(last.headers['mcp-method'], 'tools/call')
    assert.equal(last.headers['mcp-name'], 'act')
    assert.deepEqual(last.body.params, {
      name: 'act',
      arguments: {},
      _meta: {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientInfo': { name: 'countersign', version: '0.1.0' },
        'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } },
        progressToken: last.body.id,
      },
    })
  })

  test('declared arguments are mirrored into headers from the body that is sent', async () => {
    const inputSchema = {
      type: 'object',
      properties: {
        region: { type: 'string', 'x-mcp-header': 'Region' },
        count: { type: 'integer', 'x-mcp-header': 'Count' },
        deep: { type: 'object', properties: { flag: { type: 'boolean', 'x-mcp-header': 'Flag' } } },
        none: { type: 'string', 'x-mcp-header': 'None' },
      },
    }
    const world = await worldOf({
      era: 'modern',
      tool: { inputSchema },
      act: (_heard, response, id) => json(response, { id, result: said('ok') }),
    })
    await world.call({
      ...act,
      arguments: { region: 'zürich\n', count: 3, deep: { flag: false }, none: null },
    })
    const headers = world.web.heard.at(-1)?.headers ?? {}
    assert.equal(headers['mcp-param-region'], `=?base64?${Buffer.from('zürich\n').toString('base64')}?=`)
    assert.equal(headers['mcp-param-count'], '3')
    assert.equal(headers['mcp-param-flag'], 'false')
    assert.ok(!('mcp-param-none' in headers))
  })

  test('a tool with an invalid mirrored argument is not offered', async () => {
    const inputSchema = { type: 'object', properties: { a: { type: 'number', 'x-mcp-header': 'A' } } }
    const world = await worldOf({ era: 'modern', tool: { inputSchema }, act: () => {} })
    assert.equal(problemOf(await world.call(act)), 'not-sent definition-changed')
  })

  test('the caching hints and `_meta` of a result stay here', async () => {
    const result = { ...said('ok'), ttlMs: 1, cacheScope: 'public', _meta: { x: 1 } }
    const world = await worldOf({
      era: 'modern',
      act: (_heard, response, id) => json(response, { id, result }),
    })
    assert.deepEqual(await world.call(act), {
      kind: 'result',
      result: { content: said('ok').content },
      isError: false,
    })
  })

  test('a stream gives progress and then the answer', async () => {
    const heard: unknown[] = []
    const world = await worldOf({
      era: 'modern',
      act(_heard, response, id) {
        const write = stream(response)
        response.write(': keep-alive\r\n\r\nid: 1\r\ndata:\r\n\r\n')
        write({
          method: 'notifications/progress',
          params: { progressToken: id, progress: 1, message: 'text' },
        })
        write({ method: 'notifications/message', params: { level: 'info', data: 'text' } })
        write({ id, result: said('done') })
        write({ id, result: said('done twice') })
      },
    })
    assert.equal(textOf(await world.call({ ...act, progress: (progress) => heard.push(progress) })), 'done')
    assert.deepEqual(heard, [{ progress: 1 }])
  })

  test('a modern server’s own request on a stream is refused: it has answers, not questions', async () => {
    const world = await worldOf({
      era: 'modern',
      act(_heard, response, id) {
        const write = stream(response)
        write({ id: 'q', method: 'elicitation/create', params: { message: 'x', requestedSchema: {} } })
        write({ id, result: said('done') })
      },
    })
    assert.equal(textOf(await world.call(act)), 'done')
    assert.equal(world.servers.diagnose().dropped.web?.['refused-request'], 1)
  })

  test('a lent value that is no header value is told as such, without the value', async () => {
    const secret = { reveal: () => 'top\nsecret', toJSON: () => '[secret]', toString: () => '[secret]' }
    const world = await worldOf({ era: 'modern', act: () => {} }, { headers: { 'X-Key': 'secret:key' } })
    const lease = { ...noLease, headers: { 'X-Key': secret }, secrets: ['key'] }
    const answer = await world.call({ ...act, lease, definition: { kind: 'tool', name: 'act' } })
    assert.equal(problemOf(answer), 'not-sent bad-configuration')
    assert.doesNotMatch(JSON.stringify(answer), /top/)
  })

  test('a cancel closes the stream', async () => {
    let closed = false
    const world = await worldOf({
      era: 'modern',
      act(_heard, response) {
        stream(response)({ method: 'notifications/message', params: {} })
        response.on('close', () => (closed = true))
      },
    })
    await world.servers.catalogue('web')
    const gate = new AbortController()
    const under = world.call({ ...act, signal: gate.signal })
    await until(() => world.web.heard.some(({ body }) => body.method === 'tools/call'))
    gate.abort()
    assert.equal(problemOf(await under), 'unknown cancelled')
    await until(() => closed)
    assert.ok(!world.web.heard.some(({ body }) => body.method === 'notifications/cancelled'))
  })

  test('a wish for a form is an answer; the next leg carries the server’s own state to the letter', async () => {
    const inputRequests = {
      colour: {
        method: 'elicitation/create',
        params: { message: 'which?', requestedSchema: { type: 'object' } },
      },
    }
    const world = await worldOf({
      era: 'modern',
      act: (heard, response, id) =>
        json(response, {
          id,
          result: JSON.stringify(heard.body.params).includes('requestState')
            ? said('thanks')
            : { resultType: 'input_required', inputRequests, requestState: 'a.b=c' },
        }),
    })
    const first = await world.call(act)
    assert.deepEqual(first, { kind: 'input', inputRequests, requestState: 'a.b=c' })
    const inputResponses = { colour: { action: 'accept', content: { colour: 'blue' } } }
    assert.equal(
      textOf(await world.call({ ...act, leg: { requestState: 'a.b=c', inputResponses } })),
      'thanks',
    )
    const params = world.web.heard.at(-1)?.body.params
    assert.ok(typeof params === 'object' && params !== null && 'requestState' in params)
    assert.equal(params.requestState, 'a.b=c')
    assert.deepEqual(params.inputResponses, inputResponses)
  })

  const unoffered: readonly (readonly [string, JsonObject])[] = [
    ['sampling', { method: 'sampling/createMessage', params: {} }],
    ['roots', { method: 'roots/list' }],
    [
      'a link',
      { method: 'elicitation/create', params: { mode: 'url', message: 'go', url: 'https://example.com' } },
    ],
  ]
  for (const [what, request] of unoffered) {
    test(`a wish for ${what}, which was never offered, is no answer`, async () => {
      const result = { resultType: 'input_required', inputRequests: { x: request } }
      const world = await worldOf({
        era: 'modern',
        act: (_heard, response, id) => json(response, { id, result }),
      })
      assert.equal(problemOf(await world.call(act)), 'unknown bad-answer')
    })
  }

  test('tasks share what keeps nothing; another set of secrets is another list', async () => {
    const world = await worldOf({
      era: 'modern',
      act: (_heard, response, id) => json(response, { id, result: said('ok') }),
    })
    await world.call({ ...act, task: 't_a' })
    await world.call({ ...act, task: 't_b' })
    assert.equal(world.web.heard.filter(({ body }) => body.method === 'tools/list').length, 1)
    await world.call({ ...act, task: 't_b', lease: { ...noLease, secrets: ['token'] } })
    assert.equal(world.web.heard.filter(({ body }) => body.method === 'tools/list').length, 2)
  })

  test('lent headers go with the call that they were lent for', async () => {
    const secret = { reveal: () => 'Bearer lent', toJSON: () => '[secret]', toString: () => '[secret]' }
    const world = await worldOf(
      { era: 'modern', act: (_heard, response, id) => json(response, { id, result: said('ok') }) },
      { headers: { Authorization: 'Bearer ${secret:token}', 'X-Team': 'blue' } },
    )
    const lease = { ...noLease, headers: { Authorization: secret }, secrets: ['token'] }
    assert.equal(textOf(await world.call({ ...act, lease })), 'ok')
    const headers = world.web.heard.at(-1)?.headers
    assert.equal(headers?.authorization, 'Bearer lent')
    assert.equal(headers['x-team'], 'blue')
    const without = await world.call({ ...act, definition: { kind: 'tool', name: 'act' } })
    assert.equal(problemOf(without), 'not-sent bad-configuration')
  })

  test('a configured header cannot say something else than the body', async () => {
    const world = await worldOf({ era: 'modern', act: () => {} }, { headers: { 'Mcp-Name': 'other' } })
    assert.equal(
      problemOf(await world.call({ ...act, definition: { kind: 'tool', name: 'act' } })),
      'not-sent bad-configuration',
    )
  })
})

describe('a lying server over HTTP', () => {
  const lies: readonly (readonly [string, string, WebOptions['act']])[] = [
    [
      'that answers to another id',
      'unknown bad-answer',
      (_heard, response, id) => json(response, { id: id + 1, result: said('x') }),
    ],
    [
      'that answers with a stream that ends early',
      'unknown disconnected',
      (_heard, response) => {
        stream(response)({ method: 'notifications/message', params: {} })
        response.end()
      },
    ],
    [
      'that only ever answers others',
      'unknown disconnected',
      (_heard, response, id) => {
        const write = stream(response)
        write({ id: id + 1, result: said('x') })
        response.end()
      },
    ],
    ['that breaks the connection', 'unknown disconnected', (_heard, response) => void response.destroy()],
    [
      'that breaks off its answer',
      'unknown disconnected',
      (_heard, response) => {
        response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '1000' })
        response.write('{"jsonrpc"')
        setTimeout(() => response.destroy(), 20)
      },
    ],
    [
      'with an answer that is too large',
      'unknown too-large',
      (_heard, response, id) => json(response, { id, result: said('x'.repeat(400_000)) }),
    ],
    [
      'that announces too large an answer',
      'unknown too-large',
      (_heard, response) => {
        response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '999999999' })
        response.write('{')
      },
    ],
    [
      'with an event that is too large',
      'unknown too-large',
      (_heard, response) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' })
        response.write(`data: ${'x'.repeat(400_000)}`)
      },
    ],
    [
      'with a stream without end',
      'unknown too-large',
      (_heard, response) => {
        const write = stream(response)
        const timer = setInterval(
          () => write({ method: 'notifications/message', params: { data: 'x'.repeat(20_000) } }),
          1,
        )
        response.on('close', () => clearInterval(timer))
      },
    ],
    [
      'with duplicate keys',
      'unknown bad-answer',
      (_heard, response, id) => {
        response.writeHead(200, { 'Content-Type': 'application/json' })
        response.end(`{"jsonrpc":"2.0","id":${id},"result":{},"result":{"content":[]}}`)
      },
    ],
    [
      'with duplicate keys in a stream',
      'unknown bad-answer',
      (_heard, response, id) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' })
        response.write(`data: {"jsonrpc":"2.0","id":${id},"result":{"a":1,"a":2}}\n\n`)
      },
    ],
    [
      'with a page instead of an answer',
      'unknown bad-answer',
      (_heard, response) => {
        response.writeHead(200, { 'Content-Type': 'text/html' })
        response.end('<html></html>')
      },
    ],
    [
      'that accepts and says nothing',
      'unknown bad-answer',
      (_heard, response) => void response.writeHead(202).end(),
    ],
    ['that fails inside', 'unknown bad-answer', (_heard, response) => void response.writeHead(502).end()],
    ['that never answers', 'unknown timeout', () => {}],
    [
      'that redirects to a place it chose',
      'not-sent bad-configuration',
      (_heard, response) => void response.writeHead(307, { Location: 'http://169.254.169.254/' }).end(),
    ],
    [
      'that says it cannot take the request',
      'not-sent unreachable',
      (_heard, response) => void response.writeHead(401).end(),
    ],
  ]
  for (const [what, outcome, lie] of lies) {
    test(`${what} gives ${outcome}, and is asked once`, async () => {
      const world = await worldOf(
        { era: 'modern', act: lie },
        { limits: { resultBytes: 100_000, callMs: 300 } },
      )
      assert.equal(problemOf(await world.call(act)), outcome)
      assert.equal(world.web.heard.filter(({ body }) => body.method === 'tools/call').length, 1)
    })
  }

  test('an error of the protocol is an answer, whatever the status', async () => {
    const world = await worldOf({
      era: 'modern',
      act(_heard, response) {
        response.writeHead(400, { 'Content-Type': 'application/json' })
        response.end(
          JSON.stringify({
            jsonrpc: '2.0',
            id: null,
            error: { code: -32602, message: 'no such thing', data: 'x' },
          }),
        )
      },
    })
    assert.deepEqual(await world.call(act), {
      kind: 'error',
      code: -32602,
      message: 'no such thing',
      data: { value: 'x' },
    })
  })

  test('an error about this broker’s own capabilities is not passed off as the agent’s', async () => {
    const error = {
      code: -32021,
      message: 'sampling needed',
      data: { requiredCapabilities: { sampling: {} } },
    }
    const world = await worldOf({
      era: 'modern',
      act: (_heard, response, id) => json(response, { id, error }),
    })
    const answer = await world.call(act)
    assert.ok(answer.kind === 'error')
    assert.equal(answer.code, -32603)
    assert.equal(answer.data, null)
  })

  test('a server that answers a call with its result and says 404 has acted', async () => {
    const refused = (status: number, message?: (id: number) => object) =>
      worldOf({
        era: 'modern',
        act(_heard, response, id) {
          response.writeHead(status, { 'Content-Type': 'application/json' })
          response.end(message === undefined ? '' : JSON.stringify({ jsonrpc: '2.0', ...message(id) }))
        },
      }).then((world) => world.call(act))
    for (const status of [400, 404, 307]) {
      assert.equal(
        problemOf(await refused(status, (id) => ({ id, result: said('done') }))),
        'unknown bad-answer',
      )
      const another = await refused(status, (id) => ({ id: id + 7, error: { code: -32603, message: 'x' } }))
      assert.equal(problemOf(another), 'unknown bad-answer')
    }
    assert.equal(problemOf(await refused(404)), 'not-sent unreachable')
    const failed = await refused(404, (id) => ({ id, error: { code: -32603, message: 'it broke' } }))
    assert.equal(failed.kind, 'error')
  })

  test('where nothing listens nothing was sent', async () => {
    const socket = createServer()
    await new Promise<void>((resolve) => socket.listen(0, '127.0.0.1', resolve))
    const address = socket.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await new Promise((resolve) => socket.close(resolve))
    const world = createWorld({ web: configure({ url: `http://127.0.0.1:${port}/mcp` }) })
    open.push(world.servers)
    assert.equal(
      problemOf(await world.call({ ...act, definition: { kind: 'tool', name: 'act' } })),
      'not-sent unreachable',
    )
  })
})

describe('a legacy server over HTTP', () => {
  const ok: WebOptions['act'] = (_heard, response, id) =>
    json(response, { id, result: { content: [{ type: 'text', text: 'ok' }] } })

  test('each task has a session of its own, ended with the task', async () => {
    const world = await worldOf({ era: 'legacy', act: ok })
    for (const task of ['t_a', 't_b', 't_a']) assert.equal(textOf(await world.call({ ...act, task })), 'ok')
    const calls = world.web.heard.filter(({ body }) => body.method === 'tools/call')
    const [a, b, again] = calls.map(({ headers }) => headers['mcp-session-id'])
    assert.equal(a, again)
    assert.notEqual(a, b)
    assert.equal(calls[0]?.headers['mcp-protocol-version'], '2025-06-18')
    assert.ok(!('mcp-method' in (calls[0]?.headers ?? {})))
    await world.servers.endTask('t_a')
    const deletes = world.web.heard.filter(({ method }) => method === 'DELETE')
    const ended = new Set(deletes.map(({ headers }) => headers['mcp-session-id']))
    assert.ok(ended.has(a))
    assert.ok(!ended.has(b))
  })

  test('a session that is named at the head of a stream counts', async () => {
    const world = await worldOf({ era: 'legacy', act: ok, streamed: true })
    assert.equal(textOf(await world.call(act)), 'ok')
    assert.match(String(world.web.heard.at(-1)?.headers['mcp-session-id']), /^s\d$/)
  })

  test('a session that the server forgot: nobody knows what became of the call, it is not sent again, and the next one opens another', async () => {
    const forgotten = new Set<string>()
    const world = await worldOf({ era: 'legacy', act: ok, forgotten })
    await world.call(act)
    const session = world.web.heard.at(-1)?.headers['mcp-session-id']
    forgotten.add(String(session))
    const sent = () => world.web.heard.filter(({ body }) => body.method === 'tools/call').length
    const before = sent()
    assert.equal(problemOf(await world.call(act)), 'unknown disconnected')
    assert.equal(sent(), before + 1)
    assert.equal(textOf(await world.call(act)), 'ok')
    assert.notEqual(world.web.heard.at(-1)?.headers['mcp-session-id'], session)
  })

  test('a cancel is said in words: a closed stream means nothing there', async () => {
    const world = await worldOf({ era: 'legacy', act: () => {} })
    await world.servers.catalogue('web')
    const gate = new AbortController()
    const under = world.call({ ...act, signal: gate.signal })
    await until(() => world.web.heard.some(({ body }) => body.method === 'tools/call'))
    gate.abort()
    assert.equal(problemOf(await under), 'unknown cancelled')
    await until(() => world.web.heard.some(({ body }) => body.method === 'notifications/cancelled'))
  })

  test('a question on the stream of a call suspends that call, and the answer is posted', async () => {
    const waiting = new Map<string, (answer: JsonObject) => void>()
    const started = await startWeb({
      era: 'legacy',
      act(_heard, response, id) {
        const write = stream(response)
        const params = { message: 'which?', requestedSchema: { type: 'object', properties: {} } }
        write({ id: 'q1', method: 'elicitation/create', params })
        waiting.set('q1', (answer) =>
          write({ id, result: { content: [{ type: 'text', text: JSON.stringify(answer) }] } }),
        )
      },
    })
    const world = createWorld({ web: configure({ url: started.url }) })
    open.push(world.servers, started)
    const first = await world.call(act)
    assert.ok(first.kind === 'input', JSON.stringify(first))
    const inputResponses = { 'elicitation-1': { action: 'accept', content: { colour: 'red' } } }
    const second = world.call({ ...act, leg: { requestState: first.requestState, inputResponses } })
    await until(() => started.heard.at(-1)?.body.id === 'q1')
    const answer = started.heard.at(-1)?.body.result
    assert.deepEqual(answer, inputResponses['elicitation-1'])
    waiting.get('q1')?.({ got: true })
    assert.equal(textOf(await second), '{"got":true}')
  })
})
