import { both, meterProbe, spanProbe, type Reached } from './probes.ts'
import { watched, type Watching } from './stages.ts'
import type { Arrival, Settled } from '../call/states.ts'
import type { Attributes } from './attributes.ts'
import type { Flight } from './flight.ts'
import type { Meter } from './meter.ts'
import type { Operations } from './operation.ts'
import type { Ports } from '../call/ports.ts'
import type { Refused } from '../call/refusal.ts'
import type { Span, Tracer } from './spans.ts'

type Run = (arrival: Arrival) => Promise<Settled | Refused>

export type RunParts = Omit<Watching, 'probe'> & {
  readonly meter: Meter
  readonly tracer: () => Tracer | null
  readonly operations: Operations
  readonly flight: Flight
  readonly reached: Reached
}

/**
 * Runs the path with ports that are watched. Only runs that are traced get copies of their own; all others share one
 * set that is timed.
 */
export function watchedRuns(
  run: (ports: Ports, arrival: Arrival) => Promise<Settled | Refused>,
  ports: Ports,
  parts: RunParts,
): Run {
  const { meter, operations, flight } = parts
  const probe = meterProbe(meter, parts.reached)
  const timed = watched(ports, { ...parts, probe })
  return async (arrival) => {
    const started = performance.now()
    const span = spanOf(parts, arrival)
    const own = span === null ? timed : watched(ports, { ...parts, probe: both(probe, spanProbe(span)) })
    const landed = flight.began()
    try {
      const end = await run(own, arrival)
      const tool = 'refused' in end ? end.known.tool : end.tool
      if (tool !== undefined) operations.current()?.reached(tool)
      span?.set(attributesOf(end))
      span?.end('refused' in end ? end.code : errorOf(end))
      count(meter, arrival, end)
      meter.record(
        'countersign.call.duration',
        { end: 'refused' in end ? 'refused' : end.outcome },
        (performance.now() - started) / 1000,
      )
      return end
    } finally {
      landed()
    }
  }
}

function spanOf({ operations, tracer }: RunParts, arrival: Arrival): Span | null {
  const attributes = { 'countersign.call.id': arrival.call, 'countersign.door': arrival.door }
  const above = operations.current()
  if (above !== null) return above.span?.child('countersign.call', { attributes }) ?? null
  return tracer()?.root('countersign.call', { attributes, parent: null, links: [] }) ?? null
}

function attributesOf(end: Settled | Refused): Attributes {
  if (!('refused' in end))
    return {
      'countersign.task.id': end.task,
      'countersign.outcome': end.outcome,
      'countersign.server': end.tool.server,
      'gen_ai.agent.name': end.agent,
    }
  return {
    'countersign.task.id': end.known.caller?.task,
    'countersign.refusal.code': end.code,
    'countersign.refusal.stage': end.stage,
    'countersign.ask.id': end.ask?.id,
    'countersign.server': end.known.tool?.server,
    'gen_ai.agent.name': end.known.caller?.name,
  }
}

const errorOf = ({ outcome }: Settled): string | undefined =>
  outcome === 'ok' || outcome === 'suspended' ? undefined : outcome

function count(meter: Meter, { door }: Arrival, end: Settled | Refused): void {
  if ('refused' in end) meter.count('countersign.refusals', { code: end.code, stage: end.stage, door })
  else meter.count('countersign.calls', { outcome: end.outcome, server: end.tool.server, door })
}
