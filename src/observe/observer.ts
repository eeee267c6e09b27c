import { createFlight, type Flight } from './flight.ts'
import { createHealth, type Health } from './health.ts'
import { createHub, observed, type Hub } from './hub.ts'
import { createLog, type Log } from './log.ts'
import { createMeter, type Meter } from './meter.ts'
import { createOperations, type Operations } from './operation.ts'
import { createUpstreams } from './upstream.ts'
import { watchedRuns } from './runs.ts'
import { watchedStore } from './storing.ts'
import type { Arrival, Settled } from '../call/states.ts'
import type { Clock } from '../lib/clock.ts'
import type { DoorPorts } from '../door/mcp/ports.ts'
import type { Exporting } from './otel.ts'
import type { ObserveConfig } from '../config/schema.ts'
import type { Ports } from '../call/ports.ts'
import type { Refused } from '../call/refusal.ts'
import type { ServerRecord, Store } from '../store/ports.ts'

/** Everything that watches a broker, made before the broker and wrapped around its ports. No stage knows of it. */
export type Observer = {
  readonly meter: Meter
  readonly health: Health
  readonly hub: Hub
  readonly log: Log
  readonly flight: Flight
  readonly operations: Operations
  /** Whether a server was reached the last time somebody tried. */
  readonly reached: ReadonlyMap<string, boolean>
  fault(fault: unknown): void
  /** Calls of dead incarnations were settled as unknown: an agent may have done what nobody knows the end of. */
  recovered(calls: readonly string[]): void
  /** What a listing of servers found: problems by server, and the servers there are. */
  listed(problems: { readonly [server: string]: string }, servers: readonly string[]): void
  store(store: Store): Store
  runs(parts: RunsOf): (arrival: Arrival) => Promise<Settled | Refused>
  /** What the agents' door is watched by. */
  readonly doors: Required<Pick<DoorPorts, 'around' | 'sessionEnded'>>
  /** What is exported now; null: nothing. */
  exporting(): { readonly traces: boolean; readonly metrics: boolean } | null
  /** Begins to export, when the configuration or the environment says where to. */
  start(where: Where): Promise<void>
  /** Sends what is left; a receiver that hangs holds it for two seconds. */
  close(): Promise<void>
}

export type RunsOf = {
  readonly run: (ports: Ports, arrival: Arrival) => Promise<Settled | Refused>
  readonly ports: Ports
  readonly record: (server: string) => ServerRecord | null
}

export type Where = {
  /** This incarnation. */
  readonly broker: string
  readonly version: string
  readonly environment: string
  /** Values for `observe.otlp.headers`: secrets are revealed here and nowhere else. */
  readonly headers: { readonly [name: string]: string }
}

export type ObserverParts = {
  readonly config: ObserveConfig
  readonly clock: Clock
  /** Where lines of JSON go; null: nobody reads any. */
  readonly write: ((line: string) => boolean | void) | null
  readonly onFault: (fault: unknown) => void
  readonly environment?: { readonly [name: string]: string | undefined }
}

const closeMs = 2_000

export function createObserver(parts: ObserverParts): Observer {
  const { config, clock } = parts
  const found = { broker: null as string | null, exporting: null as Exporting | null }
  const meter = createMeter({
    onFailure: () => meter.count('countersign.observe.failures', { what: 'reading' }),
  })
  const tracer = () => found.exporting?.tracer ?? null
  const operations = createOperations({ meter, tracer, incoming: config.traces.incoming })
  const health = createHealth(clock)
  const flight = createFlight()
  const hub = createHub()
  const log = createLog({
    write: (line) => {
      if (parts.write?.(line) === false) meter.count('countersign.observe.failures', { what: 'log line' })
    },
    clock,
    level: config.level,
    broker: () => found.broker,
  })
  const reached = new Map<string, boolean>()
  if (parts.write !== null) hub.subscribe((fact) => log.fact(fact))
  return {
    meter,
    health,
    hub,
    log,
    flight,
    operations,
    reached,
    fault: (fault) => {
      meter.count('countersign.faults', {})
      log.fault(fault)
      parts.onFault(fault)
    },
    recovered: ({ length: count }) => {
      if (count === 0) return
      meter.count('countersign.calls.recovered', {}, count)
      log.say('recovered', { count })
    },
    listed: (problems, servers) => {
      for (const server of servers) reached.set(server, !Object.hasOwn(problems, server))
      for (const server of Object.keys(problems)) log.say('server-problem', { server })
    },
    store: (store) => watchedStore(store, { meter, onDurable: () => health.beaten() }),
    runs: (given) => {
      const about = { meter, tracer, operations, flight, propagate: config.traces.propagate }
      const watched = watchedRuns(given.run, given.ports, {
        ...about,
        upstream: createUpstreams(given.record),
        reached: (server, yes) => void reached.set(server, yes),
      })
      return observed(watched, { hub, clock, trace: () => traceOf(operations) })
    },
    doors: { around: operations.around, sessionEnded: sessionsOn(meter) },
    exporting: () =>
      found.exporting === null
        ? null
        : { traces: found.exporting.tracer !== null, metrics: found.exporting.metrics },
    start: async (where) => {
      found.broker = where.broker
      found.exporting = await startExport(parts, where, meter)
    },
    close: async () => {
      await found.exporting?.close(closeMs)
      found.exporting = null
    },
  }
}

/** The trace that the caller is seen in; null when it is not recorded. */
function traceOf(operations: Operations): string | null {
  const context = operations.current()?.span?.context
  return context?.sampled === true ? context.traceId : null
}

const sessionsOn =
  (meter: Meter): Observer['doors']['sessionEnded'] =>
  (version, ms) =>
    meter.record(
      'mcp.server.session.duration',
      { 'mcp.protocol.version': version, 'network.transport': 'tcp', 'network.protocol.name': 'http' },
      ms / 1000,
    )

/** Null when nothing says where to: then no library is loaded. */
async function startExport(
  { config, environment = process.env }: ObserverParts,
  where: Where,
  meter: Meter,
): Promise<Exporting | null> {
  const { otlp, traces } = config
  const named = (signal: string): boolean => (environment[`OTEL_EXPORTER_OTLP_${signal}`] ?? '') !== ''
  const everywhere = otlp.endpoint !== undefined || named('ENDPOINT')
  const wanted = {
    traces: (everywhere || named('TRACES_ENDPOINT')) && traces.ratio > 0,
    metrics: everywhere || named('METRICS_ENDPOINT'),
  }
  if (environment['OTEL_SDK_DISABLED'] === 'true' || (!wanted.traces && !wanted.metrics)) return null
  const { startExporting } = await import('./otel.ts')
  const { headers, broker, version, environment: deployment } = where
  return startExporting(
    {
      ...wanted,
      endpoint: otlp.endpoint ?? null,
      headers,
      broker,
      version,
      environment: deployment,
      ratio: traces.ratio,
      metricsMs: otlp.metricsSeconds * 1000,
      timeoutMs: otlp.timeoutSeconds * 1000,
    },
    meter,
  )
}
