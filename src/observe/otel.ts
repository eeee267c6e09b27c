import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import {
  ROOT_CONTEXT,
  SpanKind as Kind,
  SpanStatusCode,
  TraceFlags,
  trace,
  type Context,
  type Span as ApiSpan,
  type SpanContext,
  type Tracer as ApiTracer,
} from '@opentelemetry/api'
import {
  BatchSpanProcessor,
  SamplingDecision,
  TracerProvider,
  type Sampler,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { detectResources, envDetector, resourceFromAttributes, type Resource } from '@opentelemetry/resources'
import { allowed, schemaUrl, type Attributes } from './attributes.ts'
import { producerOf } from './producer.ts'
import { watchedExporter, watchedProcessor } from './exporting.ts'
import type { Meter } from './meter.ts'
import type { Span, SpanKind, SpanOptions, Tracer } from './spans.ts'
import type { TraceContext } from './context.ts'

/**
 * The OpenTelemetry SDK behind the small port of `spans.ts`. This file and what it imports are loaded when exporting is
 * switched on and not before: they take more memory than the rest of the broker's own code.
 */
export type Exporting = {
  /** Null when traces are off. */
  readonly tracer: Tracer | null
  readonly metrics: boolean
  /** Sends what is left, within `ms`, and lets go of everything: a collector that hangs holds nobody. */
  close(ms: number): Promise<void>
}

export type ExportSettings = {
  /** Base URL of an OTLP/HTTP receiver; null: the SDK's own variables say where (`OTEL_EXPORTER_OTLP_*`). */
  readonly endpoint: string | null
  readonly headers: { readonly [name: string]: string }
  readonly traces: boolean
  readonly metrics: boolean
  /** Of traces that begin here: the share that is recorded, 0 to 1. */
  readonly ratio: number
  readonly metricsMs: number
  readonly timeoutMs: number
  readonly version: string
  /** This incarnation. */
  readonly broker: string
  readonly environment: string
}

const queue = { maxQueueSize: 2_048, maxExportBatchSize: 512 } as const

export function startExporting(settings: ExportSettings, meter: Meter): Exporting {
  const agents = createAgents()
  const resource = resourceOf(settings)
  const ends: (() => Promise<void>)[] = []
  const to = (path: string) => ({
    ...(settings.endpoint === null ? {} : { url: `${settings.endpoint.replace(/\/+$/, '')}${path}` }),
    headers: { ...settings.headers },
    timeoutMillis: settings.timeoutMs,
    concurrencyLimit: 2,
    httpAgentOptions: agents.of,
  })
  if (settings.metrics) {
    const reader = new PeriodicExportingMetricReader({
      exporter: watchedExporter(new OTLPMetricExporter(to('/v1/metrics')), () =>
        meter.count('countersign.observe.failures', { what: 'metrics export' }),
      ),
      exportIntervalMillis: settings.metricsMs,
      exportTimeoutMillis: Math.min(settings.metricsMs, settings.timeoutMs),
      metricProducers: [producerOf(meter, { resource, version: settings.version, schemaUrl })],
    })
    const provider = new MeterProvider({ resource, readers: [reader] })
    ends.push(() => provider.shutdown())
  }
  let tracer: Tracer | null = null
  if (settings.traces) {
    const provider = new TracerProvider({
      resource,
      sampler: ownCoin(settings.ratio),
      spanProcessors: [processorOf(new OTLPTraceExporter(to('/v1/traces')), settings, meter)],
      spanLimits: { attributeCountLimit: 32, linkCountLimit: 2, eventCountLimit: 0 },
    })
    tracer = tracerOn(provider.getTracer('countersign', settings.version, { schemaUrl }))
    ends.push(() => provider.shutdown())
  }
  return {
    tracer,
    metrics: settings.metrics,
    close: async (ms) => {
      await Promise.race([
        Promise.allSettled(ends.map((end) => end())),
        new Promise((resolve) => setTimeout(resolve, ms).unref()),
      ])
      agents.destroy()
    },
  }
}

/** Bounded: a span that finds no place is counted and gone, and no call waits for one. */
function processorOf(exporter: OTLPTraceExporter, settings: ExportSettings, meter: Meter): SpanProcessor {
  const failed = (what: string) => (times: number) =>
    meter.count('countersign.observe.failures', { what }, times)
  return watchedProcessor({
    exporter,
    most: queue.maxQueueSize,
    onFailed: failed('span export'),
    onDropped: failed('span dropped'),
    processor: (watched) =>
      new BatchSpanProcessor({
        ...queue,
        exporter: watched,
        scheduledDelayMillis: 1_000,
        exportTimeoutMillis: settings.timeoutMs,
      }),
  })
}

/** Sockets of exports: ended with the exporter, or a request that hangs would keep the process. */
function createAgents() {
  const open: (HttpAgent | HttpsAgent)[] = []
  return {
    of: (protocol: string): HttpAgent | HttpsAgent => {
      const options = { keepAlive: true, maxSockets: 4 }
      const agent = protocol === 'https:' ? new HttpsAgent(options) : new HttpAgent(options)
      open.push(agent)
      return agent
    },
    destroy: () => {
      for (const agent of open) agent.destroy()
    },
  }
}

/** What the operator's environment says, and over it what is known here. */
function resourceOf({ version, broker, environment }: ExportSettings): Resource {
  const named = detectResources({ detectors: [envDetector] })
  const own = resourceFromAttributes({
    'service.name': 'countersign',
    'deployment.environment.name': environment,
    'telemetry.sdk.name': 'opentelemetry',
    'telemetry.sdk.language': 'nodejs',
  })
  return own
    .merge(named)
    .merge(resourceFromAttributes({ 'service.version': version, 'service.instance.id': broker }))
}

/**
 * Which traces are recorded is decided here, by chance: an agent that chose it, by the flag or by the number of a trace
 * that is sampled by its number, could act unseen. Below the first span of ours its decision holds.
 */
export function ownCoin(ratio: number, toss: () => number = Math.random): Sampler {
  return {
    shouldSample: (context) => {
      const parent = trace.getSpanContext(context)
      const isOurs = parent !== undefined && parent.isRemote !== true
      const sampled = isOurs ? (parent.traceFlags & TraceFlags.SAMPLED) !== 0 : toss() < ratio
      return { decision: sampled ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD }
    },
    toString: () => `OwnCoin{${ratio}}`,
  }
}

const kinds: { readonly [Name in SpanKind]: Kind } = {
  server: Kind.SERVER,
  client: Kind.CLIENT,
  internal: Kind.INTERNAL,
}

const tracerOn = (tracer: ApiTracer): Tracer => ({
  root: (name, { parent, links, kind, attributes }) => {
    const context = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, remote(parent))
    return start(tracer, context, {
      name,
      ...(kind === undefined ? {} : { kind }),
      ...(attributes === undefined ? {} : { attributes }),
      links: links.map((link) => ({ context: remote(link) })),
    })
  },
})

