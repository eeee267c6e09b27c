import { isJsonObject } from '../lib/json.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import type { Tool } from '../registry/tool.ts'
import type { ReadTree } from './reads.ts'

/**
 * What policies can see of a tool's arguments. JSON Schema says more than Cedar's types can: what has no single type
 * is left out with a reason, and a policy that names it is refused at load.
 */
export type Shape =
  | { readonly kind: 'string' | 'long' | 'boolean' | 'decimal' }
  | { readonly kind: 'set'; readonly of: Shape }
  | RecordShape

export type RecordShape = {
  readonly kind: 'record'
  readonly fields: ReadonlyMap<string, { readonly shape: Shape; readonly required: boolean }>
  /** Arguments that policies cannot read, and why. */
  readonly omitted: ReadonlyMap<string, string>
}

const maxDepth = 8
const maxFields = 512
/** Keys by which Cedar's JSON form escapes to entities and extensions, and the one that sets a prototype. */
const reserved = new Set(['__entity', '__extn', '__expr', '__proto__'])

type Reading = { readonly root: JsonObject; fields: number }
type Typed = { readonly shape: Shape; readonly nullable: boolean } | { readonly omitted: string }

export const noInput: RecordShape = { kind: 'record', fields: new Map(), omitted: new Map() }

/** The shape of `context.input` for a tool, from its reviewed definition (JSON Schema 2020-12 or draft 7). */
export function inputShape(tool: Tool): RecordShape {
  const definition = tool.pinned
  if (definition === null) return noInput
  if (tool.kind === 'resource' || tool.kind === 'template') return strings([{ name: 'uri', required: false }])
  if (tool.kind === 'prompt') return strings((definition.arguments ?? []).flatMap(promptArgument))
  if (definition.inputSchema === undefined) return noInput
  const typed = typeOf(definition.inputSchema, { root: definition.inputSchema, fields: 0 }, 0)
  return 'shape' in typed && typed.shape.kind === 'record' ? typed.shape : noInput
}

function promptArgument(argument: Json): { readonly name: string; readonly required: boolean }[] {
  if (!isJsonObject(argument) || typeof argument['name'] !== 'string') return []
  return [{ name: argument['name'], required: argument['required'] === true }]
}

function strings(names: readonly { readonly name: string; readonly required: boolean }[]): RecordShape {
  const usable = names.filter(({ name }) => !reserved.has(name)).slice(0, maxFields)
  return {
    kind: 'record',
    fields: new Map(usable.map(({ name, required }) => [name, { shape: { kind: 'string' }, required }])),
    omitted: new Map(),
  }
}

function typeOf(schema: Json | undefined, reading: Reading, depth: number): Typed {
  if (depth > maxDepth) return { omitted: `it lies more than ${maxDepth} levels deep` }
  if (!isJsonObject(schema)) return { omitted: 'its schema allows any value' }
  if (typeof schema['$ref'] === 'string') return refType(schema['$ref'], reading, depth)
  const alternatives = schema['anyOf'] ?? schema['oneOf'] ?? schema['allOf']
  if (Array.isArray(alternatives) && schema['type'] === undefined && schema['properties'] === undefined)
    return alternativesType(alternatives, reading, depth)
  const listed = schema['enum'] ?? (schema['const'] === undefined ? undefined : [schema['const']])
  if (schema['type'] === undefined && Array.isArray(listed)) return enumType(listed)
  const types = (Array.isArray(schema['type']) ? schema['type'] : [schema['type']]).filter(
    (type) => type !== 'null',
  )
  const nullable = Array.isArray(schema['type']) && schema['type'].includes('null')
  if (types.length !== 1) return { omitted: 'it has more than one type' }
  const typed = singleType(types[0], schema, reading, depth)
  return 'shape' in typed ? { shape: typed.shape, nullable: nullable || typed.nullable } : typed
}

function singleType(type: Json | undefined, schema: JsonObject, reading: Reading, depth: number): Typed {
  switch (type) {
    case 'string':
      return plain('string')
    case 'boolean':
      return plain('boolean')
    case 'integer':
      return plain('long')
    case 'number':
      return plain('decimal')
    case 'array':
      return arrayType(schema, reading, depth)
    case 'object':
      return objectType(schema, reading, depth)
    default:
      return isJsonObject(schema['properties'])
        ? objectType(schema, reading, depth)
        : { omitted: 'its schema gives no type' }
  }
}

