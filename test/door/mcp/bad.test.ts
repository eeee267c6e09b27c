import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import * as fc from 'fast-check'
import { alpha, meta, modern, post, start, taskOf, tool, type Answer, type Harness } from './harness.ts'
import type { JsonObject } from '../../../src/lib/json.ts'

/** Every bad input gets a clear error, reaches no path, and the next good request is served. */
let h: Harness
beforeEach(async () => {
  h = await start({}, { bodyBytes: 10_000 })
})
afterEach(async () => {
  const arrivals = h.arrivals.length
  const alive = await modern(`${h.url}/mcp`, 'tools/call', { name: 'files__read_file' })
  await h.stop()
  assert.equal(alive.status, 200, 'the process serves on')
  assert.equal(h.arrivals.length, arrivals + 1)
})

const errorOf = (answer: Answer): [number, unknown, string] => {
  const error = answer.body['error'] as { code?: number; message?: string } | undefined
  return [answer.status, error?.code, error?.message ?? '']
}

async function refused(answer: Promise<Answer>, status: number, code: number, words: RegExp): Promise<void> {
  const [gotStatus, gotCode, message] = errorOf(await answer)
  assert.deepEqual([gotStatus, gotCode], [status, code], message)
  assert.match(message, words)
  assert.equal(h.arrivals.length, 0)
}

const url = () => `${h.url}/mcp`
const call = (params: JsonObject = {}): JsonObject => ({
  jsonrpc: '2.0',
  id: 7,
  method: 'tools/call',
  params: { name: 'files__read_file', _meta: meta(), ...params },
})
const headers = {
  'mcp-protocol-version': '2026-07-28',
  'mcp-method': 'tools/call',
  'mcp-name': 'files__read_file',
}

