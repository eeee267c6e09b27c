import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { objects, say } from './agent.ts'
import { table, visible } from './output.ts'

/** How tools and what is said of them are shown to a reviewer. */

/** One tool in full: what is proposed of it and what was reviewed. */
export function facts(tool: JsonObject): readonly string[] {
  const review = isJsonObject(tool['review']) ? tool['review'] : null
  const rows: (readonly string[])[] = [
    ['tool', visible(say(tool['id']))],
    ['state', say(tool['state'])],
    ['digest', say(tool['digest'])],
    ['proposed', `${list(part(tool, 'proposed')['effects'])}${by(tool)}`],
    ...said(part(tool, 'proposed')),
  ]
  if (review !== null) {
    rows.push(
      [
        'reviewed',
        `by ${visible(say(review['reviewer']))} at ${say(review['at'])}${review['digest'] === tool['digest'] ? '' : ', another definition'}`,
      ],
      ['environment', visible(say(review['environment']))],
      ['effects', list(review['effects'])],
      ...said(review),
      ['targets', isJsonObject(review['targets']) ? visible(JSON.stringify(review['targets'])) : ''],
    )
  }
  return table(rows)
}

const part = (tool: JsonObject, name: string): JsonObject => {
  const found = tool[name]
  return isJsonObject(found) ? found : {}
}

const by = (tool: JsonObject): string =>
  typeof tool['proposedBy'] === 'string' ? `, by the profile ${visible(tool['proposedBy'])}` : ', inferred'

/**
 * What a review made now would change of the one that holds: a line for each thing, or nothing. A decision that a
 * reviewer made by hand is among them, since nobody would make it again.
 */
export function differences(tool: JsonObject): readonly string[] {
  if (tool['state'] !== 'reviewed') return []
  const [held, next] = [part(tool, 'review'), part(tool, 'proposed')]
  const shown: readonly (readonly [string, (holds: JsonObject) => string])[] = [
    ['effects', (holds) => list(holds['effects'])],
    ['labels', (holds) => [own(holds), ...fieldsOf(holds)].join('; ')],
    ['acts on', bearings],
  ]
  return shown.flatMap(([what, of]) => (of(held) === of(next) ? [] : [`${what}: ${of(held)} → ${of(next)}`]))
}

/** Labels and bearings in full. */
const said = (holds: JsonObject): readonly (readonly string[])[] => [
  ['labels', own(holds)],
  ...fieldsOf(holds).map((field) => ['', field]),
  ['acts on', bearings(holds)],
]

const fieldsOf = (holds: JsonObject): readonly string[] =>
  objects(part(holds, 'results')['fields']).map((field) => {
    const words = [
      field['confidentiality'],
      field['integrity'],
      field['directory'] === true ? 'directory' : null,
    ]
    const at = field['pattern'] === undefined ? say(field['at'] ?? '') || 'the whole' : say(field['pattern'])
    return `${visible(at)}: ${words.filter((one) => typeof one === 'string').join(', ')}`
  })

const own = (holds: JsonObject): string => `${say(holds['confidentiality'])}, ${say(holds['integrity'])}`

const labels = (holds: JsonObject): string => {
  const fields = fieldsOf(holds).length
  return fields === 0 ? own(holds) : `${own(holds)}, ${fields} ${fields === 1 ? 'field' : 'fields'}`
}

/** The arguments that decide where a call acts; `?` when nobody has said. */
const bearings = (holds: JsonObject): string => {
  if (!Array.isArray(holds['bears'])) return '?'
  const named = objects(holds['bears']).map(({ at, kind }) => `${visible(say(at)).slice(1)}=${say(kind)}`)
  return named.length === 0 ? 'none' : named.join(',')
}

/** Lines of a diff. */
export const linesOf = (diff: JsonObject): readonly string[] =>
  Array.isArray(diff['lines']) ? diff['lines'].map((line) => visible(say(line))) : []

/** Tools as a table, each with what holds of it, or what would after a review; then what was found. */
export function toolRows(all: readonly JsonObject[], asProposed = false): readonly string[] {
  const rows = all.map((tool) => {
    const isReviewed = isJsonObject(tool['review']) && tool['state'] === 'reviewed' && !asProposed
    const holds = part(tool, isReviewed ? 'review' : 'proposed')
    const found = objects(tool['findings']).length
    return [
      visible(say(tool['id'])),
      say(tool['state']),
      list(holds['effects']),
      labels(holds),
      bearings(holds),
      found === 0 ? '' : String(found),
    ]
  })
  return rows.length === 0
    ? ['no tools']
    : [
        ...table([['TOOL', 'STATE', 'EFFECTS', 'LABELS', 'TARGETS', 'FINDINGS'], ...rows]),
        ...all.flatMap(findings),
      ]
}

const list = (value: Json | undefined): string => (Array.isArray(value) ? value.map(say).join(' ') : '')

export const findings = (tool: JsonObject): readonly string[] =>
  objects(tool['findings']).map(
    (one) => `  ${say(one['severity'])}: ${visible(say(tool['id']))}: ${visible(say(one['message']))}`,
  )