const plain = (kind: 'string' | 'long' | 'boolean' | 'decimal'): Typed => ({
  shape: { kind },
  nullable: false,
})

function arrayType(schema: JsonObject, reading: Reading, depth: number): Typed {
  if (schema['prefixItems'] !== undefined || Array.isArray(schema['items']))
    return { omitted: 'its items have different types by position' }
  const items = typeOf(schema['items'], reading, depth + 1)
  if ('omitted' in items) return { omitted: `of its items: ${items.omitted}` }
  if (items.nullable) return { omitted: 'its items may be null' }
  return { shape: { kind: 'set', of: items.shape }, nullable: false }
}

function objectType(schema: JsonObject, reading: Reading, depth: number): Typed {
  const properties = schema['properties']
  if (!isJsonObject(properties)) return { omitted: 'its schema names no properties' }
  const required = new Set(Array.isArray(schema['required']) ? schema['required'] : [])
  const fields = new Map<string, { shape: Shape; required: boolean }>()
  const omitted = new Map<string, string>()
  for (const name of Object.keys(properties)) {
    const typed = fieldType(name, properties[name], reading, depth)
    if ('omitted' in typed) omitted.set(name, typed.omitted)
    else fields.set(name, { shape: typed.shape, required: required.has(name) && !typed.nullable })
  }
  return { shape: { kind: 'record', fields, omitted }, nullable: false }
}

function fieldType(name: string, schema: Json | undefined, reading: Reading, depth: number): Typed {
  if (reserved.has(name)) return { omitted: 'its name is reserved' }
  reading.fields += 1
  if (reading.fields > maxFields) return { omitted: `the tool has more than ${maxFields} arguments` }
  return typeOf(schema, reading, depth + 1)
}

function alternativesType(alternatives: readonly Json[], reading: Reading, depth: number): Typed {
  const others = alternatives.filter((one) => !(isJsonObject(one) && one['type'] === 'null'))
  if (others.length !== 1) return { omitted: 'it has more than one type' }
  const typed = typeOf(others[0], reading, depth + 1)
  if ('omitted' in typed) return typed
  return { shape: typed.shape, nullable: typed.nullable || others.length < alternatives.length }
}

function enumType(values: readonly Json[]): Typed {
  const present = values.filter((value) => value !== null)
  const nullable = present.length < values.length
  if (present.length > 0 && present.every((value) => typeof value === 'string'))
    return { shape: { kind: 'string' }, nullable }
  if (present.length > 0 && present.every((value) => typeof value === 'boolean'))
    return { shape: { kind: 'boolean' }, nullable }
  if (present.length > 0 && present.every((value) => Number.isSafeInteger(value)))
    return { shape: { kind: 'long' }, nullable }
  return { omitted: 'its listed values have more than one type' }
}

/** Local references only; depth bounds the cycles. */
function refType(ref: string, reading: Reading, depth: number): Typed {
  if (!ref.startsWith('#/')) return { omitted: 'it refers to another document' }
  let at: Json | undefined = reading.root
  for (const part of ref.slice(2).split('/')) {
    const name: string = part.replaceAll('~1', '/').replaceAll('~0', '~')
    at = isJsonObject(at) && Object.hasOwn(at, name) ? at[name] : undefined
  }
  return typeOf(at, reading, depth + 1)
}

/** The part of a shape that a policy reads: tools that agree on it need one validation between them. */
export function pruned(shape: Shape, reads: ReadTree): Shape {
  if (shape.kind !== 'record' || reads.whole) return shape
  const fields = new Map<string, { shape: Shape; required: boolean }>()
  for (const [name, below] of reads.names) {
    const field = shape.fields.get(name)
    if (field !== undefined) fields.set(name, { shape: pruned(field.shape, below), required: field.required })
  }
  return { kind: 'record', fields, omitted: new Map() }
}

/** A shape as one line of text, equal for equal shapes. */
export function shapeKey(shape: Shape): string {
  if (shape.kind === 'set') return `[${shapeKey(shape.of)}]`
  if (shape.kind !== 'record') return shape.kind
  const fields = [...shape.fields].sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([name, f]) => `${JSON.stringify(name)}${f.required ? ':' : '?:'}${shapeKey(f.shape)}`).join(',')}}`
}
