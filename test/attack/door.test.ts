import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { at, codeOf, endings, intents, message, ofKind, waitNoMore } from './play.ts'
import { request } from 'node:http'
import { startHostile, type Hostile } from './servers/hostile.ts'
import { world, type World } from '../world.ts'
import { z } from 'zod'

/** Incidents 6, 18 and 21 at the listeners, and requests that two readers would read in two ways. */

const ends = endings()
let w: World
let token: string
let keeper: Hostile
before(async () => {
  keeper = ends.add(
    await startHostile({
      read_it: {
        description: 'Reads it.',
        input: z.object({ words: z.string() }),
        annotations: { readOnlyHint: true },
        run: (_, ctx) => JSON.stringify(ctx.mcpReq._meta ?? {}),
      },
      delete_it: { description: 'Deletes it.', input: z.object({ words: z.string() }) },
    }),
  )
  w = ends.add(await world({ servers: { keeper: { url: keeper.url } }, config: waitNoMore }))
  token = await w.token()
})
after(() => ends.close())

/** As bytes on a socket, with the headers that `fetch` does not let one choose. */
const raw = (base: string, path: string, headers: { readonly [name: string]: string }, body = '{}') =>
  new Promise<{ status: number; text: string }>((resolve, reject) => {
    const url = new URL(path, base)
    const sent = request(
      url,
      { method: 'POST', headers: { 'content-type': 'application/json', ...headers } },
      (response) => {
        let text = ''
        response
          .setEncoding('utf8')
          .on('data', (chunk: string) => (text += chunk))
          .on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      },
    )
    sent.on('error', reject).end(body)
  })

const modern = {
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': '2026-07-28',
  'mcp-method': 'tools/call',
  'mcp-name': 'keeper__read_it',
}
const send = (body: string, headers: { readonly [name: string]: string } = {}) =>
  w.post(body, { token, headers: { 'mcp-method': 'tools/call', 'mcp-name': 'keeper__read_it', ...headers } })
const text = (args = '{"words":"a"}', more = '') => {
  const whole = JSON.stringify(message('keeper__read_it', {}))
  return whole.replace('"arguments":{}', `"arguments":${args}`).replace('"method"', `${more}"method"`)
}
const reached = () => keeper.calls.length

test('a page whose name was rebound to this machine reaches neither listener (incidents 6 and 18)', async () => {
  const good = JSON.stringify(message('keeper__read_it', { words: 'a' }))
  for (const base of Object.values(w.broker.urls)) {
    for (const host of [
      'attacker.test',
      'attacker.test:80',
      '127.0.0.1.attacker.test',
      'localhost.attacker.test',
      '0.0.0.0',
    ])
      assert.equal(
        (await raw(base, '/mcp', { ...modern, host, authorization: `Bearer ${token}` }, good)).status,
        403,
        `${base} ${host}`,
      )
    for (const origin of [
      'https://attacker.test',
      'null',
      'http://localhost.attacker.test',
      'file://',
      'http://127.0.0.1@attacker.test',
    ])
      assert.equal(
        (await raw(base, '/mcp', { ...modern, origin, authorization: `Bearer ${token}` }, good)).status,
        403,
        `${base} ${origin}`,
      )
  }
  assert.equal(reached(), 0)
})

test('a page on this machine’s own loopback adds no server, though it may know the address (incident 6)', async () => {
  const { operators } = w.broker.urls
  const body = JSON.stringify({ name: 'evil', config: { command: 'touch', args: ['/tmp/owned'] } })
  assert.equal(
    (
      await raw(
        operators,
        '/v1/servers',
        { origin: 'http://localhost:6274', authorization: `Bearer ${w.broker.operatorKey}` },
        body,
      )
    ).status,
    403,
  )
  assert.equal((await raw(operators, '/v1/servers', {}, body)).status, 401)
  assert.equal(w.broker.core.registry.record('evil'), null)
})

test('a header sent twice is refused: a proxy in front would believe the other one', async () => {
  const twice = { ...modern, authorization: `Bearer ${token}` }
  const lines = Object.entries(twice).flat()
  const status = await new Promise<number>((resolve, reject) => {
    const url = new URL('/mcp', w.broker.urls.agents)
    const sent = request(
      url,
      {
        method: 'POST',
        headers: [
          ...lines,
          'content-type',
          'application/json',
          'host',
          url.host,
          'mcp-name',
          'keeper__delete_it',
        ],
      },
      (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0))
      },
    )
    sent.on('error', reject).end(text())
  })
  assert.equal(status, 400)
})

