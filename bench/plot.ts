import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { goals } from './goals.ts'

/** Draws `docs/design/plots/*.svg` from `bench/results/*.json`: `node bench/plot.ts`. Readable on light and dark. */
const root = join(import.meta.dirname, '..')
const results = (name: string): unknown =>
  JSON.parse(readFileSync(join(root, 'bench', 'results', `${name}.json`), 'utf8'))

type Bar = {
  readonly value: number
  readonly text: string
  readonly kind: 'before' | 'after' | 'goal' | 'floor'
}
type Row = { readonly label: string; readonly bars: readonly Bar[] }
type Chart = {
  readonly title: string
  readonly subtitle: string
  readonly rows: readonly Row[]
  /** Where a value lies, 0 to 1 of the width. */
  readonly at: (value: number) => number
  /** A line across all rows. */
  readonly mark?: { readonly value: number; readonly text: string }
  readonly legend: readonly (readonly [Bar['kind'], string])[]
}

const style = `<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f } .small { font-size: 11.5px; fill: #57606a }
  .title { font-size: 15px; font-weight: 600 } .before { fill: #9aa4af } .after { fill: #2f6fde } .goal { fill: #2da44e }
  .floor { fill: #c58f00 } .missed { fill: #d1483f } line { stroke: #57606a; stroke-dasharray: 4 3 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .small { fill: #9da7b3 } line { stroke: #9da7b3 }
    .before { fill: #6e7681 } .after { fill: #6ea8ff } .goal { fill: #56d364 } .missed { fill: #ff7b72 } .floor { fill: #e3b341 } }
</style>`

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

const [labels, width, right, barHeight] = [270, 340, 130, 15]

