import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ROOT_CONTEXT, SpanKind, TraceFlags, trace } from '@opentelemetry/api'
import { SamplingDecision } from '@opentelemetry/sdk-trace'
import { attributes, allowed } from '../../src/observe/attributes.ts'
import { createMeter } from '../../src/observe/meter.ts'
import { createObserver } from '../../src/observe/observer.ts'
import { observeSchema } from '../../src/config/schema.ts'
import { ownCoin, startExporting, type ExportSettings } from '../../src/observe/otel.ts'
import { startCollector } from './collector.ts'

const settings = (endpoint: string, more: Partial<ExportSettings> = {}): ExportSettings => ({
  endpoint,
  headers: {},
  traces: true,
  metrics: false,
  ratio: 1,
  metricsMs: 60_000,
  timeoutMs: 1_000,
  version: '1',
  broker: 'b_1',
  environment: 'test',
  ...more,
})

describe('who decides what is recorded', () => {
  const decided = (
    sampler: ReturnType<typeof ownCoin>,
    parent?: { readonly remote: boolean; readonly sampled: boolean },
  ) => {
    const context =
      parent === undefined
        ? ROOT_CONTEXT
        : trace.setSpanContext(ROOT_CONTEXT, {
            traceId: 'f'.repeat(32),
            spanId: 'f'.repeat(16),
            traceFlags: parent.sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
            isRemote: parent.remote,
          })
    return sampler.shouldSample(context, 'f'.repeat(32), '', SpanKind.SERVER, {}, []).decision
  }
  const yes = SamplingDecision.RECORD_AND_SAMPLED
  const no = SamplingDecision.NOT_RECORD

  it('an agent neither switches recording off nor on', () => {
    const always = ownCoin(1)
    const never = ownCoin(0)
    for (const sampled of [true, false]) {
      assert.equal(decided(always, { remote: true, sampled }), yes)
      assert.equal(decided(never, { remote: true, sampled }), no)
    }
  })

  it('below a span of ours its decision holds', () => {
    for (const ratio of [0, 1]) {
      assert.equal(decided(ownCoin(ratio), { remote: false, sampled: true }), yes)
      assert.equal(decided(ownCoin(ratio), { remote: false, sampled: false }), no)
    }
  })

  it('the share is the share', () => {
    const tosses = [0, 0.24, 0.25, 0.9]
    const coin = ownCoin(0.25, () => tosses.shift() ?? 1)
    assert.deepEqual(
      [0, 1, 2, 3].map(() => decided(coin)),
      [yes, yes, no, no],
    )
  })
})

describe('what may be said', () => {
  it('is on the list, short, and well formed; the rest is gone', () => {
    const given = {
      'mcp.method.name': 'x'.repeat(500),
      'gen_ai.tool.call.arguments': 'canary',
      toString: 'canary',
    }
    const said = allowed(given)
    assert.deepEqual(Object.keys(said), ['mcp.method.name'])
    assert.equal(String(said['mcp.method.name']).length, 200)
    for (const { class: kind } of Object.values(attributes)) assert.ok(['public', 'internal'].includes(kind))
  })
})

describe('a queue of spans', () => {
  it('is bounded: what finds no place is counted, and nobody waits', async () => {
    const collector = await startCollector('hang')
    const meter = createMeter()
    const exporting = startExporting(settings(collector.url), meter)
    try {
      assert.ok(exporting.tracer !== null)
      for (let n = 0; n < 10_000; n += 1)
        exporting.tracer.root('tools/call', { parent: null, links: [] }).end()
      const failures = (await meter.collect()).find(({ name }) => name === 'countersign.observe.failures')
      assert.deepEqual(failures?.series, [{ labels: { what: 'span dropped' }, value: 10_000 - 2_048 - 512 }])
    } finally {
      await exporting.close(50)
      await collector.close()
    }
  })

  it('an export that failed is counted by span', async () => {
    const collector = await startCollector('fail')
    const meter = createMeter()
    const exporting = startExporting(settings(collector.url), meter)
    try {
      exporting.tracer?.root('tools/call', { parent: null, links: [] }).end()
      await exporting.close(3_000)
      const failures = (await meter.collect()).find(({ name }) => name === 'countersign.observe.failures')
      assert.deepEqual(failures?.series, [{ labels: { what: 'span export' }, value: 1 }])
    } finally {
      await collector.close()
    }
  })
})

describe('what switches exporting on', () => {
  const began = async (config: object, environment: { readonly [name: string]: string }) => {
    const observer = createObserver({
      config: observeSchema.parse(config),
      clock: { now: () => 0 },
      write: null,
      onFault: () => undefined,
      environment,
    })
    await observer.start({ broker: 'b_1', version: '1', environment: 'test', headers: {} })
    const on = observer.exporting()
    await observer.close()
    return on
  }

  it('nothing, unless the configuration or the environment says where to', async () => {
    assert.equal(await began({}, {}), null)
    assert.equal(
      await began({ otlp: { endpoint: 'http://127.0.0.1:9' } }, { OTEL_SDK_DISABLED: 'true' }),
      null,
    )
  })

  it('the configuration for both, and the variables that OpenTelemetry names', async () => {
    const at = 'http://127.0.0.1:9'
    assert.deepEqual(await began({ otlp: { endpoint: at } }, {}), { traces: true, metrics: true })
    assert.deepEqual(await began({}, { OTEL_EXPORTER_OTLP_ENDPOINT: at }), { traces: true, metrics: true })
    assert.deepEqual(await began({}, { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: at }), {
      traces: true,
      metrics: false,
    })
    assert.deepEqual(await began({ otlp: { endpoint: at }, traces: { ratio: 0 } }, {}), {
      traces: false,
      metrics: true,
    })
  })
})