test('a body that two parsers would read differently is refused: doubled names, escapes of names, comments, trailing commas, other numbers', async () => {
  const before = reached()
  const bodies = [
    text('{"words":"a","words":"b"}'),
    text('{"words":"a","w\\u006frds":"b"}'),
    text(undefined, '"method":"tools/list",'),
    text().replace('"name":"keeper__read_it"', '"name":"keeper__delete_it","name":"keeper__read_it"'),
    text('{"words":"a",}'),
    text('{"words":"a"/**/}'),
    text("{'words':'a'}"),
    text('{"words":NaN}'),
    text('{"words":"\\ud800"}'),
    `\ufeff${text()}`,
    `${text()}${text()}`,
    `[${text()}]`,
    text('{"words":9007199254740993}'),
  ]
  for (const body of bodies) {
    const { status, body: answer } = await send(body)
    assert.ok(
      status >= 400 || at(answer, 'error') !== undefined || at(answer, 'result', 'isError') === true,
      body.slice(0, 200),
    )
  }
  assert.equal(reached(), before)
})

test('names that differ by case are other names: nothing of them reaches a server that would fold them', async () => {
  const before = reached()
  const { body } = await send(text('{"words":"a","Words":"b"}'))
  assert.equal(codeOf(body), 'bad-arguments')
  const { body: folded } = await send(text(undefined, '"Params":{"name":"keeper__delete_it"},'))
  assert.notEqual(at(folded, 'error'), undefined)
  assert.equal(reached(), before)
})

test('what the server gets is the broker’s own writing of what was judged, with metadata of its own', async () => {
  const spaced = text('{ "words" :\t"\\u0061" }').replace(
    '"_meta":{',
    '"_meta":{"attacker/key":"smuggled","progressToken":"p",',
  )
  const { body } = await send(spaced)
  assert.deepEqual(keeper.calls.at(-1), { tool: 'read_it', args: { words: 'a' } })
  const seen = String(at(body, 'result', 'content', 0, 'text'))
  assert.doesNotMatch(seen, /smuggled|"name":"test"/)
})

test('a header that names a harmless tool does not carry a body that names another', async () => {
  const before = reached()
  const { body } = await w.post(message('keeper__delete_it', { words: 'a' }), {
    token,
    headers: { 'mcp-name': 'keeper__read_it' },
  })
  assert.equal(at(body, 'error', 'code'), -32020)
  const other = await w.post(message('keeper__delete_it', { words: 'a' }), {
    token,
    headers: { 'mcp-method': 'tools/list' },
  })
  assert.equal(at(other.body, 'error', 'code'), -32020)
  assert.equal(reached(), before)
})

test('an unknown method, server or path is refused and never passed on', async () => {
  const before = reached()
  for (const method of [
    'tools/Call',
    'tools/call ',
    'tasks/get',
    'logging/setLevel',
    'sampling/createMessage',
    'x',
  ])
    assert.notEqual(
      at(
        (
          await w.post(
            { ...message('keeper__read_it', { words: 'a' }), method },
            { token, headers: { 'mcp-method': method.trim() } },
          )
        ).body,
        'error',
      ),
      undefined,
      method,
    )
  for (const path of [
    '/mcp/nowhere',
    '/mcp/keeper/../keeper2',
    '/mcp/',
    '/MCP',
    '/mcp/keeper/x',
    '/http://attacker.test/',
    '/v1/status',
    '/.well-known/oauth-authorization-server',
  ]) {
    const answer = await w.post(message('read_it', { words: 'a' }), { token, path })
    assert.ok(
      answer.status >= 400 ||
        at(answer.body, 'error') !== undefined ||
        at(answer.body, 'result', 'isError') === true,
      path,
    )
  }
  assert.equal(reached(), before)
})

test('a name that lies about its server finds no other server’s tool', async () => {
  const before = reached()
  for (const name of [
    'keeper__keeper__read_it',
    '__read_it',
    'keeper__',
    'keeper/read_it',
    'KEEPER__read_it',
    'keeper__read_it\u200b',
    'keeper__READ_IT',
  ])
    assert.notEqual(
      codeOf(
        (
          await w.post(message(name, { words: 'a' }), {
            token,
            headers: { 'mcp-name': `=?base64?${Buffer.from(name).toString('base64')}?=` },
          })
        ).body,
      ),
      undefined,
      name,
    )
  assert.equal(reached(), before)
})

test('a body without end is cut off, and the next request is answered', async () => {
  const huge = text(`{"words":"${'a'.repeat(5 * 1024 * 1024)}"}`)
  assert.equal((await send(huge).catch(() => ({ status: 413 }))).status, 413)
  const deep = text(`{"words":${'['.repeat(5_000)}${']'.repeat(5_000)}}`)
  assert.notEqual(at((await send(deep)).body, 'error'), undefined)
  assert.equal(codeOf((await send(text())).body), undefined)
})

test('every call that the path refuses leaves an entry, an invented tool too', async () => {
  const before = (await ofKind(w, 'refused')).length
  await w.post(message('keeper__nothing', {}), { token })
  await w.post(message('keeper__read_it', { words: 1 }), { token })
  const entries = (await ofKind(w, 'refused')).slice(before)
  assert.deepEqual(
    entries.map((entry) => entry['code']),
    ['unknown-tool', 'bad-arguments'],
  )
  assert.equal(entries[0]?.['wanted'], 'call keeper/nothing')
  assert.equal(await intents(w, 'keeper/nothing'), 0)
})
