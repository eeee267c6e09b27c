import { canonical } from '../lib/jcs.ts'
import { compare, sentencesOf, wordsOf } from './words.ts'
import { isJsonObject } from '../lib/json.ts'
import { pointer } from './bounds.ts'
import type { Definition, Finding } from './tool.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import type { Run } from './words.ts'

export type ChangeKind =
  | 'text'
  | 'property-added'
  | 'property-removed'
  | 'type'
  | 'required-added'
  | 'required-removed'
  | 'enum'
  | 'default'
  | 'loosened'
  | 'tightened'
  | 'annotation'
  | 'argument'
  | 'other'

/** One difference between two definitions. `at` is a JSON pointer into the definition. */
export type Change = {
  readonly at: string
  readonly kind: ChangeKind
  readonly severity: Finding['severity']
  /** In words, for a reviewer. */
  readonly message: string
  readonly before: Json | null
  readonly after: Json | null
  /** For texts: runs of words that stayed, went and came. */
  readonly runs: readonly Run[]
}

export type Drift = {
  readonly changes: readonly Change[]
  /** What a model would newly read: whole sentences, and names of new arguments, in the order of the definition. */
  readonly newlyRead: readonly string[]
  /** The highest of the changes; null when nothing changed. */
  readonly severity: Finding['severity'] | null
}

/**
 * Compares two definitions by meaning: texts by words, schemas by keyword, annotations by member. Says what loosens
 * (a server could now ask for, or be sent, more) apart from what tightens. Pure.
 */
export function drift(before: Definition, after: Definition): Drift {
  const changes: Change[] = []
  const found: Found = (change) => changes.push({ before: null, after: null, runs: [], ...change })
  const members = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort(
    (a, b) => order(a) - order(b),
  )
  const [old, now]: readonly JsonObject[] = [{ ...before }, { ...after }]
  for (const member of members) {
    const place: Place = { at: `/${member}`, before: own(old, member), after: own(now, member) }
    if (same(place.before, place.after)) continue
    if (member === 'inputSchema' || member === 'outputSchema') compareSchema(place, found)
    else if (member === 'annotations') compareMembers(place, 'annotation', found)
    else if (member === 'arguments') compareArguments(place, found)
    else if (isTextual(place)) compareText(place, found)
    else
      found({ ...json(place), at: place.at, kind: 'other', severity: 'note', message: `${member} changed` })
  }
  const severity =
    (['danger', 'warning', 'note'] as const).find((one) =>
      changes.some((change) => change.severity === one),
    ) ?? null
  return { changes, newlyRead: newlyRead(old, now), severity }
}

type Place = { readonly at: string; readonly before: Json | undefined; readonly after: Json | undefined }
type Found = (change: Pick<Change, 'at' | 'kind' | 'severity' | 'message'> & Partial<Change>) => void

const shown = ['description', 'text', 'title', 'inputSchema', 'arguments', 'annotations', 'outputSchema']
const order = (member: string): number => (shown.includes(member) ? shown.indexOf(member) : shown.length)

/** A server may name an argument `constructor`; what every object inherits is no definition. */
const own = (object: JsonObject | undefined, name: string): Json | undefined =>
  object !== undefined && Object.hasOwn(object, name) ? object[name] : undefined

const same = (a: Json | undefined, b: Json | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && canonical(a) === canonical(b))
const json = (place: Place): { before: Json | null; after: Json | null } => ({
  before: place.before ?? null,
  after: place.after ?? null,
})
const isTextual = (place: Place): boolean =>
  [place.before, place.after].every((value) => value === undefined || typeof value === 'string')
const short = (value: Json | undefined): string =>
  value === undefined ? 'nothing' : `\`${canonical(value).slice(0, 80)}\``

