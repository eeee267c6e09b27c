import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics'
import { ValueType, type HrTime } from '@opentelemetry/api'
import { definitionOf } from './catalogue.ts'
import type { Collected, Distribution, Meter, Series } from './meter.ts'
import type { Resource } from '@opentelemetry/resources'

/** Our meter as the SDK reads one: what is exported over OTLP is what `/metrics` shows. */
export function producerOf(
  meter: Meter,
  scope: { readonly resource: Resource; readonly version: string; readonly schemaUrl: string },
): MetricProducer {
  const startTime = hrTime(Date.now())
  return {
    collect: async () => {
      const collected = await meter.collect()
      const times = { startTime, endTime: hrTime(Date.now()) }
      const { resource, version, schemaUrl } = scope
      const metrics = collected.map((one) => dataOf(one, times))
      return {
        errors: [],
        resourceMetrics: {
          resource,
          scopeMetrics: [{ scope: { name: 'countersign', version, schemaUrl }, metrics }],
        },
      }
    },
  }
}

const hrTime = (ms: number): HrTime => [Math.trunc(ms / 1000), (ms % 1000) * 1_000_000]

type Times = { readonly startTime: HrTime; readonly endTime: HrTime }

function dataOf({ name, series }: Collected, times: Times): MetricData {
  const { help, unit, kind, buckets = [] } = definitionOf(name)
  const base = {
    descriptor: { name, description: help, unit, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  }
  const points = series.flatMap((one) =>
    typeof one.value === 'number' ? [{ ...times, attributes: one.labels, value: one.value }] : [],
  )
  switch (kind) {
    case 'counter':
      return { ...base, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints: points }
    case 'gauge':
      return { ...base, dataPointType: DataPointType.GAUGE, dataPoints: points }
    case 'histogram':
      return {
        ...base,
        dataPointType: DataPointType.HISTOGRAM,
        dataPoints: series.flatMap((one) => distributed(one, { times, buckets })),
      }
  }
}

function distributed(
  { labels, value }: Series,
  { times, buckets }: { readonly times: Times; readonly buckets: readonly number[] },
) {
  if (typeof value === 'number') return []
  const { counts, sum, count }: Distribution = value
  const histogram = { buckets: { boundaries: [...buckets], counts: [...counts] }, sum, count }
  return [{ ...times, attributes: labels, value: histogram }]
}