function draw({ title, subtitle, rows, at, mark, legend }: Chart): string {
  const parts: string[] = []
  let y = 84
  for (const { label, bars } of rows) {
    const height = bars.length * barHeight
    parts.push(`<text x="${labels - 8}" y="${y + height / 2 + 4}" text-anchor="end">${escape(label)}</text>`)
    for (const [index, { value, text, kind }] of bars.entries()) {
      const long = Math.max(2, Math.min(1, at(value)) * width)
      const top = y + index * barHeight
      parts.push(
        `<rect class="${kind}" x="${labels}" y="${top}" width="${long.toFixed(1)}" height="${barHeight - 3}" rx="2"/>`,
      )
      parts.push(
        `<text class="small" x="${(labels + long + 6).toFixed(1)}" y="${top + 10}">${escape(text)}</text>`,
      )
    }
    y += height + 9
  }
  if (mark !== undefined) {
    const x = labels + at(mark.value) * width
    parts.push(
      `<line x1="${x}" y1="74" x2="${x}" y2="${y}"/><text class="small" x="${x + 4}" y="${y + 12}">${escape(mark.text)}</text>`,
    )
  }
  const keys = legend.map(
    ([kind, text], index) =>
      `<rect class="${kind}" x="${12 + index * 190}" y="50" width="11" height="11" rx="2"/><text class="small" x="${28 + index * 190}" y="60">${escape(text)}</text>`,
  )
  const total = labels + width + right
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${total} ${y + 24}" width="${total}" height="${y + 24}" role="img" aria-label="${escape(title)}">
${style}
<text class="title" x="12" y="22">${escape(title)}</text><text class="small" x="12" y="40">${escape(subtitle)}</text>
${[...keys, ...parts].join('\n')}
</svg>
`
}

const show = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)))
const pair = [
  ['before', 'before'],
  ['after', 'now'],
] as const

const stepsSchema = z.record(z.string(), z.object({ before: z.number(), after: z.number() }))
const profileSchema = z.object({
  time: z.record(z.string(), z.number()),
  memory: z.record(z.string(), z.number()),
})
const runSchema = z.looseObject({})

/** Each optimisation as a share of what it was. */
function steps(): Chart {
  const rows = Object.entries(stepsSchema.parse(results('steps'))).map(([label, { before, after }]) => ({
    label,
    bars: [
      { value: 1, text: `${show(before)} µs`, kind: 'before' as const },
      { value: after / before, text: `${show(after)} µs`, kind: 'after' as const },
    ],
  }))
  return {
    title: 'What each step cost and costs',
    subtitle: 'CPU time on the main thread, best of nine loops; each as a share of what it was',
    rows,
    at: (value) => value,
    legend: pair,
  }
}

function areas(): Chart {
  const [before, after] = [
    profileSchema.parse(results('profile-before')),
    profileSchema.parse(results('profile-after')),
  ]
  const names = Object.keys(after.time)
  const percent = (value: number): string => `${(value * 100).toFixed(1)} %`
  return {
    title: 'Where the main thread is during calls',
    subtitle: 'share of its busy time at 64 connections; what shrank makes the others look larger',
    rows: names.map((label) => ({
      label,
      bars: [
        { value: before.time[label] ?? 0, text: percent(before.time[label] ?? 0), kind: 'before' as const },
        { value: after.time[label] ?? 0, text: percent(after.time[label] ?? 0), kind: 'after' as const },
      ],
    })),
    at: (value) => value / 0.25,
    legend: pair,
  }
}

/** Every goal on one scale: how much better or worse than asked, 1 being the goal. */
function reached(): Chart {
  const run = runSchema.parse(results('after'))
  const rows = goals.flatMap(({ name, what, at, now }) => {
    const value = run[name]
    if (typeof value !== 'number' || value <= 0) return []
    const better = at === 'least' ? value / now : now / value
    const kind = better >= 1 ? ('goal' as const) : ('before' as const)
    return [
      { label: what, bars: [{ value: better, text: `${show(value)} of ${show(now)} (${name})`, kind }] },
    ]
  })
  return {
    title: 'Goals',
    subtitle: 'how far beyond the goal (right of the line) or short of it; logarithmic',
    rows,
    at: (value) => (Math.log10(Math.max(0.02, value)) + 1.7) / 3,
    mark: { value: 1, text: 'goal' },
    legend: [
      ['goal', 'met'],
      ['before', 'not met'],
    ],
  }
}

function physics(): Chart {
  const run = runSchema.parse(results('before'))
  const rows = Object.entries(run).flatMap(([name, value]) =>
    name.startsWith('phys_') && typeof value === 'number'
      ? [
          {
            label: name.slice(5, -3).replaceAll('_', ' '),
            bars: [{ value, text: `${show(value)} µs`, kind: 'floor' as const }],
          },
        ]
      : [],
  )
  return {
    title: 'What anything costs here',
    subtitle: 'microseconds, logarithmic',
    rows: rows.toSorted((a, b) => (a.bars[0]?.value ?? 0) - (b.bars[0]?.value ?? 0)),
    at: (value) => (Math.log10(Math.max(0.5, value)) + 0.4) / 3.9,
    legend: [['floor', 'one of each']],
  }
}

/** The goals as a table for the page, from the same results. */
function table(): string {
  const run = runSchema.parse(results('after'))
  const rows = goals.map(({ name, what, at, now, later }) => {
    const value = run[name]
    const isMet = typeof value === 'number' && (at === 'least' ? value >= now : value <= now)
    const goal = `${at === 'least' ? '≥' : '≤'} ${now.toLocaleString('en')}${later === null ? '' : `, then ${later}`}`
    const found = typeof value === 'number' ? `${show(value)}${isMet ? '' : ' (not met)'}` : 'not measured'
    return `| ${what} | \`${name}\` | ${goal} | ${found} |`
  })
  return ['| what | figure | goal | this run |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

function updatePage(): void {
  const page = join(root, 'docs', 'design', 'performance.md')
  const text = readFileSync(page, 'utf8')
  const [begin, end] = ['<!-- goals: written by bench/plot.ts -->', '<!-- /goals -->']
  const [before, after] = [text.indexOf(begin), text.indexOf(end)]
  if (before < 0 || after < before) throw new Error(`expected \`${begin}\` and \`${end}\` in the page`)
  writeFileSync(page, `${text.slice(0, before + begin.length)}\n\n${table()}\n\n${text.slice(after)}`)
}

const folder = join(root, 'docs', 'design', 'plots')
mkdirSync(folder, { recursive: true })
for (const [name, chart] of Object.entries({ steps, areas, goals: reached, physics })) {
  writeFileSync(join(folder, `${name}.svg`), draw(chart()))
  process.stdout.write(`docs/design/plots/${name}.svg\n`)
}
updatePage()
process.stdout.write('docs/design/performance.md\n')
