import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createFlight } from '../../src/observe/flight.ts'
import { createMeter } from '../../src/observe/meter.ts'
import { createUpstreams } from '../../src/observe/upstream.ts'
import { meterProbe } from '../../src/observe/probes.ts'
import { run } from '../../src/call/path.ts'
import { StoreUnavailable } from '../../src/store/ports.ts'
import { watched, type Ended, type Probe } from '../../src/observe/stages.ts'
import { endOf, pathWorld, text, type PathWorld } from '../call/world.ts'
import type { Ports } from '../../src/call/ports.ts'
import type { ServerAnswer } from '../../src/server/answer.ts'
import type { ServerRecord } from '../../src/store/ports.ts'

let w: PathWorld
before(async () => (w = await pathWorld()))
after(() => w.close())

/** Writes down what it is told. */
function notebook() {
  const told: (readonly [string, Ended])[] = []
  const probe: Probe = {
    begin: (stage) => ({ context: null, finish: (ended) => void told.push([stage, ended]) }),
  }
  return { told, probe }
}

const watch = (ports: Ports, probe: Probe): Ports =>
  watched(ports, { probe, upstream: () => ({}), propagate: true })

const answers: { readonly [name: string]: ServerAnswer } = {
  'a result': text('the answer'),
  'an error of the tool': text('no', true),
  'an error of the server': { kind: 'error', code: -32000, message: 'no', data: null },
  'nothing sent': { kind: 'not-sent', problem: 'unreachable', detail: 'no' },
  'no answer': { kind: 'unknown', problem: 'timeout', detail: 'no' },
}

describe('a path that is watched', () => {
  for (const [name, answer] of Object.entries(answers)) {
    it(`ends as one that is not: ${name}`, async () => {
      w.servers.script(() => answer)
      const task = await w.open()
      const token = await w.token(task)
      const { probe } = notebook()
      const seen = await run(watch(w.ports, probe), w.arrival(token, 'files/read', { path: 'a' }))
      const unseen = await run(w.ports, w.arrival(token, 'files/read', { path: 'a' }))
      assert.equal(endOf(seen), endOf(unseen))
      assert.deepEqual('refused' in seen ? null : seen.answer, 'refused' in unseen ? null : unseen.answer)
    })
  }

  it('is told of each stage once, in order, with its end', async () => {
    w.servers.script(() => text('the answer'))
    const token = await w.token(await w.open())
    const { told, probe } = notebook()
    await run(watch(w.ports, probe), w.arrival(token, 'files/read', { path: 'a' }))
    assert.deepEqual(
      told.map(([stage, { end }]) => `${stage} ${end}`),
      [
        'authenticate ok',
        'bind ok',
        'catch-up ok',
        'decide allow',
        'intend intended',
        'lend ok',
        'invoke ok',
        'settle ok',
      ],
    )
  })

  it('a port that fails, fails as before, and that is told, too', async () => {
    const token = await w.token(await w.open())
    // Stages tell this one from others: a watcher that made it another would change the answer.
    const surprise = new StoreUnavailable('the disk is gone')
    const broken = (change: Partial<Ports>) => ({ ...w.ports, ...change })
    const rows: readonly (readonly [string, Ports])[] = [
      ['bind', broken({ tasks: { snapshot: () => Promise.reject(surprise) } })],
      ['intend', broken({ calls: { ...w.ports.calls, intend: () => Promise.reject(surprise) } })],
      ['invoke', broken({ servers: { ...w.ports.servers, invoke: () => Promise.reject(surprise) } })],
      ['settle', broken({ calls: { ...w.ports.calls, settle: () => Promise.reject(surprise) } })],
    ]
    for (const [stage, ports] of rows) {
      const { told, probe } = notebook()
      const seen = await run(watch(ports, probe), w.arrival(token, 'files/read', { path: 'a' }))
      const unseen = await run(ports, w.arrival(token, 'files/read', { path: 'a' }))
      assert.equal(endOf(seen), endOf(unseen), stage)
      assert.ok(
        told.some(([name, { end, error }]) => name === stage && end === 'fault' && error === 'fault'),
        stage,
      )
    }
  })
})

describe('what is counted of a server', () => {
  it('numbers that a server makes up for its errors make no series without end', async () => {
    const meter = createMeter()
    const probe = meterProbe(meter, () => undefined)
    const about = { attributes: { 'mcp.method.name': 'tools/call' } } as const
    for (let code = 1; code <= 500; code += 1) {
      const attributes = { 'rpc.response.status_code': String(code) }
      probe.begin('invoke', about).finish({ end: 'failed', error: String(code), attributes })
    }
    probe.begin('invoke', about).finish({ end: 'failed', error: '-32602' })
    const operations = (await meter.collect()).find(({ name }) => name === 'mcp.client.operation.duration')
    assert.deepEqual(
      operations?.series.map(({ labels }) => labels['error.type']),
      ['_OTHER', '-32602'],
    )
  })

  it('whether it was reached: by its answer, and not when that did not show', () => {
    const heard: string[] = []
    const probe = meterProbe(createMeter(), (server, yes) => void heard.push(`${server} ${yes}`))
    const about = { attributes: { 'countersign.server': 'files' } } as const
    const ends: readonly Ended[] = [
      { end: 'ok' },
      { end: 'failed', error: 'tool_error' },
      { end: 'not-sent', error: 'unreachable' },
      { end: 'unknown', error: 'timeout' },
      { end: 'not-sent', error: 'revoked' },
      { end: 'unknown', error: 'cancelled' },
    ]
    for (const ended of ends) probe.begin('invoke', about).finish(ended)
    assert.deepEqual(heard, ['files true', 'files true', 'files false', 'files false'])
  })

  it('of an address host and port, never a path, a query or a name and password', () => {
    const record = (config: ServerRecord['config'], protocolVersion = '2026-07-28'): ServerRecord => ({
      name: 'files',
      config,
      source: 'config',
      environment: 'development',
      state: 'active',
      view: { resources: [], capabilities: {}, serverInfo: {}, era: 'modern', protocolVersion },
    })
    const said = (config: ServerRecord['config'], version?: string) =>
      createUpstreams(() => record(config, version))('files')
    assert.deepEqual(said({ url: 'https://me:pass@tools.example/key/abc?token=${secret:x}' }), {
      'network.transport': 'tcp',
      'network.protocol.name': 'http',
      'network.protocol.version': '1.1',
      'server.address': 'tools.example',
      'server.port': 443,
      'mcp.protocol.version': '2026-07-28',
    })
    assert.deepEqual(said({ command: 'files', args: ['--token', 'x'] }, 'words of a server'), {
      'network.transport': 'pipe',
    })
    assert.deepEqual(createUpstreams(() => null)('files'), {})
  })
})

describe('runs under way', () => {
  it('are waited for, until the last has ended or time is up', async () => {
    const flight = createFlight()
    assert.equal(await flight.landed(0), true)
    const first = flight.began()
    const second = flight.began()
    assert.equal(await flight.landed(1), false)
    const landed = flight.landed(60_000)
    first()
    first()
    assert.equal(flight.count(), 1)
    second()
    assert.equal(await landed, true)
  })
})
