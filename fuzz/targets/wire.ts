import { canaries, meta, openWorld, type World } from '../world.ts'
import { canonical } from '../../src/lib/jcs.ts'
import { frame, send, type Answer, type Framed, type Sent } from '../raw.ts'
import { isJsonObject, type Json, type JsonObject } from '../../src/lib/json.ts'
import { bytes, hold, Violation, type Input, type Target } from '../target.ts'

/**
 * The agents' door: raw bytes on a real socket, with the real broker behind it. `%TOKEN%`, `%SESSION%`, `%STATE%` and so
 * on stand for what the attacking agent has, `%LENGTH%` for the length of the body, `%NEXT%` ends one request and begins
 * another on the same connection.
 */
export async function open(): Promise<Target> {
  const world = await openWorld()
  const own: Own = { session: '', state: '', call: '', note: '', count: 0 }
  await renew(world, own)
  return {
    atOnce: 16,
    most: 8192,
    words,
    seeds: seeds.map(bytes),
    run: (input) => run(world, own, input),
    settle: () => world.settle(),
    close: () => world.close(),
  }
}

type Own = { session: string; state: string; call: string; note: string; count: number }

const request = (method: string, params: JsonObject, id: Json = 1): JsonObject => ({
  jsonrpc: '2.0',
  id,
  method,
  params: { ...params, _meta: meta },
})

/** A session, a state and a call that waits, all the attacker's own; asks are answered so that new ones may come. */
async function renew(world: World, own: Own): Promise<void> {
  await world.answerAsks()
  const opened = await world.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: { elicitation: {} }, clientInfo: { name: 'a', version: '1' } } })
  own.note = `note ${own.count}`
  const waiting = await world.post(request('tools/call', { name: 'up__write_note', arguments: { text: own.note } }))
  const status = await world.post(request('tools/call', { name: 'countersign_status', arguments: {} }))
  own.session = opened.session ?? own.session
  own.state = /"requestState":"([^"]+)"/.exec(JSON.stringify(waiting.body))?.[1] ?? own.state
  own.call = /c_[0-9A-Za-z]{22}/.exec(JSON.stringify(status.body))?.[0] ?? own.call
} // prettier-ignore

async function run(world: World, own: Own, input: Input): Promise<void> {
  own.count += 1
  if (own.count % 200 === 0) await renew(world, own)
  const mark = `mk${own.count}mk`
  const sending = fill(input, {
    TOKEN: await world.token(),
    SESSION: own.session,
    STATE: own.state,
    CALL: own.call,
    NOTE: own.note,
    OTHERSESSION: world.neighbour.session,
    OTHERSTATE: world.neighbour.state,
    OTHERCALL: world.neighbour.call,
    OTHERTASK: world.neighbour.task,
    MARK: mark,
    HOST: new URL(world.broker.urls.agents).host,
  })
  const framing = frame(sending)
  const reachedBefore = world.upstream.reached.length
  const expected = Math.max(1, framing.requests.length)
  const sent = await send(Number(new URL(world.broker.urls.agents).port), sending, {
    expected,
    patienceMs: framing.requests.length > 0 ? 400 : 60,
  })
  checkAnswers(sent, mark, world)
  checkFraming(sent, framing)
  for (const [index, answer] of sent.answers.entries()) checkOne(answer, framing.requests[index])
  // Calls of others run beside this one, so that only the bytes themselves tell whose they are.
  for (const reached of world.upstream.reached.slice(reachedBefore)) checkReached(reached.body)
  const [fault] = world.faults.splice(0)
  if (fault !== undefined) throw fault instanceof Error ? fault : new Violation('a fault that is no error')
}

/** Placeholders first, then the length of what came out. */
function fill(input: Input, puts: { readonly [name: string]: string }): Buffer {
  const words = Buffer.from(input).toString('latin1')
  const parts = words.split('%NEXT%').map((part) => {
    const filled = part.replace(/%([A-Z]+)%/g, (all, name: string) => (Object.hasOwn(puts, name) ? (puts[name] ?? '') : all))
    const body = filled.slice(Math.max(0, filled.indexOf('\r\n\r\n') + 4))
    return filled.replaceAll('%LENGTH%', String(body.length))
  })
  return Buffer.from(parts.join(''), 'latin1')
} // prettier-ignore

