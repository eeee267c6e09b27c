import { RE2JS } from 're2js'
import { parse } from 'yaml'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { Confidentiality, Integrity } from './labels.ts'

/** How a text result is to be read: structured content is always read as it is. */
export const resultFormats = ['json', 'yaml', 'text'] as const
export type ResultFormat = (typeof resultFormats)[number]

/**
 * What is known of one field of a tool's results. `at`: a JSON pointer (RFC 6901) in which `*` stands for every item or
 * member, `''` for the whole; `pattern`: for results that are plain text, a linear-time pattern whose first group is the
 * value. What is left out is the tool's own. A `directory` is trusted, and its values are meant to be acted on: one's
 * own contacts, one's own accounts.
 */
export type ResultField = ({ readonly at: string } | { readonly pattern: string }) & {
  readonly confidentiality?: Confidentiality
  readonly integrity?: Integrity
  readonly directory?: true
}

/** `format` is `json` when left out. */
export type ResultLabels = { readonly format?: ResultFormat; readonly fields: readonly ResultField[] }

/** What a value in a result is worth. */
export type Worth = {
  readonly confidentiality: Confidentiality
  readonly integrity: Integrity
  readonly directory: boolean
}

/** One value of a result with its worth. `isWhole`: the value is a field of its own, not a piece of a longer text. */
export type FieldValue = { readonly text: string; readonly worth: Worth; readonly isWhole: boolean }

/** Beyond these a text is read as plain text: no field of it is known, so it carries the tool's own labels. */
const mostJson = 4 * 1024 * 1024
const mostYaml = 256 * 1024
const mostFound = 256

/** Every value in a result of a tool, each with its worth: the deepest field that covers it, else the tool's own. */
export function* valuesOf(
  result: JsonObject,
  labels: ResultLabels | undefined,
  own: Omit<Worth, 'directory'>,
): Generator<FieldValue> {
  const whole: Worth = { ...own, directory: false }
  const fields = (labels?.fields ?? []).map((field) => prepare(field, whole))
  for (const { value, isText } of documentsOf(result, labels?.format ?? 'json')) {
    if (isText && typeof value === 'string') yield* fromText(value, fields, whole)
    else yield* fromDocument(value, fields, whole)
  }
}

type Prepared = {
  /** Null for a pattern. */
  readonly path: readonly string[] | null
  readonly pattern: RE2JS | null
  readonly worth: Worth
}

function prepare(field: ResultField, own: Worth): Prepared {
  const directory = field.directory === true
  const worth = {
    confidentiality: field.confidentiality ?? own.confidentiality,
    integrity: field.integrity ?? (directory ? 'trusted' : own.integrity),
    directory,
  }
  if ('pattern' in field) return { path: null, pattern: RE2JS.compile(field.pattern), worth }
  const path = field.at.split('/').slice(1)
  return { path: path.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')), pattern: null, worth }
}

type Document = { readonly value: Json; readonly isText: boolean }

/** Structured content, and each text: read as the format says, or as plain text when it is nothing of the kind. */
function* documentsOf(result: JsonObject, format: ResultFormat): Generator<Document> {
  const { structuredContent, content, contents, messages, ...rest } = result
  const told = structuredContent === undefined ? null : JSON.stringify(structuredContent)
  if (structuredContent !== undefined) yield { value: structuredContent, isText: false }
  for (const block of [content, contents, messages].flatMap((list) => (Array.isArray(list) ? list : []))) {
    const text = textOf(block)
    const document = text === null ? { value: block, isText: false } : read(text, format)
    // Most servers send their structured content again as text: the same data is not read twice.
    if (told === null || document.isText || JSON.stringify(document.value) !== told) yield document
  }
  if (Object.keys(rest).length > 0) yield { value: rest, isText: false }
}

const textOf = (block: Json): string | null => {
  if (!isJsonObject(block)) return null
  if (isJsonObject(block['content'])) return textOf(block['content'])
  const text = block['text']
  return typeof text === 'string' ? text : null
}

function read(text: string, format: ResultFormat): Document {
  try {
    if (format === 'json' && text.length <= mostJson && /^\s*[[{"\d-]/.test(text)) {
      const value: Json = JSON.parse(text)
      return { value, isText: false }
    }
    if (format === 'yaml' && text.length <= mostYaml) {
      const value: Json = plain(parse(text, { maxAliasCount: 0, logLevel: 'silent', schema: 'core' }))
      return { value, isText: typeof value === 'string' }
    }
  } catch {
    // Not what the profile says it is: plain text, of which no field is known.
  }
  return { value: text, isText: true }
}

/** A date or a map with odd keys is what JSON makes of it. */
const plain = (value: unknown): Json => JSON.parse(JSON.stringify(value ?? null))

function* fromText(text: string, fields: readonly Prepared[], own: Worth): Generator<FieldValue> {
  const covering = fields.find(({ path }) => path?.length === 0)
  for (const { pattern, worth } of fields) {
    if (pattern === null) continue
    const matcher = pattern.matcher(text)
    for (let n = 0; n < mostFound && matcher.find(); n += 1) {
      const found = matcher.group(1)
      if (found !== null && found !== '') yield { text: found, worth, isWhole: true }
    }
  }
  yield { text, worth: covering?.worth ?? own, isWhole: covering !== undefined }
}

type Place = { readonly value: Json; readonly fields: readonly Live[]; readonly worth: Worth }
/** A field whose path goes on below a place. */
type Live = { readonly path: readonly string[]; readonly depth: number; readonly worth: Worth }

/** With a list instead of recursion. Names of members that a field's `*` stands for are data like any value. */
function* fromDocument(root: Json, fields: readonly Prepared[], own: Worth): Generator<FieldValue> {
  const live = fields.flatMap(({ path, worth }) => (path === null ? [] : [{ path, depth: 0, worth }]))
  const rest: Place[] = [{ value: root, fields: live, worth: worthAt(live, own) }]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { value, worth } = next
    if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) rest.push(below(next, String(index), item))
    } else if (isJsonObject(value)) {
      const isMap = next.fields.some(({ path, depth }) => path[depth] === '*')
      for (const [name, item] of Object.entries(value)) {
        if (isMap) yield { text: name, worth, isWhole: true }
        rest.push(below(next, name, item))
      }
    } else if (value !== null) {
      yield { text: String(value), worth, isWhole: true }
    }
  }
}

function below({ fields, worth }: Place, name: string, value: Json): Place {
  const going = fields.flatMap((field) =>
    field.path[field.depth] === '*' || field.path[field.depth] === name
      ? [{ ...field, depth: field.depth + 1 }]
      : [],
  )
  return { value, fields: going, worth: worthAt(going, worth) }
}

const worthAt = (fields: readonly Live[], otherwise: Worth): Worth =>
  fields.findLast(({ path, depth }) => path.length === depth)?.worth ?? otherwise