function compareText(place: Place, found: Found): void {
  const [before, after] = [text(place.before), text(place.after)]
  const runs = compare(wordsOf(before), wordsOf(after))
  const adds = runs.some((run) => run.kind === 'added')
  const message = before === '' ? 'new text' : after === '' ? 'text removed' : describeRuns(runs)
  found({ ...json(place), at: place.at, kind: 'text', severity: adds ? 'warning' : 'note', message, runs })
}

function describeRuns(runs: readonly Run[]): string {
  if (runs.some((run) => run.kind === 'added')) return 'text changed'
  return runs.some((run) => run.kind === 'removed') ? 'text shortened' : 'white space changed'
}

const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '')

/** Keywords whose absence or higher value lets more through. */
const upper = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties']
const lower = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties']
const closing = [
  'pattern',
  'const',
  'format',
  'not',
  'additionalProperties',
  'unevaluatedProperties',
  'uniqueItems',
  'multipleOf',
  'propertyNames',
  'allOf',
  'dependentRequired',
]
const wording = ['title', 'description', '$comment']

function compareSchema(place: Place, found: Found, depth = 0): void {
  const { at, before, after } = place
  if (!isJsonObject(before) || !isJsonObject(after) || depth > 32) {
    const gone = after === undefined
    found({
      ...json(place),
      at,
      kind: gone ? 'loosened' : before === undefined ? 'tightened' : 'type',
      severity: 'warning',
      message: gone ? 'schema removed' : before === undefined ? 'schema added' : 'schema changed',
    })
    return
  }
  for (const keyword of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const inner: Place = {
      at: pointer(at, keyword),
      before: own(before, keyword),
      after: own(after, keyword),
    }
    if (same(inner.before, inner.after)) continue
    if (
      keyword === 'properties' ||
      keyword === '$defs' ||
      keyword === 'definitions' ||
      keyword === 'patternProperties'
    ) {
      compareProperties(inner, keyword, found, depth)
    } else if (keyword === 'items' && isJsonObject(inner.before) && isJsonObject(inner.after))
      compareSchema(inner, found, depth + 1)
    else compareKeyword(keyword, inner, found)
  }
}

function compareProperties(place: Place, keyword: string, found: Found, depth: number): void {
  const before = isJsonObject(place.before) ? place.before : {}
  const after = isJsonObject(place.after) ? place.after : {}
  const what =
    keyword === 'properties'
      ? 'argument'
      : keyword === 'patternProperties'
        ? 'arguments by pattern'
        : 'shared schema'
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const inner: Place = { at: pointer(place.at, name), before: own(before, name), after: own(after, name) }
    if (same(inner.before, inner.after)) continue
    if (inner.before === undefined)
      found({
        ...json(inner),
        at: inner.at,
        kind: 'property-added',
        severity: 'warning',
        message: `new ${what} \`${name.slice(0, 80)}\``,
      })
    else if (inner.after === undefined)
      found({
        ...json(inner),
        at: inner.at,
        kind: 'property-removed',
        severity: 'note',
        message: `${what} \`${name.slice(0, 80)}\` is gone`,
      })
    else compareSchema(inner, found, depth + 1)
  }
}

function compareKeyword(keyword: string, place: Place, found: Found): void {
  const { at, before, after } = place
  const change = (kind: ChangeKind, severity: Finding['severity'], message: string): void =>
    found({ ...json(place), at, kind, severity, message })
  if (wording.includes(keyword)) return compareText(place, found)
  if (keyword === 'type') return change('type', 'warning', `type ${short(before)} became ${short(after)}`)
  if (keyword === 'default')
    return change('default', 'warning', `default ${short(before)} became ${short(after)}`)
  if (keyword === 'required') return compareRequired(place, found)
  if (keyword === 'enum') {
    const added = items(after).filter((item) => !items(before).some((one) => same(one, item)))
    const opened = after === undefined || (before !== undefined && added.length > 0)
    return change(
      'enum',
      opened ? 'warning' : 'note',
      after === undefined
        ? 'any value is allowed now'
        : `allowed values ${short(before)} became ${short(after)}`,
    )
  }
  const numbers = typeof before === 'number' && typeof after === 'number' ? after - before : null
  if (upper.includes(keyword) || lower.includes(keyword)) {
    const looser =
      after === undefined || (numbers !== null && (upper.includes(keyword) ? numbers > 0 : numbers < 0))
    return change(
      looser ? 'loosened' : 'tightened',
      looser ? 'warning' : 'note',
      `${keyword} ${short(before)} became ${short(after)}`,
    )
  }
  if (closing.includes(keyword)) {
    const looser = after === undefined || after === true || (before !== undefined && after !== false)
    return change(
      looser ? 'loosened' : 'tightened',
      looser ? 'warning' : 'note',
      `${keyword} ${short(before)} became ${short(after)}`,
    )
  }
  return change(
    'other',
    keyword === 'examples' || keyword === '$schema' ? 'note' : 'warning',
    `${keyword} ${short(before)} became ${short(after)}`,
  )
}