/** All that the door says: 5xx is 503 alone, and only with a word on when to come back. */
const statuses = new Set([
  100, 200, 202, 204, 400, 401, 403, 404, 405, 406, 408, 409, 413, 415, 417, 429, 431, 503,
])

function checkAnswers({ answers, text }: Sent, mark: string, world: World): void {
  for (const { status, headers, body } of answers) {
    hold(statuses.has(status), 'an answer has a status that is ours', () => `${status} ${body}`)
    if (status === 503) hold(headers.has('retry-after'), 'a 503 says when to come back', () => body)
  }
  for (const [name, canary] of Object.entries(canaries))
    hold(!text.includes(canary) && !text.includes(Buffer.from(canary).toString('base64').slice(0, -4)) && !text.includes(Buffer.from(canary).toString('hex')), `no answer holds the canary: ${name}`, () => text)
  const inner = text.replaceAll(mark, '')
  hold(!/mk\d+mk/.test(inner), 'no answer holds bytes of another request', () => text)
  hold(!text.includes(world.home), 'no answer holds a path of this machine')
  hold(!/\bat (?:[\w.<>]+ )?\(?(?:file:|node:|\/)[^\s)]+:\d+:\d+/.test(text), 'no answer holds a stack', () => text)
} // prettier-ignore

/** A server that frames otherwise than whoever stands before it lets one request hide in another (smuggling). */
function checkFraming({ answers, closed }: Sent, { requests, rest }: ReturnType<typeof frame>): void {
  const served = answers.filter(({ status }) => status >= 200 && status < 300).length
  const shown = (): string => JSON.stringify([answers.map(({ status }) => status), requests.length, rest])
  hold(served <= requests.length, 'nothing is served beyond what can be framed in one way', shown)
  if (rest === 'unclear' && answers.length > requests.length)
    hold(answers.at(-1)?.status === 400 || closed, 'what is framed unclearly ends the connection', shown)
}

function checkOne(answer: Answer, of: Framed | undefined): void {
  const mirrors = of?.headers.flatMap(([name]) => (name.startsWith('mcp-') ? [name] : [])) ?? []
  hold(new Set(mirrors).size === mirrors.length || answer.status >= 400, 'a mirrored header stands once')
  const asked = of === undefined ? null : jsonOf(of.body)
  if (answer.status >= 300 || !isJsonObject(asked)) return
  for (const said of messagesOf(answer)) {
    if (said['jsonrpc'] !== '2.0' || said['method'] !== undefined) continue
    hold(said['id'] === asked['id'], 'an answer has the id of its request', () =>
      JSON.stringify([said['id'], asked]),
    )
    const { method, params } = asked
    const echoed = echo(said['result'])
    if (method !== 'tools/call' || !isJsonObject(params) || echoed === null) continue
    // What the agent wrote, what was judged, and what the server read are one.
    const wrote = isJsonObject(params['arguments']) ? params['arguments'] : {}
    const shown = (): string => JSON.stringify([echoed, wrote])
    hold(canonical(echoed) === canonical(wrote), 'I8: the server reads what the agent wrote', shown)
  }
}

/** The JSON-RPC messages in an answer, plain or as events. */
function messagesOf({ headers, body }: Answer): readonly JsonObject[] {
  const type = headers.get('content-type') ?? ''
  const texts =
    type === 'application/json'
      ? [body]
      : [...body.matchAll(/^data: (\{.*)$/gm)].map((match) => match[1] ?? '')
  return texts.flatMap((words) => {
    const parsed = jsonOf(Buffer.from(words))
    return isJsonObject(parsed) ? [parsed] : []
  })
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return null
  }
}

function echo(result: Json | undefined): JsonObject | null {
  const shown = isJsonObject(result) ? result['structuredContent'] : undefined
  const args = isJsonObject(shown) ? shown['arguments'] : undefined
  return isJsonObject(args) ? args : null
}

/** What is sent is our own serialisation, with `_meta` made anew. */
function checkReached(body: string): void {
  const message: { readonly params?: { readonly _meta?: object } } = JSON.parse(body)
  hold(JSON.stringify(message) === body, 'I8: what is sent is our own serialisation', () => body)
  const names = Object.keys(message.params?._meta ?? {})
  const known = names.every((name) => name.startsWith('io.modelcontextprotocol/') || ['progressToken', 'traceparent', 'tracestate'].includes(name))
  hold(known, 'I8: `_meta` is made anew', () => names.join())
} // prettier-ignore

