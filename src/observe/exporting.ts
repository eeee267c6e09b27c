import type { PushMetricExporter } from '@opentelemetry/sdk-metrics'
import type { SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace'

/** `ExportResultCode.SUCCESS` of the SDK. */
const success = 0

/** The same exporter; a failure is counted. */
export function watchedExporter(exporter: PushMetricExporter, onFailed: () => void): PushMetricExporter {
  return {
    export: (data, told) =>
      exporter.export(data, (result) => {
        const code: number = result.code
        if (code !== success) onFailed()
        told(result)
      }),
    forceFlush: () => exporter.forceFlush(),
    shutdown: () => exporter.shutdown(),
    ...(exporter.selectAggregation === undefined
      ? {}
      : { selectAggregation: exporter.selectAggregation.bind(exporter) }),
    ...(exporter.selectAggregationTemporality === undefined
      ? {}
      : { selectAggregationTemporality: exporter.selectAggregationTemporality.bind(exporter) }),
  }
}

/**
 * A processor that counts what was lost: it sees what goes into the queue and what is taken out of it, so that it knows
 * when the queue is full.
 */
export function watchedProcessor(parts: {
  readonly exporter: SpanExporter
  readonly processor: (exporter: SpanExporter) => SpanProcessor
  /** Places in the queue. */
  readonly most: number
  readonly onFailed: (spans: number) => void
  readonly onDropped: (spans: number) => void
}): SpanProcessor {
  const { exporter } = parts
  let queued = 0
  const inner = parts.processor({
    export: (spans, told) => {
      queued -= spans.length
      exporter.export(spans, (result) => {
        const code: number = result.code
        if (code !== success) parts.onFailed(spans.length)
        told(result)
      })
    },
    shutdown: () => exporter.shutdown(),
    ...(exporter.forceFlush === undefined
      ? {}
      : { forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve() }),
  })
  return {
    onStart: (span, context) => inner.onStart(span, context),
    onEnd: (span) => {
      if (queued >= parts.most) parts.onDropped(1)
      else queued += 1
      inner.onEnd(span)
    },
    forceFlush: () => inner.forceFlush(),
    shutdown: () => inner.shutdown(),
  }
}
