import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { configSchema } from '../../src/config/schema.ts'
import { join } from 'node:path'
import { mkdtemp, rm } from 'node:fs/promises'
import { secretOf } from '../../src/credential/secret.ts'
import { startBroker } from '../../src/broker.ts'
import { startCollector, type Collector, type Received } from './collector.ts'
import { startPlayground } from '../../examples/servers/playground.ts'
import { startTap, type Tap } from './tap.ts'
import { tmpdir } from 'node:os'
import { world, type World } from '../world.ts'
import type { JsonObject } from '../../src/lib/json.ts'

/** A whole broker, a real server behind it and a receiver of OTLP: what people see of one call. */

const client = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' }
const http = { traceId: 'aaaabbbbccccddddeeeeffff00001111', spanId: '1234567890abcdef' }
const traceparent = (of: typeof client, flags = '01'): string => `00-${of.traceId}-${of.spanId}-${flags}`

type Scene = { readonly w: World; readonly collector: Collector; readonly tap: Tap; close(): Promise<void> }

async function scene(traces: JsonObject, mode: 'ok' | 'hang' | 'fail' = 'ok'): Promise<Scene> {
  const collector = await startCollector(mode)
  const playground = await startPlayground({ port: 0 })
  const tap = await startTap(playground.url)
  const w = await world({
    servers: { notes: { url: tap.url } },
    config: {
      policy: { starter: 'observe' },
      observe: { otlp: { endpoint: collector.url, metricsSeconds: 1, timeoutSeconds: 1 }, traces },
    },
  })
  return {
    w,
    collector,
    tap,
    close: async () => {
      await w.close()
      await tap.close()
      await playground.close()
      await collector.close()
    },
  }
}

const search = (id: number, meta: JsonObject = {}, name = 'notes__notes_search') => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: {
    name,
    arguments: { words: 'invoice' },
    _meta: {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
      ...meta,
    },
  },
})

const server = (id: number) => (collector: Collector) =>
  collector.spans().find((span) => span.kind === 2 && span.attributes['jsonrpc.request.id'] === String(id))

const below = (spans: readonly Received[], above: Received): readonly Received[] =>
  spans.filter((span) => span.traceId === above.traceId && span.parentSpanId === above.spanId)

