import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { access } from 'node:fs/promises'
import { at, call, endings, folder, operators, refusal, waitNoMore } from './play.ts'
import { destination } from '../../src/server/destination.ts'
import { join } from 'node:path'
import { listen } from './servers/hostile.ts'
import { startRaw } from './servers/raw.ts'
import { world, type World } from '../world.ts'
import type { IncomingMessage } from 'node:http'

/** Incidents 5, 6, 11, 17, 22 and 25: where the broker itself can be made to go, and what it can be made to start. */

const ends = endings()
let w: World
let scratch: Awaited<ReturnType<typeof folder>>
before(async () => {
  scratch = ends.add(await folder())
  w = ends.add(await world({ config: waitNoMore }))
})
after(() => ends.close())

const add = (name: string, config: object) =>
  w.broker.api({ method: 'POST', path: '/v1/servers', body: { name, config }, level: 'terminal' })
const is = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )
/** A web server that keeps what reached it. */
async function watched(
  answer: (request: IncomingMessage) => {
    readonly status: number
    readonly headers?: { readonly [name: string]: string }
  },
) {
  const seen: string[] = []
  const { url, stop } = await listen((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    const { status, headers = {} } = answer(request)
    response.writeHead(status, headers).end()
  })
  ends.add({ close: stop })
  return { url, seen }
}

test('an address that carries a private one inside is not gone to: 6to4, NAT64, site-local, mapped, metadata (incident 22)', async () => {
  const hosts = [
    '[2002:7f00:1::1]',
    '[2002:a00:1::1]',
    '[64:ff9b::7f00:1]',
    '[64:ff9b:1::a00:1]',
    '[fec0::1]',
    '[::ffff:169.254.169.254]',
    '169.254.169.254',
    '10.0.0.1',
    '0.0.0.0',
    '[::]',
    '[fe80::1]',
  ]
  for (const [index, host] of hosts.entries()) {
    const { body } = await add(`closed${index}`, { url: `https://${host}/mcp` })
    assert.equal(body['listed'], false, host)
    assert.match(String(body['problem']), /not public|bad-configuration|loopback/, host)
  }
})

test('plain http, other schemes and passwords in an address lead nowhere', async () => {
  for (const [index, url] of [
    'http://192.0.2.1/mcp',
    'ftp://example.com/',
    'file:///etc/passwd',
    'https://user:pass@example.com/mcp',
    'javascript:alert(1)',
  ].entries()) {
    const { status, body } = await add(`odd${index}`, { url })
    assert.ok(status === 400 || body['listed'] === false, url)
  }
})

test('a name that leads to this machine or its network is refused at the moment of connecting, whatever it said before (incident 22)', async () => {
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '169.254.169.254',
    '::1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::1',
  ]) {
    const made = destination('https://tools.example/mcp', {
      allowPrivate: false,
      resolve: (_, done) =>
        done(null, [
          { address: '93.184.216.34', family: 4 },
          { address, family: address.includes(':') ? 6 : 4 },
        ]),
    })
    assert.ok('lookup' in made)
    const error = await new Promise((resolve) =>
      made.lookup('tools.example', { all: true }, (problem) => resolve(problem)),
    )
    assert.ok(error instanceof Error, address)
  }
})

test('a redirect is not followed, so a public server cannot point the broker at a local port (incident 22)', async () => {
  const inner = await watched(() => ({ status: 200 }))
  const outer = await watched(() => ({ status: 307, headers: { location: `${inner.url}/latest/meta-data` } }))
  const { body } = await add('bouncing', { url: `${outer.url}/mcp` })
  assert.equal(body['listed'], false)
  assert.ok(outer.seen.length > 0)
  assert.deepEqual(inner.seen, [])
})

test('metadata of a server that wants OAuth is not followed: no address from it is fetched and nothing is opened with it (incident 5)', async () => {
  const trap = join(scratch.path, 'opened')
  const bad = await watched(() => ({ status: 200 }))
  const server = await watched(() => ({
    status: 401,
    headers: {
      'www-authenticate': `Bearer resource_metadata="${bad.url}/.well-known/x", authorization_endpoint="http://x/$(touch ${trap})"`,
    },
  }))
  const { body } = await add('oauth', { url: `${server.url}/mcp` })
  assert.equal(body['listed'], false)
  assert.deepEqual(bad.seen, [])
  assert.ok(
    server.seen.every((line) => line === 'POST /mcp' || line === 'GET /mcp' || line === 'DELETE /mcp'),
  )
  assert.equal(await is(trap), false)
})

test('a command to start comes from a proven person alone: not from a key, an agent, a page or an argument (incident 17)', async () => {
  const trap = join(scratch.path, 'started')
  const config = { command: 'touch', args: [trap] }
  assert.equal((await operators(w, 'POST', '/v1/servers', { body: { name: 'evil', config } })).status, 403)
  assert.equal(
    (await operators(w, 'POST', '/v1/servers', { body: { name: 'evil', config }, key: await w.token() }))
      .status,
    401,
  )
  const agents = await fetch(new URL('/v1/servers', w.broker.urls.agents), {
    method: 'POST',
    body: JSON.stringify({ name: 'evil', config }),
  })
  assert.equal(agents.status, 404)
  const client = await w.client()
  await call(client, 'playground__notes_search', { words: 'a', ...config })
  for (const more of [
    { command: 'touch', url: 'http://127.0.0.1/' },
    { command: '' },
    { command: 'touch', shell: true },
    { url: 'http://127.0.0.1/', transport: 'stdio' },
  ])
    assert.equal((await add('evil', more)).status, 400)
  assert.equal(await is(trap), false)
  assert.equal(w.broker.core.registry.record('evil'), null)
})

test('arguments of a command are handed over as they are: no shell reads them (incident 17)', async () => {
  const trap = join(scratch.path, 'shell')
  await add('shelly', {
    command: process.execPath,
    args: ['-e', 'process.exit(1)', `; touch ${trap}`, `$(touch ${trap})`],
  })
  assert.equal(await is(trap), false)
})

test('the command of a reviewed server is exchanged: its tools wait for a review again, though it offers the same (incident 11)', async () => {
  const home = join(scratch.path, 'home')
  const lie = await startRaw(() => undefined)
  ends.add(lie)
  const first = await world({ servers: { server: { url: lie.url } }, config: { ...waitNoMore, home } })
  const [tool] = first.broker.core.registry.tools({ state: 'reviewed' })
  assert.equal(tool?.id, 'server/get_report')
  await first.close()
  const twin = await startRaw(() => undefined)
  ends.add(twin)
  const second = ends.add(
    await world({
      servers: { server: { url: twin.url } },
      config: { ...waitNoMore, home },
      unreviewed: true,
    }),
  )
  assert.equal(second.broker.core.registry.tool('server/get_report')?.state, 'quarantined')
  const client = await second.client()
  assert.equal(refusal(await call(client, 'server__get_report')), 'quarantined')
  assert.equal(
    twin.asked.some(({ method }) => method === 'tools/call'),
    false,
  )
  const act = (await second.entries()).find((entry) => entry['act'] === 'review-withdrawn')
  assert.equal(at(act, 'subject'), 'server/get_report')
})

test('a server that was not registered is nowhere: no address or name in a call brings it in', async () => {
  const lie = await startRaw(() => undefined)
  ends.add(lie)
  const client = await w.client()
  for (const name of [`${lie.url}__get_report`, 'unregistered__get_report', `${lie.url}`])
    assert.equal((await call(client, name).then(refusal, () => 'refused')) === null, false, name)
  assert.deepEqual(lie.asked, [])
})