const head = (method: string, path = '/mcp', more = ''): string =>
  `${method} ${path} HTTP/1.1\r\nHost: %HOST%\r\n${more}`
const json =
  'Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nAuthorization: Bearer %TOKEN%\r\n'
const modern = (method: string, name?: string): string =>
  `MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: ${method}\r\n${name === undefined ? '' : `Mcp-Name: ${name}\r\n`}`
const post = (body: JsonObject | string, more: string, path = '/mcp'): string => {
  const words = typeof body === 'string' ? body : JSON.stringify(body)
  return `${head('POST', path, json + more)}Content-Length: %LENGTH%\r\n\r\n${words}`
}
const call = (name: string, args: JsonObject, more: JsonObject = {}, path = '/mcp'): string =>
  post(
    request('tools/call', { name, arguments: args, ...more }),
    modern('tools/call', name) +
      (typeof args['region'] === 'string' ? `Mcp-Param-Region: ${args['region']}\r\n` : ''),
    path,
  )
const legacy = (body: JsonObject): string => post(body, 'Mcp-Session-Id: %SESSION%\r\n')
const echoing = JSON.stringify(request('tools/call', { name: 'up__echo', arguments: { text: '%MARK%' } }))
const chunked = (body: string): string => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`

const seeds = [
  call('up__echo', { text: '%MARK%', data: { __proto__x: [1, 2.5, null] }, region: 'eu', list: [1, 2] }),
  call('echo', { text: '%MARK%' }, {}, '/mcp/up'),
  call('up__write_note', { text: '%MARK%' }),
  call('up__leak', { form: 'base64' }),
  call('up__leak', { form: 'hex' }),
  call('up__ask_me', {}),
  call('up__fail', { code: -32002 }),
  call('up__write_note', { text: '%NOTE%' }, { requestState: '%STATE%' }),
  call('up__write_note', { text: 'note' }, { requestState: '%OTHERSTATE%' }),
  call('up__ask_me', {}, { requestState: 'x', inputResponses: { q: { action: 'accept', content: { a: 1 } } } }),
  call('countersign_resume', { call: '%CALL%' }),
  call('countersign_resume', { call: '%OTHERCALL%' }),
  call('countersign_status', {}),
  call('countersign_status', { call: '%OTHERCALL%' }),
  ...['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', 'server/discover'].map((method) => post(request(method, {}), modern(method))),
  post(request('tools/list', { cursor: 'v1.AAAA' }), modern('tools/list')),
  post(request('resources/read', { uri: 'countersign+up:memo:///one' }), modern('resources/read', 'countersign+up:memo:///one')),
  post(request('prompts/get', { name: 'up__greet', arguments: { who: '%MARK%' } }), modern('prompts/get', 'up__greet')),
  post(request('completion/complete', { ref: { type: 'ref/prompt', name: 'up__greet' }, argument: { name: 'who', value: 'a' } }), modern('completion/complete')),
  post(request('subscriptions/listen', { notifications: { toolsListChanged: true } }), modern('subscriptions/listen')),
  post({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'a', version: '1' } } }, ''),
  legacy({ jsonrpc: '2.0', id: '%MARK%', method: 'tools/call', params: { name: 'up__echo', arguments: { text: '%MARK%' }, _meta: { progressToken: 1 } } }),
  legacy({ jsonrpc: '2.0', id: 2, method: 'ping' }),
  legacy({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 2 } }),
  legacy({ jsonrpc: '2.0', id: 3, result: {} }),
  legacy({ jsonrpc: '2.0', id: 4, method: 'tools/list' }).replace('%SESSION%', '%OTHERSESSION%'),
  `${head('GET', '/mcp', 'Authorization: Bearer %TOKEN%\r\nMcp-Session-Id: %SESSION%\r\nAccept: text/event-stream\r\n')}\r\n`,
  `${head('DELETE', '/mcp', 'Authorization: Bearer %TOKEN%\r\nMcp-Session-Id: %OTHERSESSION%\r\n')}\r\n`,
  `${head('OPTIONS', '*')}\r\n`,
  `${head('GET', '/healthz')}\r\n`,
  `${head('POST', '/token', 'Content-Type: application/x-www-form-urlencoded\r\n')}Content-Length: %LENGTH%\r\n\r\ngrant_type=client_credentials&client_assertion=x`,
  `${head('POST', '/mcp', json + modern('tools/call', 'up__echo'))}Transfer-Encoding: chunked\r\n\r\n${chunked(echoing)}`,
  // Smuggling: two lengths, a length and a coding, folded and doubled fields, a bare line feed.
  `${head('POST', '/mcp', json + modern('tools/call', 'up__echo'))}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(echoing)}`,
  `${head('POST', '/mcp', json + modern('tools/call', 'up__echo'))}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n${chunked(echoing)}`,
  `${head('POST', '/mcp', json)}Transfer-Encoding: xchunked\r\n\r\n${chunked(echoing)}`,
  post(echoing, `${modern('tools/call', 'up__echo')}Content-Length: 0\r\n`),
  post(echoing, `${modern('tools/call')}Mcp-Name: up__echo\r\nMcp-Name: up__write_note\r\n`),
  post(JSON.stringify(request('tools/call', { name: 'up__echo', arguments: { region: 'eu, us' } })), `${modern('tools/call', 'up__echo')}Mcp-Param-Region: eu\r\nMcp-Param-Region: us\r\n`),
  post(echoing, `${modern('tools/call', 'up__echo')}X-Fold: a\r\n b\r\n`),
  post(echoing, `${modern('tools/call', 'up__echo')}X: a\nContent-Length: 0\r\n`),
  `${call('up__echo', { text: '%MARK%' })}%NEXT%${call('up__echo', { list: [3] })}%NEXT%${head('GET', '/nowhere')}\r\n`,
  post('{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{}}', modern('tools/call')),
  post('[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]', modern('tools/list')),
  call('up__echo', { text: 'x' }).replace('%TOKEN%', 'eyJhbGciOiJub25lIn0.e30.'),
  call('up__echo', { text: 'x' }).replace('Host: %HOST%', 'Host: rebound.example'),
  call('up__echo', { text: 'x' }).replace('Accept:', 'Origin: http://evil.example\r\nAccept:'),
] // prettier-ignore

const words = ['%TOKEN%', '%SESSION%', '%STATE%', '%CALL%', '%OTHERSESSION%', '%OTHERSTATE%', '%OTHERCALL%', '%OTHERTASK%', '%LENGTH%', '%NEXT%', '%MARK%', '\r\n', '\r\n\r\n', '\n', '\r', ' \r\n', '\r\n ', ': ', ' HTTP/1.1\r\n', ' HTTP/1.0\r\n', ' HTTP/2.0\r\n', 'POST /mcp', 'GET /mcp', 'DELETE', 'HEAD', 'CONNECT a:1', 'Content-Length: 0\r\n', 'Content-Length: -1\r\n', 'Content-Length: +5\r\n', 'Content-Length : 5\r\n', 'Content-Length: 5, 5\r\n', 'Transfer-Encoding: chunked\r\n', 'Transfer-Encoding:\tchunked\r\n', 'Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n', '5;a=b\r\n', 'Expect: 100-continue\r\n', 'Connection: close\r\n', 'Connection: Upgrade\r\nUpgrade: h2c\r\n', 'Content-Encoding: gzip\r\n', 'Content-Type: text/plain\r\n', 'Origin: null\r\n', 'Cookie: a=b\r\n', 'Mcp-Method: tools/list\r\n', 'Mcp-Name: up__leak\r\n', 'Mcp-Param-Region: us\r\n', 'MCP-Protocol-Version: 2025-11-25\r\n', 'Mcp-Session-Id: ', 'Authorization: ', 'Bearer ', 'http://%HOST%/mcp', '//', '/mcp/up', '/mcp/../token', '/token', '/revoke', '/readyz', '/v1/status', '"up__echo"', '"up__leak"', '"up__write_note"', '"countersign_resume"', '"jsonrpc":"2.0"', '"id":null', '"method":', '"params":', '"__proto__":{"x":1}', '"arguments":', '"_meta":', '"requestState":"%STATE%"', '"inputResponses":{}', '"progressToken":1', '"io.modelcontextprotocol/protocolVersion":"2026-07-28"', '\\ud800', '\u0000', '\xff'] // prettier-ignore