function compareRequired(place: Place, found: Found): void {
  const [before, after] = [items(place.before), items(place.after)]
  const added = after.filter((name) => !before.includes(name))
  const removed = before.filter((name) => !after.includes(name))
  if (added.length > 0)
    found({
      at: place.at,
      kind: 'required-added',
      severity: 'warning',
      message: `now required: ${added.map((name) => short(name)).join(', ')}`,
      after: added,
    })
  if (removed.length > 0)
    found({
      at: place.at,
      kind: 'required-removed',
      severity: 'note',
      message: `no longer required: ${removed.map((name) => short(name)).join(', ')}`,
      before: removed,
    })
}

const items = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : [])

function compareMembers(place: Place, kind: ChangeKind, found: Found): void {
  const before = isJsonObject(place.before) ? place.before : {}
  const after = isJsonObject(place.after) ? place.after : {}
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const inner: Place = { at: pointer(place.at, name), before: own(before, name), after: own(after, name) }
    if (same(inner.before, inner.after)) continue
    if (name === 'title') compareText(inner, found)
    else
      found({
        ...json(inner),
        at: inner.at,
        kind,
        severity: 'warning',
        message: `${name} ${short(inner.before)} became ${short(inner.after)}`,
      })
  }
}

/** Arguments of prompts, told apart by name. */
function compareArguments(place: Place, found: Found): void {
  const named = (value: Json | undefined): JsonObject =>
    Object.fromEntries(
      items(value).flatMap((item) =>
        isJsonObject(item) && typeof item.name === 'string' ? [[item.name, item]] : [],
      ),
    )
  const [before, after] = [named(place.before), named(place.after)]
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const inner: Place = { at: pointer(place.at, name), before: own(before, name), after: own(after, name) }
    if (same(inner.before, inner.after)) continue
    const message =
      inner.before === undefined
        ? `new argument \`${name.slice(0, 80)}\``
        : inner.after === undefined
          ? `argument \`${name.slice(0, 80)}\` is gone`
          : `argument \`${name.slice(0, 80)}\` changed`
    found({
      ...json(inner),
      at: inner.at,
      kind: 'argument',
      severity: inner.after === undefined ? 'note' : 'warning',
      message,
    })
  }
}

/** Sentences anywhere in the new definition that stood nowhere in the old one, whatever member they moved to. */
function newlyRead(before: JsonObject | undefined, after: JsonObject | undefined): readonly string[] {
  const known = new Set([...texts(before ?? {})].flatMap(sentencesOf))
  const fresh = [...texts(after ?? {})].flatMap(sentencesOf).filter((sentence) => !known.has(sentence))
  return [...new Set(fresh)]
}

function* texts(value: Json): Generator<string> {
  if (typeof value === 'string') yield value
  if (typeof value !== 'object' || value === null) return
  for (const [name, inner] of Object.entries(value)) {
    if (name === 'properties' && isJsonObject(inner)) yield* Object.keys(inner)
    if (name !== 'icons') yield* texts(inner)
  }
}
