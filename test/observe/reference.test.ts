import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { definitionOf, metricNames } from '../../src/observe/catalogue.ts'
import { join, resolve } from 'node:path'
import { metricsPage } from '../../scripts/metrics-page.ts'
import { pageText } from '../../scripts/pages.ts'
import { prometheusName } from '../../src/observe/exposition.ts'
import { readdirSync, readFileSync } from 'node:fs'

const root = resolve(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** Every series that `/metrics` can show. */
const series = new Set(
  metricNames.flatMap((name) => {
    const shown = prometheusName(name)
    return definitionOf(name).kind === 'histogram'
      ? [`${shown}_bucket`, `${shown}_sum`, `${shown}_count`]
      : [shown]
  }),
)
const labels = new Set([
  'le',
  'instance',
  'job',
  ...metricNames.flatMap((name) => definitionOf(name).labels.map((label) => label.replaceAll('.', '_'))),
])

describe('what is written about metrics', () => {
  it(`docs/reference/metrics.md is what node ${metricsPage.from} writes`, async () => {
    assert.equal(pageText(metricsPage), await metricsPage.render())
  })

  it('the dashboard, the alerts and the guide name series that there are, and labels of theirs', () => {
    const shown = /"expr": "((?:[^"\\]|\\.)*)"/g
    const dashboard = [...read('examples/observe/dashboard.json').matchAll(shown)].map(
      ([, text]) => text ?? '',
    )
    assert.ok(dashboard.length > 20)
    const text = [...dashboard, read('examples/observe/alerts.yml'), read('docs/guides/observe.md')].join(
      '\n',
    )
    const named = [...text.matchAll(/\b(?:countersign|mcp|nodejs|v8js|process)_[a-z0-9_]+/g)].map(
      ([name]) => name,
    )
    assert.ok(named.length > 50)
    const known = (name: string) => series.has(name) || labels.has(name)
    assert.deepEqual(
      named.filter((name) => !known(name)),
      [],
    )
    const matched = [...dashboard.join('\n').matchAll(/([a-z_]+)(?:=~|!=|=)\\?"/g)].map(
      ([, label]) => label ?? '',
    )
    assert.deepEqual(
      matched.filter((label) => !labels.has(label)),
      [],
    )
  })

  it('every alert says what to do', () => {
    const text = read('examples/observe/alerts.yml')
    const count = (pattern: RegExp): number => [...text.matchAll(pattern)].length
    const alerts = count(/- alert:/g)
    assert.ok(alerts >= 10)
    for (const part of [/severity: (?:page|ticket)/g, / summary: /g, / action: /g])
      assert.equal(count(part), alerts)
  })

  it('nothing in src/observe touches a stage, and no stage knows of src/observe', () => {
    for (const name of readdirSync(join(root, 'src/call')))
      assert.deepEqual(
        loaded(`src/call/${name}`).filter((from) => from.includes('/observe/')),
        [],
        name,
      )
    for (const name of readdirSync(join(root, 'src/observe')))
      assert.deepEqual(
        loaded(`src/observe/${name}`).filter((from) => from.startsWith('../call/')),
        [],
        name,
      )
  })

  it('the libraries of OpenTelemetry are loaded by one file, and that one only when it is needed', () => {
    const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    )
    const loading = (pattern: RegExp): readonly string[] =>
      files.filter((name) => loaded(`src/${name}`).some((from) => pattern.test(from))).sort()
    assert.deepEqual(loading(/^@opentelemetry\//), ['observe/otel.ts', 'observe/producer.ts'])
    assert.deepEqual(loading(/\/(?:otel|producer)\.ts$/), ['observe/otel.ts'])
  })
})

/** What a file imports when it is loaded: not its types, and not what it loads later. */
const loaded = (path: string): readonly string[] =>
  read(path)
    .split(/^(?=import )/m)
    .filter((statement) => statement.startsWith('import ') && !statement.startsWith('import type '))
    .flatMap((statement) => /^import [^']*'([^']+)'/.exec(statement)?.[1] ?? [])