const remote = ({ traceId, spanId, sampled }: TraceContext): SpanContext => ({
  traceId,
  spanId,
  traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
  isRemote: true,
})

type Starting = SpanOptions & {
  readonly name: string
  readonly links: { readonly context: SpanContext }[]
}

function start(tracer: ApiTracer, context: Context, { name, kind, attributes, links }: Starting): Span {
  const options = { kind: kinds[kind ?? 'internal'], attributes: allowed(attributes ?? {}), links }
  return over(tracer, tracer.startSpan(name, options, context))
}

function over(tracer: ApiTracer, span: ApiSpan): Span {
  const { traceId, spanId, traceFlags } = span.spanContext()
  return {
    context: { traceId, spanId, sampled: (traceFlags & TraceFlags.SAMPLED) !== 0 },
    set: (attributes: Attributes) => void span.setAttributes(allowed(attributes)),
    rename: (name) => void span.updateName(name),
    child: (name, options = {}) =>
      start(tracer, trace.setSpan(ROOT_CONTEXT, span), { ...options, name, links: [] }),
    end: (error) => {
      if (error !== undefined) {
        span.setAttributes(allowed({ 'error.type': error }))
        // Without a description: the message of an error may hold what its caller sent.
        span.setStatus({ code: SpanStatusCode.ERROR })
      }
      span.end()
    },
  }
}