describe('a trace through the broker, when agents may be parents', () => {
  let s: Scene
  before(async () => (s = await scene({ incoming: 'parent' })))
  after(() => s.close())

  it('goes from the client through every stage to the server, one below the other', async () => {
    const sent = search(7, {
      traceparent: traceparent(client),
      tracestate: 'rojo=1',
      baggage: 'person=someone',
    })
    const answer = await s.w.post(sent, {
      token: await s.w.token(),
      headers: { traceparent: traceparent(http), tracestate: 'congo=2', baggage: 'person=someone' },
    })
    assert.equal(answer.status, 200)
    const top = await s.collector.until(server(7))
    const spans = s.collector.spans()
    assert.equal(top.name, 'tools/call notes__notes_search')
    assert.equal(top.traceId, client.traceId)
    assert.equal(top.parentSpanId, client.spanId)
    assert.deepEqual(top.links, [http], 'the transport is linked, the message is the parent')
    assert.equal(top.schemaUrl, 'https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev')
    assert.equal(top.resource['service.name'], 'countersign')
    const [run] = below(spans, top)
    assert.equal(run?.name, 'countersign.call')
    assert.equal(run.attributes['countersign.outcome'], 'ok')
    assert.equal(run.attributes['gen_ai.agent.name'], 'agent')
    const stages = below(spans, run)
    assert.deepEqual(
      stages.map(({ name, kind }) => `${kind} ${name}`),
      [
        '1 countersign.authenticate',
        '1 countersign.bind',
        '1 countersign.catch-up',
        '1 countersign.decide',
        '1 countersign.intend',
        '1 countersign.lend',
        '3 tools/call notes_search',
        '1 countersign.settle',
      ],
    )
    const out = stages.find(({ kind }) => kind === 3)
    const [received] = s.tap.sent('tools/call')
    assert.ok(out !== undefined && received !== undefined)
    const told = `00-${out.traceId}-${out.spanId}-01`
    const meta = received.params['_meta']
    assert.ok(typeof meta === 'object' && meta !== null && 'traceparent' in meta)
    assert.equal(meta['traceparent'], told)
    assert.equal(received.headers['traceparent'], told)
  })

  it('says what the conventions ask for, of the agent and of the server', async () => {
    const top = await s.collector.until(server(7))
    const { 'jsonrpc.request.id': _id, ...said } = top.attributes
    assert.deepEqual(said, {
      'mcp.method.name': 'tools/call',
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': 'notes__notes_search',
      'mcp.protocol.version': '2026-07-28',
      'network.transport': 'tcp',
      'network.protocol.name': 'http',
      'network.protocol.version': '1.1',
      'countersign.server': 'notes',
    })
    const out = s.collector.spans().find(({ kind }) => kind === 3)
    assert.deepEqual(out?.attributes, {
      'mcp.method.name': 'tools/call',
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': 'notes_search',
      'countersign.server': 'notes',
      'network.transport': 'tcp',
      'network.protocol.name': 'http',
      'network.protocol.version': '1.1',
      'server.address': '127.0.0.1',
      'server.port': new URL(s.tap.url).port,
      'mcp.protocol.version': '2026-07-28',
    })
  })

  it('passes neither tracestate nor baggage on, to a server or to the receiver', async () => {
    await s.collector.until(server(7))
    for (const bytes of [s.tap.bytes(), s.collector.bodies.join('\n')])
      for (const word of ['rojo', 'congo', 'baggage', 'someone']) assert.ok(!bytes.includes(word), word)
  })

  it('a refused call is an error with its code, and its parent may not switch it off', async () => {
    const unsampled = traceparent({ ...client, traceId: client.traceId.replaceAll('4', '5') }, '00')
    await s.w.post(search(8, { traceparent: unsampled }, 'notes__nothing'), { token: await s.w.token() })
    const top = await s.collector.until(server(8))
    assert.equal(top.name, 'tools/call', 'a name that nobody registered is the words of the agent')
    assert.equal(top.status, 2)
    assert.deepEqual(
      [top.attributes['error.type'], top.attributes['rpc.response.status_code']],
      ['-32602', '-32602'],
    )
    const [run] = below(s.collector.spans(), top)
    assert.equal(run?.attributes['countersign.refusal.code'], 'unknown-tool')
    assert.equal(run.attributes['error.type'], 'unknown-tool')
  })

  it('what is no trace context to the letter is none', async () => {
    const meta = { traceparent: `${traceparent(client)}-more` }
    await s.w.post(search(9, meta), { token: await s.w.token(), headers: { traceparent: 'nonsense' } })
    const top = await s.collector.until(server(9))
    assert.equal(top.parentSpanId, null)
    assert.deepEqual(top.links, [])
    assert.notEqual(top.traceId, client.traceId)
  })

  it('metrics arrive there, too, under the names of the conventions', async () => {
    const names = await s.collector.until((one) => {
      const found = one.metrics()
      return found.has('mcp.server.operation.duration') ? found : undefined
    })
    for (const name of ['mcp.client.operation.duration', 'countersign.calls', 'countersign.log.size'])
      assert.ok(names.has(name), name)
  })
})

