import { definitionOf, type Definition, type MetricName } from './catalogue.ts'
import type { Collected, Distribution, LabelValues } from './meter.ts'

/** What a scraper is told the text is: Prometheus text exposition format 0.0.4. */
export const expositionType = 'text/plain; version=0.0.4; charset=utf-8'

/**
 * The metrics as Prometheus reads them. Names by the OpenTelemetry rules for Prometheus: dots become `_`, the unit
 * stands at the end, then `_total` for what only grows.
 */
export function exposition(collected: readonly Collected[]): string {
  return collected.map(family).join('')
}

const suffixes: { readonly [unit: string]: string } = { s: '_seconds', By: '_bytes' }

/** The name of a metric at `/metrics`. */
export function prometheusName(name: MetricName): string {
  const { unit, kind } = definitionOf(name)
  const base = name.replaceAll(/[^a-zA-Z0-9]+/g, '_')
  const suffix = suffixes[unit] ?? ''
  const withUnit = base.endsWith(suffix) ? base : base + suffix
  return kind === 'counter' ? `${withUnit}_total` : withUnit
}

function family({ name, series }: Collected): string {
  const definition = definitionOf(name)
  const shown = prometheusName(name)
  const head = `# HELP ${shown} ${escape(definition.help)}\n# TYPE ${shown} ${definition.kind}\n`
  const lines = series.map(({ labels, value }) =>
    typeof value === 'number'
      ? line(shown, labels, value)
      : histogram(shown, labels, { ...value, buckets: definition.buckets ?? [] }),
  )
  return head + lines.join('')
}

type Buckets = Distribution & Required<Pick<Definition, 'buckets'>>

/** Cumulative, as Prometheus wants them. */
function histogram(name: string, labels: LabelValues, { buckets, counts, sum, count }: Buckets): string {
  let below = 0
  const lines = buckets.map((bound, i) => {
    below += counts[i] ?? 0
    return line(`${name}_bucket`, { ...labels, le: String(bound) }, below)
  })
  return [
    ...lines,
    line(`${name}_bucket`, { ...labels, le: '+Inf' }, count),
    line(`${name}_sum`, labels, sum),
    line(`${name}_count`, labels, count),
  ].join('')
}

function line(name: string, labels: LabelValues, value: number): string {
  const pairs = Object.entries(labels).map(
    ([label, text]) => `${label.replaceAll(/[^a-zA-Z0-9]+/g, '_')}="${escape(text).replaceAll('"', '\\"')}"`,
  )
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${number(value)}\n`
}

const number = (value: number): string =>
  value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value)

/** Backslash and line feed end what stands in a line (text format 0.0.4); a name could make up a line of its own. */
const escape = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
