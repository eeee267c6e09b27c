import { attributes, schemaUrl, withheld } from '../src/observe/attributes.ts'
import { coded, makePage, tableOf, type Page } from './pages.ts'
import { definitionOf, metricNames } from '../src/observe/catalogue.ts'
import { events, fields } from '../src/observe/fields.ts'
import { prometheusName } from '../src/observe/exposition.ts'

/** Writes docs/reference/metrics.md from the catalogues; with `--check`, says whether it is up to date. */

const list = (words: readonly string[]): string => words.map(coded).join(', ')

function metricRows(): readonly (readonly string[])[] {
  return metricNames.map((name) => {
    const { kind, unit, help, labels } = definitionOf(name)
    return [coded(name), coded(prometheusName(name)), kind, coded(unit), list(labels), help]
  })
}

function buckets(): string {
  const sets = new Map<string, string[]>()
  for (const name of metricNames) {
    const bounds = definitionOf(name).buckets
    if (bounds === undefined) continue
    const key = bounds.join(', ')
    sets.set(key, [...(sets.get(key) ?? []), name])
  }
  return tableOf(
    ['histograms', 'upper bounds'],
    [...sets].map(([bounds, names]) => [list(names), bounds]),
  )
}

function render(): string {
  return `${[
    '# Metrics, spans and log lines',
    'Made from `src/observe/` by `scripts/metrics-page.ts`; do not edit. How to use them is in the [guide](../guides/observe.md).',
    'What is not on this page is never told: no argument, result, purpose, reason, URI, or name that nobody registered.',
    '## Metrics',
    "The first name is OpenTelemetry's, the second is what `/metrics` shows. A label that does not apply is left out. Beyond 2,000 series a metric counts the rest as one, labelled `otel.metric.overflow`.",
    tableOf(['metric', 'at `/metrics`', 'kind', 'unit', 'labels', 'what it is'], metricRows()),
    '### Buckets',
    buckets(),
    '## Spans',
    `Schema: \`${schemaUrl}\`. A request of an agent is a server span, \`{method} {tool}\`; below it \`countersign.call\` for each run of the path, below that \`countersign.{stage}\` for each use of a port, and the request to the server as a client span, \`{method} {tool}\`.`,
    tableOf(
      ['attribute', 'class', 'what it holds'],
      Object.entries(attributes).map(([name, { class: kind, says }]) => [coded(name), kind, says]),
    ),
    '### What the conventions offer and is not said',
    tableOf(
      ['attribute', 'because'],
      Object.entries(withheld).map(([name, why]) => [coded(name), why]),
    ),
    '## Log lines',
    'One JSON object a line on stderr, with `observe.log` as in [config.md](config.md).',
    tableOf(
      ['field', 'class', 'what it holds'],
      Object.entries(fields).map(([name, { class: kind, says }]) => [coded(name), kind, says]),
    ),
    tableOf(
      ['event', 'level'],
      Object.entries(events).map(([name, level]) => [coded(name), level]),
    ),
  ].join('\n\n')}\n`
}

export const metricsPage: Page = { name: 'metrics.md', from: 'scripts/metrics-page.ts', render }

if (import.meta.main) await makePage(metricsPage)
