import { brief, exceeds, pointer } from './bounds.ts'
import { compilePattern } from './pattern.ts'
import { isJsonObject } from '../lib/json.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import type { Pattern } from './pattern.ts'

/** A schema that has passed `vet`: every reference resolved inside it, every pattern compiled, every keyword well-formed. */
export type Vetted = {
  readonly root: JsonObject
  readonly refs: ReadonlyMap<string, Json>
  readonly patterns: ReadonlyMap<string, Pattern>
}

export const schemaLimits = { depth: 48, nodes: 10_000, chars: 256 * 1024 } as const
const maxPatterns = 256
/** Instructions of all patterns together: compiling a thousand takes some 30 ms. */
const maxPatternSize = 16 * 1024
/** Longest chain of schemas that apply to one and the same value (`$ref`, `allOf`, …). */
const maxHeight = 64

export const schemaPlaces = {
  one: [
    'not',
    'if',
    'then',
    'else',
    'additionalProperties',
    'unevaluatedProperties',
    'items',
    'additionalItems',
    'unevaluatedItems',
    'contains',
    'propertyNames',
  ],
  list: ['allOf', 'anyOf', 'oneOf', 'prefixItems'],
  map: ['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas'],
} as const

/** Those that apply to the same value as the schema they stand in: a cycle of these alone never ends. */
const inPlace = new Set([
  'not',
  'if',
  'then',
  'else',
  'allOf',
  'anyOf',
  'oneOf',
  'dependentSchemas',
  'dependencies',
])

/**
 * Judges a schema (JSON Schema 2020-12 or draft-07) before anything is evaluated with it. Refuses what is too large or
 * deep, malformed keywords, references that leave the document (MCP 2026-07-28: MUST NOT be dereferenced), cycles that
 * consume no input, nested `$id`, dynamic references, and patterns that cannot be matched in linear time.
 */
export function vet(
  schema: JsonObject,
): { readonly ok: true; readonly vetted: Vetted } | { readonly ok: false; readonly problem: string } {
  const size = exceeds(schema, schemaLimits)
  if (size !== null) return { ok: false, problem: `the schema has ${size}` }
  const walk: Walk = {
    root: schema,
    refs: new Map(),
    patterns: new Map(),
    anchors: new Map(),
    seen: new Map(),
    waiting: [],
  }
  collectAnchors(schema, walk.anchors)
  walk.waiting.push({ schema, at: '' })
  for (let next = walk.waiting.pop(); next !== undefined; next = walk.waiting.pop()) {
    const problem = visit(next.schema, next.at, walk)
    if (problem !== null) return { ok: false, problem }
  }
  const heights = new Map<JsonObject, number>()
  for (const visited of walk.seen.keys()) {
    if (height(visited, walk, heights) > maxHeight) {
      return {
        ok: false,
        problem: `the schema refers to itself, or nests more than ${maxHeight} schemas for one value`,
      }
    }
  }
  return { ok: true, vetted: { root: schema, refs: walk.refs, patterns: walk.patterns } }
}

type Walk = {
  readonly root: JsonObject
  readonly refs: Map<string, Json>
  readonly patterns: Map<string, Pattern>
  readonly anchors: Map<string, JsonObject>
  /** Each schema with those that apply in place. */
  readonly seen: Map<JsonObject, JsonObject[]>
  readonly waiting: { readonly schema: Json; readonly at: string }[]
}

function visit(schema: Json, at: string, walk: Walk): string | null {
  if (typeof schema === 'boolean') return null
  if (!isJsonObject(schema)) return `${where(at)}: expected a schema`
  if (walk.seen.has(schema)) return null
  const beside: JsonObject[] = []
  walk.seen.set(schema, beside)
  const malformed = malformedKeyword(schema)
  if (malformed !== null) return `${where(at)}: ${malformed}`
  if (at !== '' && schema.$id !== undefined) return `${where(at)}: expected no nested \`$id\``
  if (schema.$dynamicRef !== undefined || schema.$recursiveRef !== undefined)
    return `${where(at)}: expected no dynamic references`
  for (const source of [
    schema.pattern,
    ...Object.keys(isJsonObject(schema.patternProperties) ? schema.patternProperties : {}),
  ]) {
    const problem = typeof source === 'string' ? addPattern(source, walk) : null
    if (problem !== null) return `${where(at)}: ${problem}`
  }
  if (typeof schema.$ref === 'string') {
    const target = resolve(schema.$ref, walk)
    if (target === undefined)
      return `${where(at)}: \`$ref\` \`${brief(schema.$ref)}\`: expected a reference inside the same schema`
    walk.refs.set(schema.$ref, target)
    walk.waiting.push({ schema: target, at: pointer(at, '$ref') })
    if (isJsonObject(target)) beside.push(target)
  }
  for (const { keyword, inner, at: place } of subschemas(schema, at)) {
    walk.waiting.push({ schema: inner, at: place })
    if (inPlace.has(keyword) && isJsonObject(inner)) beside.push(inner)
  }
  return null
}

function addPattern(source: string, walk: Walk): string | null {
  if (walk.patterns.has(source)) return null
  if (walk.patterns.size >= maxPatterns) return `more than ${maxPatterns} patterns`
  const compiled = compilePattern(source)
  if (compiled === null) return `pattern \`${brief(source)}\` cannot be matched in linear time`
  walk.patterns.set(source, compiled)
  const size = [...walk.patterns.values()].reduce((sum, pattern) => sum + pattern.size, 0)
  return size > maxPatternSize ? 'its patterns are too large together' : null
}

