import {
  definitionOf,
  metricNames,
  type Definition,
  type LabelOf,
  type MetricName,
  type Of,
} from './catalogue.ts'

/**
 * Counts and times in this process, read when somebody asks. Own code, because it runs at every call: adding one
 * observation costs a lookup and an addition, and no library is loaded before anything is exported.
 */
export type Meter = {
  count<Name extends Of<'counter'>>(name: Name, labels: Labels<Name>, by?: number): void
  record<Name extends Of<'histogram'>>(name: Name, labels: Labels<Name>, value: number): void
  /** Read at each collection. What throws, or takes longer than a second, is left out of it. */
  read<Name extends Of<'gauge' | 'counter'>>(
    name: Name,
    reading: () => Readings<Name> | Promise<Readings<Name>>,
  ): void
  /** Everything as of now, in the order of the catalogue; metrics without a value are left out. */
  collect(): Promise<readonly Collected[]>
}

/** Values of labels; those left out are absent from the series. */
export type Labels<Name extends MetricName> = { readonly [Label in LabelOf<Name>]?: string | undefined }
export type Reading<Name extends MetricName> = { readonly labels?: Labels<Name>; readonly value: number }
export type Readings<Name extends MetricName> = number | readonly Reading<Name>[]

export type Collected = { readonly name: MetricName; readonly series: readonly Series[] }
export type LabelValues = { readonly [label: string]: string }
export type Series = {
  readonly labels: LabelValues
  readonly value: number | Distribution
}
/** `counts` has one more than the buckets: what is above them all. */
export type Distribution = {
  readonly counts: readonly number[]
  readonly sum: number
  readonly count: number
}

/** Series of one metric that are kept apart. Beyond it they are counted together, as OpenTelemetry's overflow says. */
const mostSeries = 2_000
const longestValue = 200
const overflow: LabelValues = { 'otel.metric.overflow': 'true' }

type Kept = { readonly labels: LabelValues; value: number; readonly counts: number[]; sum: number }

export type MeterOptions = {
  /** Told of a reading that failed: its metric's name. */
  readonly onFailure?: (name: MetricName) => void
  readonly readMs?: number
  readonly mostSeries?: number
}

export function createMeter(options: MeterOptions = {}): Meter {
  const most = options.mostSeries ?? mostSeries
  const kept = new Map<MetricName, Map<string, Kept>>()
  const readings = new Map<MetricName, (() => Generic | Promise<Generic>)[]>()

  const seriesOf = (name: MetricName, labels: LabelSource): Kept => {
    const all = kept.get(name) ?? new Map<string, Kept>()
    if (all.size === 0) kept.set(name, all)
    const definition = definitionOf(name)
    const key = keyOf(definition, labels)
    const found = all.get(key)
    if (found !== undefined) return found
    const full = all.size >= most
    const place = full ? 'overflow' : key
    const known = full ? all.get(place) : undefined
    if (known !== undefined) return known
    const made = start(full ? overflow : valuesOf(definition, labels), definition)
    all.set(place, made)
    return made
  }

  return {
    count: (name, labels, by = 1) => {
      seriesOf(name, labels).value += by
    },
    record: (name, labels, value) => {
      const { buckets = [] } = definitionOf(name)
      const series = seriesOf(name, labels)
      series.sum += value
      series.value += 1
      const at = placeOf(buckets, value)
      series.counts[at] = (series.counts[at] ?? 0) + 1
    },
    read: (name, reading) => {
      readings.set(name, [...(readings.get(name) ?? []), reading])
    },
    collect: async () => {
      const read = await readAll(readings, options)
      return metricNames.flatMap((name) => {
        const own = [...(kept.get(name)?.values() ?? [])].map((one) => frozen(one, definitionOf(name)))
        const series = [...own, ...(read.get(name) ?? [])]
        return series.length === 0 ? [] : [{ name, series }]
      })
    },
  }
}

type LabelSource = { readonly [label: string]: string | undefined }
type Generic = number | readonly { readonly labels?: LabelSource; readonly value: number }[]

const keyOf = ({ labels }: Definition, values: LabelSource): string => {
  let key = ''
  for (const label of labels) key += `${values[label] ?? ''}\n`
  return key
}

const valuesOf = ({ labels }: Definition, values: LabelSource): LabelValues =>
  Object.fromEntries(
    labels.flatMap((label) => {
      const value = values[label]
      return value === undefined || value === '' ? [] : [[label, value.slice(0, longestValue).toWellFormed()]]
    }),
  )

const start = (labels: LabelValues, { buckets }: Definition): Kept => ({
  labels,
  value: 0,
  counts: buckets === undefined ? [] : Array.from({ length: buckets.length + 1 }, () => 0),
  sum: 0,
})

/** Buckets include their upper bound (OpenTelemetry and Prometheus agree). */
function placeOf(buckets: readonly number[], value: number): number {
  let at = 0
  while (at < buckets.length && value > (buckets[at] ?? Infinity)) at += 1
  return at
}

const frozen = ({ labels, value, counts, sum }: Kept, { kind }: Definition): Series => ({
  labels,
  value: kind === 'histogram' ? { counts: [...counts], sum, count: value } : value,
})

async function readAll(
  readings: ReadonlyMap<MetricName, readonly (() => Generic | Promise<Generic>)[]>,
  { onFailure, readMs = 1_000 }: MeterOptions,
): Promise<ReadonlyMap<MetricName, readonly Series[]>> {
  const read = new Map<MetricName, readonly Series[]>()
  const one = async (name: MetricName, reading: () => Generic | Promise<Generic>): Promise<void> => {
    try {
      const value = await orTooLate(reading, readMs)
      read.set(name, [...(read.get(name) ?? []), ...seriesFrom(name, value)])
    } catch {
      onFailure?.(name)
    }
  }
  await Promise.all([...readings].flatMap(([name, all]) => all.map((reading) => one(name, reading))))
  return read
}

const seriesFrom = (name: MetricName, value: Generic): readonly Series[] =>
  typeof value === 'number'
    ? [{ labels: {}, value }]
    : value
        .slice(0, mostSeries)
        .map((one) => ({ labels: valuesOf(definitionOf(name), one.labels ?? {}), value: one.value }))

async function orTooLate<T>(reading: () => T | Promise<T>, ms: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('the reading took too long')), ms)
  try {
    return await Promise.race([reading(), promise])
  } finally {
    clearTimeout(timer)
  }
}
