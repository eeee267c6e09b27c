import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics'
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { createMeter } from '../../src/observe/meter.ts'
import { definitionOf, metricNames, metrics } from '../../src/observe/catalogue.ts'
import { exposition, prometheusName } from '../../src/observe/exposition.ts'
import { producerOf } from '../../src/observe/producer.ts'

describe('the meter', () => {
  it('counts by label, and adds up', async () => {
    const meter = createMeter()
    meter.count('countersign.calls', { outcome: 'ok', server: 'files', door: 'mcp' })
    meter.count('countersign.calls', { outcome: 'ok', server: 'files', door: 'mcp' }, 2)
    meter.count('countersign.calls', { outcome: 'failed', server: 'files' })
    assert.deepEqual(await meter.collect(), [
      {
        name: 'countersign.calls',
        series: [
          { labels: { outcome: 'ok', server: 'files', door: 'mcp' }, value: 3 },
          { labels: { outcome: 'failed', server: 'files' }, value: 1 },
        ],
      },
    ])
  })

  it('puts each value into exactly one bucket, upper bounds included', async () => {
    const buckets = metrics['mcp.server.operation.duration'].buckets
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: 0, max: 1000, noNaN: true }), { minLength: 1 }),
        async (values) => {
          const meter = createMeter()
          for (const value of values) meter.record('mcp.server.operation.duration', {}, value)
          const [only] = (await meter.collect())[0]?.series ?? []
          assert.ok(only !== undefined && typeof only.value !== 'number')
          const { counts, count } = only.value
          assert.equal(count, values.length)
          let below = 0
          for (const [i, bound] of buckets.entries()) {
            below += counts[i] ?? 0
            assert.equal(below, values.filter((value) => value <= bound).length)
          }
          assert.equal(below + (counts[buckets.length] ?? 0), values.length)
        },
      ),
    )
  })

  it('keeps so many series apart and no more: the rest is counted together', async () => {
    const meter = createMeter({ mostSeries: 3 })
    for (let n = 0; n < 10; n += 1) meter.count('countersign.calls', { server: `s${n}` })
    const [calls] = await meter.collect()
    assert.equal(calls?.series.length, 4)
    assert.deepEqual(calls.series.at(-1), { labels: { 'otel.metric.overflow': 'true' }, value: 7 })
  })

  it('a reading that throws or hangs is left out and told; the others are there', async () => {
    const failed: string[] = []
    const meter = createMeter({ onFailure: (name) => void failed.push(name), readMs: 20 })
    meter.read('countersign.tasks.open', () => Promise.reject(new Error('no')))
    meter.read('countersign.asks.open', () => new Promise(() => undefined))
    meter.read('countersign.leases.open', () => {
      throw new Error('no')
    })
    meter.read('countersign.log.size', () => 3)
    assert.deepEqual(await meter.collect(), [
      { name: 'countersign.log.size', series: [{ labels: {}, value: 3 }] },
    ])
    assert.deepEqual(failed.sort(), [
      'countersign.asks.open',
      'countersign.leases.open',
      'countersign.tasks.open',
    ])
  })
})

/** Lines without comments, in order of text: the same facts, whoever wrote them. */
const facts = (text: string): readonly string[] =>
  text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .sort()

describe('the text that Prometheus reads', () => {
  it('says what the serializer of the SDK says, with the unit at the end of each name', async () => {
    const meter = createMeter()
    meter.count('countersign.refusals', { code: 'denied', stage: 'decide' }, 4)
    meter.read('countersign.tasks.open', () => 2)
    meter.record('countersign.call.duration', { end: 'ok' }, 0.003)
    meter.record('countersign.call.duration', { end: 'ok' }, 7)
    meter.record('countersign.call.duration', { end: 'refused' }, 400)
    const resource = resourceFromAttributes({})
    const { resourceMetrics } = await producerOf(meter, { resource, version: '1', schemaUrl: '' }).collect()
    const theirs = new PrometheusSerializer('', false, undefined, true, true).serialize(resourceMetrics)
    assert.deepEqual(
      facts(exposition(await meter.collect())),
      facts(theirs.replaceAll('countersign_call_duration', 'countersign_call_duration_seconds')),
    )
  })

  it('a value cannot make up a line, a label or the end of one', async () => {
    const evil = 'a"} 1\ncountersign_calls_total{server="b\\'
    const meter = createMeter()
    meter.count('countersign.calls', { server: evil })
    const lines = exposition(await meter.collect())
      .trim()
      .split('\n')
    assert.equal(lines.length, 3)
    assert.equal(
      lines[2],
      'countersign_calls_total{server="a\\"} 1\\ncountersign_calls_total{server=\\"b\\\\"} 1',
    )
  })

  it('names are what Prometheus allows, and no two are alike', () => {
    const names = metricNames.map(prometheusName)
    for (const name of names) assert.match(name, /^[a-z][a-z0-9_]*$/)
    assert.equal(new Set(names).size, names.length)
    for (const name of metricNames) {
      const { kind, buckets } = definitionOf(name)
      assert.equal(kind === 'histogram', buckets !== undefined, name)
      assert.equal(prometheusName(name).endsWith('_total'), kind === 'counter', name)
    }
  })
})

describe('what is exported', () => {
  it('is cumulative, and of the kind that the catalogue says', async () => {
    const meter = createMeter()
    meter.count('countersign.faults', {})
    meter.record('countersign.store.batch.size', {}, 3)
    meter.read('countersign.log.size', () => 9)
    const resource = resourceFromAttributes({})
    const { resourceMetrics } = await producerOf(meter, { resource, version: '1', schemaUrl: '' }).collect()
    const data = resourceMetrics.scopeMetrics[0]?.metrics ?? []
    assert.deepEqual(
      data.map(({ descriptor, dataPointType, aggregationTemporality }) => [
        descriptor.name,
        dataPointType,
        aggregationTemporality,
      ]),
      [
        ['countersign.store.batch.size', DataPointType.HISTOGRAM, AggregationTemporality.CUMULATIVE],
        ['countersign.log.size', DataPointType.GAUGE, AggregationTemporality.CUMULATIVE],
        ['countersign.faults', DataPointType.SUM, AggregationTemporality.CUMULATIVE],
      ],
    )
  })
})