describe('a trace through the broker, as it is when nothing is said', () => {
  let s: Scene
  before(async () => (s = await scene({})))
  after(() => s.close())

  it('is the broker’s own and names that of the agent; no server sees a byte of it', async () => {
    await s.w.post(search(7, { traceparent: traceparent(client) }), {
      token: await s.w.token(),
      headers: { traceparent: traceparent(http) },
    })
    const top = await s.collector.until(server(7))
    assert.equal(top.parentSpanId, null)
    assert.deepEqual(top.links, [client, http])
    for (const id of [...Object.values(client), ...Object.values(http)])
      assert.ok(!s.tap.bytes().includes(id), 'sixteen bytes a call that the agent chooses are a way out')
    const [received] = s.tap.sent('tools/call')
    assert.match(String(received?.headers['traceparent']), new RegExp(`^00-${top.traceId}-`))
  })
})

describe('an agent of a revision with sessions', () => {
  let s: Scene
  before(async () => (s = await scene({})))
  after(() => s.close())

  it('is seen with the revision that it speaks, and its session is counted', async () => {
    const client = await s.w.client({ era: 'legacy' })
    await client.callTool({ name: 'notes__notes_search', arguments: { words: 'x' } })
    const of = (method: string) => (collector: Collector) =>
      collector.spans().find((span) => span.kind === 2 && span.attributes['mcp.method.name'] === method)
    await s.collector.until(of('initialize'))
    const call = await s.collector.until(of('tools/call'))
    assert.equal(call.attributes['mcp.protocol.version'], '2025-11-25')
    assert.equal(call.name, 'tools/call notes__notes_search')
    assert.equal('mcp.session.id' in call.attributes, false, 'whoever holds a token could use it')
    const collected = await s.w.broker.observer.meter.collect()
    const sessions = collected.find(({ name }) => name === 'countersign.sessions.open')
    assert.deepEqual(sessions?.series, [{ labels: {}, value: 1 }])
    await s.w.broker.close()
    const ended = (await s.w.broker.observer.meter.collect()).find(
      ({ name }) => name === 'mcp.server.session.duration',
    )
    assert.equal(ended?.series[0]?.labels['mcp.protocol.version'], '2025-11-25')
  })
})

describe('a receiver that wants a secret', () => {
  it('gets it from the sealed store; one that is missing is a fault of the start', async () => {
    const collector = await startCollector()
    const home = await mkdtemp(join(tmpdir(), 'countersign-receiver-'))
    const config = configSchema.parse({
      home,
      operator: 'operator',
      observe: {
        otlp: {
          endpoint: collector.url,
          metricsSeconds: 1,
          headers: { 'x-api-key': 'Key ${secret:collector}' },
        },
      },
    })
    const faults: string[] = []
    const start = () =>
      startBroker(
        { config, file: null, base: home, digest: 'sha256:test' },
        { ports: { agents: 0, operators: 0 }, onFault: (fault) => void faults.push(String(fault)) },
      )
    try {
      const without = await start()
      assert.match(faults.join(), /countersign secret set collector/)
      await without.core.vault.set('collector', secretOf('a-marked-value'), {
        name: 'operator',
        proof: 'terminal',
      })
      await without.close()
      const sent = collector.headers.length
      const broker = await start()
      await collector.until(({ headers }) => (headers.length > sent ? headers : undefined))
      await broker.close()
      assert.equal(collector.headers.at(-1)?.['x-api-key'], 'Key a-marked-value')
      assert.ok(!collector.bodies.join().includes('a-marked-value'))
    } finally {
      await collector.close()
      await rm(home, { recursive: true, force: true })
    }
  })
})

describe('a receiver that is of no help', () => {
  for (const mode of ['hang', 'fail'] as const) {
    it(`one that would ${mode} takes no call with it, and no stop of the broker`, async () => {
      const s = await scene({}, mode)
      try {
        const token = await s.w.token()
        const calls = Array.from({ length: 40 }, (_, id) => s.w.post(search(id), { token }))
        for (const { body } of await Promise.all(calls)) assert.ok('result' in body, JSON.stringify(body))
        await s.collector.until(({ bodies }) => (bodies.length > 0 ? bodies : undefined))
        await s.w.broker.close()
        assert.deepEqual(s.w.faults, [])
      } finally {
        await s.close()
      }
    })
  }
})