/** Every schema directly inside another, with the keyword it stands under. */
export function* subschemas(
  schema: JsonObject,
  at: string,
): Generator<{ keyword: string; inner: Json; at: string }> {
  for (const keyword of schemaPlaces.one) {
    const inner = schema[keyword]
    if (inner !== undefined && !Array.isArray(inner)) yield { keyword, inner, at: pointer(at, keyword) }
  }
  for (const keyword of [...schemaPlaces.list, 'items']) {
    const inner = schema[keyword]
    if (!Array.isArray(inner)) continue
    for (const [index, one] of inner.entries())
      yield { keyword, inner: one, at: pointer(pointer(at, keyword), index) }
  }
  for (const keyword of [...schemaPlaces.map, 'dependencies']) {
    const inner = schema[keyword]
    if (!isJsonObject(inner)) continue
    for (const [name, one] of Object.entries(inner)) {
      if (!Array.isArray(one)) yield { keyword, inner: one, at: pointer(pointer(at, keyword), name) }
    }
  }
}

function resolve(ref: string, walk: Walk): Json | undefined {
  const id = walk.root.$id
  const local = typeof id === 'string' && ref.startsWith(`${id}#`) ? ref.slice(id.length) : ref
  if (!local.startsWith('#')) return undefined
  if (local === '#') return walk.root
  if (!local.startsWith('#/')) return walk.anchors.get(local.slice(1))
  let found: Json | undefined = walk.root
  for (const step of local.slice(2).split('/')) {
    const name = unescape(step)
    if (typeof found !== 'object' || found === null || name === null) return undefined
    found = Object.hasOwn(found, name) ? Object.entries(found).find(([key]) => key === name)?.[1] : undefined
  }
  return found
}

/** A step of a JSON pointer in a URI fragment (RFC 6901 section 6). */
function unescape(step: string): string | null {
  if (/%(?![0-9A-Fa-f]{2})/.test(step)) return null
  try {
    return decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    // Escapes that are not UTF-8 name nothing.
    return null
  }
}

function collectAnchors(value: Json, anchors: Map<string, JsonObject>): void {
  if (typeof value !== 'object' || value === null) return
  if (isJsonObject(value) && typeof value.$anchor === 'string' && !anchors.has(value.$anchor))
    anchors.set(value.$anchor, value)
  for (const inner of Object.values(value)) collectAnchors(inner, anchors)
}

function height(schema: JsonObject, walk: Walk, heights: Map<JsonObject, number>): number {
  const known = heights.get(schema)
  if (known !== undefined) return known
  // Met again before it is known: a cycle. Infinity stays above every limit on the way up.
  heights.set(schema, Number.POSITIVE_INFINITY)
  let tallest = 0
  for (const inner of walk.seen.get(schema) ?? []) tallest = Math.max(tallest, height(inner, walk, heights))
  heights.set(schema, tallest + 1)
  return tallest + 1
}

const where = (at: string): string => (at === '' ? 'the schema' : `the schema at \`${brief(at, 120)}\``)

const typeNames = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null']
const isNames = (value: Json): boolean =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')
const isCount = (value: Json): boolean => typeof value === 'number' && Number.isInteger(value) && value >= 0
const isFinite = (value: Json): boolean => typeof value === 'number'
const isMap = (value: Json): boolean => isJsonObject(value)
const isList = (value: Json): boolean => Array.isArray(value) && value.length > 0

const keywordChecks: { readonly [keyword: string]: (value: Json) => boolean } = {
  $ref: (value) => typeof value === 'string',
  type: (value) =>
    (Array.isArray(value) ? value : [value]).every(
      (name) => typeof name === 'string' && typeNames.includes(name),
    ),
  enum: (value) => Array.isArray(value),
  required: isNames,
  properties: isMap,
  patternProperties: isMap,
  $defs: isMap,
  definitions: isMap,
  dependentSchemas: isMap,
  dependencies: (value) =>
    isJsonObject(value) && Object.values(value).every((inner) => !Array.isArray(inner) || isNames(inner)),
  dependentRequired: (value) => isJsonObject(value) && Object.values(value).every(isNames),
  allOf: isList,
  anyOf: isList,
  oneOf: isList,
  prefixItems: isList,
  pattern: (value) => typeof value === 'string',
  minLength: isCount,
  maxLength: isCount,
  minItems: isCount,
  maxItems: isCount,
  minProperties: isCount,
  maxProperties: isCount,
  minContains: isCount,
  maxContains: isCount,
  uniqueItems: (value) => typeof value === 'boolean',
  minimum: isFinite,
  maximum: isFinite,
  exclusiveMinimum: isFinite,
  exclusiveMaximum: isFinite,
  multipleOf: (value) => typeof value === 'number' && value > 0,
}

/** A keyword with a value that means nothing would be skipped, and so loosen what was meant; it refuses the schema. */
function malformedKeyword(schema: JsonObject): string | null {
  for (const [keyword, check] of Object.entries(keywordChecks)) {
    const value = Object.hasOwn(schema, keyword) ? schema[keyword] : undefined
    if (value !== undefined && !check(value)) return `\`${keyword}\` is malformed`
  }
  return null
}