describe('bytes that are no message', () => {
  const cases: readonly [string, string, number, RegExp][] = [
    ['malformed JSON', '{"jsonrpc":', -32700, /not strict JSON.*at character/],
    ['an empty body', '', -32700, /not strict JSON/],
    [
      'the same name twice',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}',
      -32700,
      /each name once/,
    ],
    [
      'the same name twice, escaped',
      '{"jsonrpc":"2.0","id":1,"method":"ping","m\\u0065thod":"tools/call"}',
      -32700,
      /each name once/,
    ],
    [
      'an integer that parsers read differently',
      '{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}',
      -32700,
      /2\^53/,
    ],
    ['a lone surrogate', '{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', -32700, /surrogates/],
    ['something after the end', '{"jsonrpc":"2.0","id":1,"method":"ping"} {}', -32700, /expected the end/],
    ['deep nesting', `${'['.repeat(200)}${']'.repeat(200)}`, -32700, /levels of nesting/],
    ['a batch', '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600, /batches are not accepted/],
    ['a number', '5', -32600, /expected a JSON-RPC message/],
    ['another version', '{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600, /expected `jsonrpc`/],
    ['an id of null', '{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, /expected `id`/],
    ['an id with a fraction', '{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600, /expected `id`/],
    [
      'parameters by position',
      '{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}',
      -32600,
      /expected `params`/,
    ],
    [
      'a stray member',
      '{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}',
      -32600,
      /no member `Method`/,
    ],
    ['a method that is no text', '{"jsonrpc":"2.0","id":1,"method":{}}', -32600, /expected `method`/],
    [
      'a response with both',
      '{"jsonrpc":"2.0","id":1,"result":{},"error":{}}',
      -32600,
      /one of `result` and `error`/,
    ],
  ]
  for (const [name, body, code, words] of cases)
    test(name, () => refused(post(url(), body), 400, code, words))

  test('bytes that are not UTF-8', async () => {
    const response = await fetch(url(), {
      method: 'POST',
      headers: { authorization: `Bearer ${alpha.token}`, 'content-type': 'application/json' },
      body: Buffer.from([0x7b, 0xff, 0x7d]),
    })
    assert.match(`${response.status} ${await response.text()}`, /^400 .*UTF-8/)
  })

  test('a body that is too large', () =>
    refused(
      post(url(), call({ arguments: { a: 'x'.repeat(20_000) } }), headers),
      413,
      -32600,
      /at most 10000 bytes/,
    ))
  test('another content type', () =>
    refused(
      post(url(), call(), { ...headers, 'content-type': 'text/plain' }),
      415,
      -32600,
      /expected `Content-Type: application\/json`/,
    ))
})

describe('who asks and from where', () => {
  test('no token is 401, says how to send one, and names no metadata', async () => {
    const answer = await post(url(), { jsonrpc: '2.0', id: 1, method: 'tools/list' }, { authorization: null })
    assert.deepEqual(errorOf(answer).slice(0, 2), [401, 6101])
    assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer .*error="invalid_token"/)
    assert.doesNotMatch(answer.headers.get('www-authenticate') ?? '', /resource_metadata/)
  })

  test('a token in another form, scheme or place is no token', async () => {
    for (const authorization of [
      `Basic ${alpha.token}`,
      'Bearer',
      'Bearer a b',
      `Bearer ${alpha.token},Bearer x`,
    ]) {
      assert.equal((await post(url(), call(), { ...headers, authorization })).status, 401, authorization)
    }
    assert.equal(
      (await post(`${url()}?access_token=${alpha.token}`, call(), { ...headers, authorization: null }))
        .status,
      401,
    )
    h.arrivals.length = 0
  })

  test('a stranger’s call goes to the path, which records it, and learns nothing else', async () => {
    const answer = await post(url(), call(), { ...headers, authorization: 'Bearer stranger' })
    assert.equal(answer.status, 401)
    assert.doesNotMatch(answer.text, /secret-reason/)
    assert.deepEqual(
      h.arrivals.map((arrival) => arrival.wanted.name),
      ['read_file'],
    )
  })

  test('a revoked token is 401', async () => {
    h.revoked.add(alpha.token)
    assert.deepEqual(errorOf(await modern(url(), 'tools/list')).slice(0, 2), [401, 6102])
    h.revoked.clear()
  })

  test('a wrong origin is 403 whatever else is right', async () => {
    assert.equal((await post(url(), call(), { ...headers, origin: 'https://evil.example' })).status, 403)
    assert.equal((await post(url(), call(), { ...headers, origin: 'null' })).status, 403)
  })

  test('a closed task, somebody else’s and none are refused by name, not by 401', async () => {
    h.tasks.set('t_alpha', taskOf(alpha, { state: 'closed' }))
    assert.deepEqual(errorOf(await modern(url(), 'tools/list')).slice(0, 2), [200, 6202])
    h.tasks.set('t_alpha', taskOf({ ...alpha, agent: 'beta' }))
    assert.deepEqual(errorOf(await modern(url(), 'tools/list')).slice(0, 2), [200, 6201])
    h.tasks.delete('t_alpha')
    assert.deepEqual(errorOf(await modern(url(), 'server/discover')).slice(0, 2), [200, 6201])
  })
})

describe('headers and envelope of 2026-07-28', () => {
  const cases: readonly [
    string,
    JsonObject,
    { readonly [name: string]: string | null },
    number,
    number,
    RegExp,
  ][] = [
    [
      'another method in the header',
      call(),
      { ...headers, 'mcp-method': 'tools/list' },
      400,
      -32020,
      /`Mcp-Method`/,
    ],
    [
      'no method in a header',
      call(),
      { ...headers, 'mcp-method': null },
      400,
      -32020,
      /`Mcp-Method: tools\/call`; it is absent/,
    ],
    ['another case of the method', call(), { ...headers, 'mcp-method': 'Tools/Call' }, 400, -32020, /differ/],
    [
      'another name in the header',
      call(),
      { ...headers, 'mcp-name': 'mail__send' },
      400,
      -32020,
      /`Mcp-Name` and `params.name` differ/,
    ],
    ['no name in a header', call(), { ...headers, 'mcp-name': null }, 400, -32020, /it is absent/],
    [
      'a name with broken Base64',
      call(),
      { ...headers, 'mcp-name': '=?base64?!!!?=' },
      400,
      -32020,
      /not valid Base64/,
    ],
    [
      'no version in a header',
      call(),
      { ...headers, 'mcp-protocol-version': null },
      400,
      -32020,
      /MCP-Protocol-Version: 2026-07-28/,
    ],
    [
      'another version in the header',
      call(),
      { ...headers, 'mcp-protocol-version': '2025-11-25' },
      400,
      -32020,
      /names `2025-11-25`/,
    ],
    [
      'a modern header without envelope',
      { jsonrpc: '2.0', id: 7, method: 'tools/list' },
      { 'mcp-protocol-version': '2026-07-28' },
      400,
      -32602,
      /expected `params._meta`/,
    ],
    [
      'an initialize with a modern header',
      { jsonrpc: '2.0', id: 7, method: 'initialize', params: {} },
      { 'mcp-protocol-version': '2026-07-28' },
      400,
      -32020,
      /before 2026-07-28/,
    ],
    [
      'an envelope without capabilities',
      call({ _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } }),
      headers,
      400,
      -32602,
      /clientCapabilities/,
    ],
    [
      'a version that is no text',
      call({ _meta: { ...meta(), 'io.modelcontextprotocol/protocolVersion': 5 } }),
      headers,
      400,
      -32602,
      /to be a text/,
    ],
    [
      'a version that does not exist',
      call({ _meta: { ...meta(), 'io.modelcontextprotocol/protocolVersion': '2099-01-01' } }),
      { ...headers, 'mcp-protocol-version': '2099-01-01' },
      400,
      -32022,
      /not spoken here/,
    ],
    [
      'a client without a name',
      call({ _meta: { ...meta(), 'io.modelcontextprotocol/clientInfo': {} } }),
      headers,
      400,
      -32602,
      /`name` and `version`/,
    ],
  ]
  for (const [name, body, given, status, code, words] of cases)
    test(name, () => refused(post(url(), body, given), status, code, words))

  test('an unsupported version is told which ones are spoken', async () => {
    const { body } = await post(
      url(),
      call({ _meta: { ...meta(), 'io.modelcontextprotocol/protocolVersion': '2099-01-01' } }),
      { ...headers, 'mcp-protocol-version': null },
    )
    assert.deepEqual((body['error'] as JsonObject)['data'], {
      supported: ['2026-07-28'],
      requested: '2099-01-01',
    })
    assert.equal(body['id'], 7)
  })

  for (const method of [
    'initialize',
    'ping',
    'logging/setLevel',
    'resources/subscribe',
    'tasks/get',
    'sampling/createMessage',
    '__proto__',
    'constructor',
  ]) {
    test(`the method ${method} is not one of this revision`, () =>
      refused(modern(url(), method), 404, -32601, /not one of revision 2026-07-28/))
  }

  test('a mirrored argument that is missing, different or badly encoded in the header', async () => {
    h.tools = [
      ...h.tools,
      tool('mail', 'post', {
        inputSchema: { type: 'object', properties: { to: { type: 'string', 'x-mcp-header': 'To' } } },
      }),
    ]
    const send = (to: string | null) =>
      modern(
        url(),
        'tools/call',
        { name: 'mail__post', arguments: { to: 'a@b' } },
        { headers: to === null ? {} : { 'mcp-param-to': to } },
      )
    await refused(send(null), 400, -32020, /`Mcp-Param-To` to repeat the argument `to`; it is absent/)
    await refused(send('c@d'), 400, -32020, /`Mcp-Param-To` and the argument `to` differ/)
    await refused(send('=?base64?YUBi?'), 400, -32020, /differ/)
    await refused(send('=?base64?YUB?='), 400, -32020, /not valid Base64/)
    assert.equal((await send('=?base64?YUBi?=')).status, 200)
    h.arrivals.length = 0
  })
})

describe('parameters of the wrong type', () => {
  const cases: readonly [string, string, JsonObject, RegExp][] = [
    ['a tool without a name', 'tools/call', {}, /`params.name`/],
    [
      'arguments that are a list',
      'tools/call',
      { name: 'files__read_file', arguments: [] },
      /`params.arguments` to be an object/,
    ],
    [
      'a prompt’s argument that is a number',
      'prompts/get',
      { name: 'files__greet', arguments: { a: 1 } },
      /argument of a prompt to be a text/,
    ],
    ['a read without URI', 'resources/read', { uri: 5 }, /`params.uri`/],
    [
      'a completion of nothing',
      'completion/complete',
      { argument: { name: 'a', value: 'b' }, ref: { type: 'ref/tool' } },
      /`params.ref`/,
    ],
    [
      'a completion without argument',
      'completion/complete',
      { ref: { type: 'ref/prompt', name: 'files__greet' } },
      /`params.argument`/,
    ],
    ['a cursor of another list', 'tools/list', { cursor: 'abc' }, /`cursor` is not one of this list/],
    ['a subscription to nothing', 'subscriptions/listen', {}, /`params.notifications`/],
    [
      'a subscription with a text for true',
      'subscriptions/listen',
      { notifications: { toolsListChanged: 'yes' } },
      /to be true or false/,
    ],
    [
      'a request state that is no text',
      'tools/call',
      { name: 'files__read_file', requestState: {} },
      /`params.requestState`/,
    ],
    [
      'a request state of someone’s making',
      'tools/call',
      { name: 'files__read_file', requestState: 'v1.AAAA' },
      /not made by this broker/,
    ],
    ['a resume without call', 'tools/call', { name: 'countersign_resume' }, /argument `call`/],
    [
      'a resume of no call id',
      'tools/call',
      { name: 'countersign_resume', arguments: { call: '../../x' } },
      /to be a call id/,
    ],
  ]
  for (const [name, method, params, words] of cases)
    test(name, () => refused(modern(url(), method, params), 200, -32602, words))
})

describe('paths and verbs', () => {
  test('a server that the task may not see and one that does not exist are told alike', async () => {
    h.tasks.set('t_alpha', taskOf(alpha, { tools: ['files/*'] }))
    const [hidden, missing] = [
      await modern(`${h.url}/mcp/mail`, 'tools/list'),
      await modern(`${h.url}/mcp/nothing`, 'tools/list'),
    ]
    assert.deepEqual(hidden.body, missing.body)
    assert.deepEqual(errorOf(hidden).slice(0, 2), [200, -32602])
  })

  test('other paths are 404, other verbs 405', async () => {
    for (const path of ['/', '/mcp/', '/mcp/a/b', '/mcp/..%2f', '/mcp/A', '/mcp/a__b'])
      assert.equal((await post(h.url + path, call())).status, 404, path)
    assert.equal((await fetch(url(), { method: 'PUT' })).status, 405)
    const get = await fetch(url(), {
      headers: { authorization: `Bearer ${alpha.token}`, accept: 'text/event-stream' },
    })
    assert.deepEqual([get.status, get.headers.get('allow')], [405, 'POST'])
    await get.body?.cancel()
  })

  test('a notification is taken and means nothing; with a false header it is refused', async () => {
    const note = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }
    assert.equal((await post(url(), note, { 'mcp-protocol-version': '2026-07-28' })).status, 202)
    assert.equal(
      (await post(url(), note, { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call' })).status,
      400,
    )
  })
})

describe('anything at all', () => {
  const word = fc.constantFrom(
    'tools/call',
    'resources/read',
    'prompts/get',
    'completion/complete',
    'tools/list',
    'server/discover',
    'initialize',
    'ping',
    'subscriptions/listen',
  )
  const params = fc.dictionary(
    fc.constantFrom(
      'name',
      'uri',
      'arguments',
      'cursor',
      'ref',
      'argument',
      'context',
      'requestState',
      'inputResponses',
      'notifications',
      'protocolVersion',
    ),
    fc.jsonValue(),
  )

  test('is answered, never with 500 (property)', async () => {
    await fc.assert(
      fc.asyncProperty(word, params, fc.boolean(), async (method, given, isModern) => {
        const body = JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method,
          params: isModern ? { ...given, _meta: meta() } : given,
        })
        const name = (given as JsonObject)['name'] ?? (given as JsonObject)['uri']
        const mirrored =
          typeof name === 'string' ? { 'mcp-name': `=?base64?${Buffer.from(name).toString('base64')}?=` } : {}
        const { status } = await post(
          url(),
          body,
          isModern
            ? {
                'mcp-protocol-version': '2026-07-28',
                'mcp-method': method,
                accept: 'application/json',
                ...mirrored,
              }
            : {},
        )
        assert.ok(status < 500 || status === 503, `${status}`)
      }),
      { numRuns: 150 },
    )
  })

  test('of bytes is answered, never with 500 (property)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.json(), fc.string()), async (body) => {
        const { status } = await post(url(), body)
        assert.ok(status >= 400 && status < 500, `${status}`)
      }),
      { numRuns: 60 },
    )
  })
})
