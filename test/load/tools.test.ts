import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createServer, type Server } from 'node:http'
import {
  changesAtOnce,
  createSteadiness,
  demandFewNames,
  mostUnits,
  Unsteady,
} from '../../src/registry/steady.ts'
import { endings, message } from '../attack/play.ts'
import { world, type World } from '../world.ts'
import type { JsonObject } from '../../src/lib/json.ts'

/** A server with very many tools, and one that turns them over and over: others are called meanwhile. */
const ends = endings()
const count = 1_500
let w: World
let token: string
let big: Big
before(async () => {
  big = ends.add(await startBig())
  w = ends.add(await world({ config: { policy: { starter: 'observe' } } }))
  token = await w.token()
})
after(() => ends.close())

type Big = { readonly url: string; change(): void; readonly listed: () => number; close(): Promise<void> }

async function startBig(): Promise<Big> {
  let change = 0
  let listed = 0
  const tool = (n: number): JsonObject => ({
    name: `get_${n}`,
    description: `Reads record ${n} of table ${change}.`,
    inputSchema: { type: 'object', properties: { id: { type: 'string' }, note: { type: 'string' } } },
    annotations: { readOnlyHint: true },
  })
  const resultOf = (method: string, cursor: number): JsonObject => {
    if (method === 'server/discover')
      return { supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, _meta: {} }
    if (method === 'tools/call') return { content: [{ type: 'text', text: 'ok' }], resultType: 'complete' }
    listed += 1
    const more = cursor + 500 < count ? { nextCursor: String(cursor + 500) } : {}
    const tools = Array.from({ length: Math.min(500, count - cursor) }, (_, n) => tool(cursor + n))
    return { tools, ttlMs: 0, cacheScope: 'private', resultType: 'complete', ...more }
  }
  const server: Server = createServer((request, response) => {
    let body = ''
    request.on('data', (data: Buffer) => (body += data.toString()))
    request.on('end', () => {
      const { id, method, params } = JSON.parse(body)
      const result = resultOf(String(method), Number(params?.cursor ?? 0))
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ jsonrpc: '2.0', id, result }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/mcp`,
    change: () => void (change += 1),
    listed: () => listed,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

/** How many calls of another server were answered while `work` was under way. */
async function callsDuring(work: () => Promise<unknown>): Promise<number> {
  let calls = 0
  const loop = { over: false }
  const calling = async (): Promise<void> => {
    while (!loop.over) {
      const { status } = await w.post(message('playground__notes_search', { words: 'a' }), { token })
      assert.equal(status, 200)
      if (!loop.over) calls += 1
    }
  }
  const running = calling()
  await work().finally(() => (loop.over = true))
  await running
  return calls
}

const operate = async (path: string, body: JsonObject = {}): Promise<JsonObject> =>
  (await w.broker.api({ method: 'POST', path, body, level: 'terminal' })).body
const counted = (state: 'quarantined' | 'reviewed'): number =>
  w.broker.core.registry.tools({ server: 'big', state }).length

describe('a server with very many tools', () => {
  test('is listed and quarantined while others are called', async () => {
    const calls = await callsDuring(() => operate('/v1/servers', { name: 'big', config: { url: big.url } }))
    assert.equal(counted('quarantined'), count)
    assert.ok(calls >= 10, `${calls} calls of another server in the meantime`)
  })

  test('that changes all of them is quarantined anew while others are called', async () => {
    const [reviewed] = w.broker.core.registry.tools({ server: 'big' })
    assert.ok(reviewed)
    await w.broker.core.registry.review({ id: reviewed.id, digest: reviewed.digest, overrides: {}, by: { name: 'operator', proof: 'terminal' } }) // prettier-ignore
    assert.equal(counted('reviewed'), 1)
    big.change()
    const calls = await callsDuring(() => operate('/v1/servers/big/refresh'))
    assert.equal(counted('reviewed'), 0)
    assert.ok(calls >= 10, `${calls} calls of another server in the meantime`)
  })

  test('is not listed before every call: a long list rests as long as it cost', async () => {
    const [tool] = w.broker.core.registry.tools({ server: 'big' })
    assert.ok(tool)
    await w.broker.core.registry.review({ id: tool.id, digest: tool.digest, overrides: {}, by: { name: 'operator', proof: 'terminal' } }) // prettier-ignore
    const call = () => w.post(message(`big__${tool.name}`, {}), { token })
    await call()
    const listed = big.listed()
    for (let n = 0; n < 5; n++) assert.match(JSON.stringify((await call()).body), /"ok"/)
    assert.equal(big.listed(), listed, 'its own word of 0 ms is not taken')
  })
})

describe('a server that turns its tools over and over', () => {
  test('has so many changes recorded, then a few a minute', () => {
    let now = 0
    const steadiness = createSteadiness(() => now)
    steadiness.demand('s', changesAtOnce)
    assert.throws(() => steadiness.demand('s', 1), Unsteady)
    steadiness.demand('s', 0)
    steadiness.demand('another', 10_000)
    now += 60_000
    steadiness.demand('s', 1_000)
    assert.throws(() => steadiness.demand('s', 100), Unsteady)
  })

  test('has so many names remembered, withdrawn ones included', () => {
    const definition = (n: number) => ({ kind: 'tool' as const, name: `n${n}` })
    const known = [...Array.from({ length: mostUnits - 1 }).keys()].map((n) => ({
      ...({} as Parameters<typeof demandFewNames>[0][number]),
      id: `s/n${n}`,
    }))
    const catalogue = (...names: number[]) => ({
      server: 's',
      definitions: names.map(definition),
      resources: [],
      capabilities: {},
      serverInfo: {},
      era: 'modern' as const,
      protocolVersion: '2026-07-28',
    })
    const idOf = ({ name }: { readonly name: string }) => `s/${name}`
    demandFewNames(known, catalogue(1, mostUnits), idOf)
    assert.throws(() => demandFewNames(known, catalogue(mostUnits, mostUnits + 1), idOf), Unsteady)
  })
})
