import { at, kindOf, list, text, type Logged } from './step.ts'
import { visible } from '../../src/cli/output.ts'

export type Line = {
  readonly text: string
  readonly tone: 'who' | 'quote' | 'good' | 'bad' | 'strong' | 'quiet' | 'plain'
}

/** More entries than this in a row that differ in their subject alone are told as one. */
const alike = 3

/** Entries with their index, kind and key fields; `--json` has them whole. */
export function entryLines(entries: readonly Logged[]): readonly Line[] {
  const lines: Line[] = []
  for (let from = 0; from < entries.length;) {
    const one = entries[from]
    if (one === undefined) break
    let to = from + 1
    while (to < entries.length && sameSort(one, entries[to])) to += 1
    const run = entries.slice(from, to)
    lines.push(...(run.length > alike ? [...linesOf(one), more(run)] : run.flatMap(linesOf)))
    from = to
  }
  return lines
}

const sameSort = (one: Logged, other: Logged | undefined): boolean =>
  other !== undefined && kindOf(one) === kindOf(other) && text(one.entry, 'kind') === 'act'

const more = (run: readonly Logged[]): Line => ({
  text: `   … and ${run.length - 1} alike, to #${run.at(-1)?.index}`,
  tone: 'quiet',
})

function linesOf({ index, entry }: Logged): readonly Line[] {
  const fields = fieldsOf(entry).filter((field) => field !== '')
  return [
    { text: `#${index} ${headOf(entry)}`, tone: toneOf(entry) },
    ...fields.map((field): Line => ({ text: `   ${visible(field)}`, tone: 'quiet' })),
  ]
}

function headOf(entry: Logged['entry']): string {
  const kind = text(entry, 'kind')
  switch (kind) {
    case 'refused':
      return `refused  ${text(entry, 'code')}`
    case 'outcome':
      return `outcome  ${text(entry, 'outcome')}`
    case 'act':
      return `act  ${text(entry, 'act')}`
    default:
      return kind
  }
}

function toneOf(entry: Logged['entry']): Line['tone'] {
  const kind = text(entry, 'kind')
  if (kind === 'refused') return text(entry, 'code') === 'approval-required' ? 'strong' : 'bad'
  return kind === 'outcome' && text(entry, 'outcome') === 'ok' ? 'good' : 'strong'
}

function fieldsOf(entry: Logged['entry']): readonly string[] {
  switch (text(entry, 'kind')) {
    case 'refused':
      return refusedFields(entry)
    case 'intent':
      return intentFields(entry)
    case 'outcome':
      return outcomeFields(entry)
    default:
      return actFields(entry)
  }
}

const refusedFields = (entry: Logged['entry']): readonly string[] => [
  text(entry, 'what', 'tool') || text(entry, 'wanted'),
  `${whoOf(entry)}, at ${text(entry, 'stage')}`,
  text(entry, 'reason'),
  policiesOf(entry),
  text(entry, 'call'),
]

const intentFields = (entry: Logged['entry']): readonly string[] => [
  `${text(entry, 'what', 'tool')} (${list(entry, 'what', 'effects').join(', ')})`,
  whoOf(entry),
  ...list(entry, 'approval', 'answers').map(
    (answer) => `approved by ${text(answer, 'by')} (${text(answer, 'proof')})`,
  ),
  policiesOf(entry),
  text(entry, 'call'),
]

function outcomeFields(entry: Logged['entry']): readonly string[] {
  const labels = `${text(entry, 'labels', 'confidentiality')}, ${text(entry, 'labels', 'integrity')}`
  const redacted = Object.entries(at(entry, 'redacted') ?? {}).map(([name, count]) => `${name} × ${count}`)
  const lent = list(entry, 'lease', 'secrets')
  return [
    text(entry, 'detail'),
    lent.length === 0 ? '' : `lent: ${lent.join(', ')}`,
    redacted.length === 0 ? '' : `redacted: ${redacted.join(', ')}`,
    `the task has now read: ${labels}`,
  ]
}

const actFields = (entry: Logged['entry']): readonly string[] => [
  text(entry, 'subject'),
  text(entry, 'proof') === 'none'
    ? `by the ${text(entry, 'by')}`
    : `by ${text(entry, 'by')} (${text(entry, 'proof')})`,
  text(entry, 'detail', 'because'),
  ...listed(entry, 'tools', 'for: '),
  ...listed(entry, 'findings', 'found: '),
  ...listed(entry, 'effects', 'effects: '),
  text(entry, 'detail', 'reason'),
]

function listed(entry: Logged['entry'], name: string, before: string): readonly string[] {
  const all = list(entry, 'detail', name)
  return all.length === 0 ? [] : [`${before}${all.join(', ')}`]
}

function whoOf(entry: Logged['entry']): string {
  const name = text(entry, 'who', 'name')
  return name === '' ? 'nobody' : `${name} for ${text(entry, 'who', 'onBehalfOf')}`
}

function policiesOf(entry: Logged['entry']): string {
  const policies = list(entry, 'policies')
  return policies.length === 0 ? '' : `by ${policies.join(', ')}`
}
