import { brief } from './bounds.ts'
import { canonical } from '../lib/jcs.ts'
import { isJsonObject } from '../lib/json.ts'
import { matchingCost } from './pattern.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import type { Run } from './evaluate.ts'

/** Texts longer than this are not matched against patterns: linear is still too long. */
const maxMatched = 256 * 1024

/**
 * The keywords that look at one value without descending: type, enum, const, and the limits of numbers, texts, arrays
 * and objects. Returns what was expected, in words that quote the schema and never the value, or null.
 */
export function scalarProblem(run: Run, schema: JsonObject, value: Json): string | null {
  const wanted =
    typeof schema.type === 'string' ? [schema.type] : Array.isArray(schema.type) ? schema.type : null
  if (wanted !== null && !wanted.some((type) => isType(value, type)))
    return `expected ${wanted.join(' or ')}, found ${nameOfType(value)}`
  if (schema.const !== undefined && !isAmong(run, [schema.const], value))
    return `expected ${quoted(schema.const)}`
  if (Array.isArray(schema.enum)) {
    if (!isAmong(run, schema.enum, value)) {
      return `expected one of ${schema.enum.slice(0, 12).map(quoted).join(', ')}${schema.enum.length > 12 ? ', …' : ''}`
    }
  }
  if (typeof value === 'number') return numberProblem(schema, value)
  if (typeof value === 'string') return textProblem(run, schema, value)
  if (Array.isArray(value)) return countProblem(schema, value.length, 'Items', 'items')
  if (isJsonObject(value)) return countProblem(schema, Object.keys(value).length, 'Properties', 'members')
  return null
}

function numberProblem(schema: JsonObject, value: number): string | null {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema
  if (typeof minimum === 'number' && value < minimum) return `expected at least ${minimum}`
  if (typeof maximum === 'number' && value > maximum) return `expected at most ${maximum}`
  if (typeof exclusiveMinimum === 'number' && value <= exclusiveMinimum)
    return `expected more than ${exclusiveMinimum}`
  if (typeof exclusiveMaximum === 'number' && value >= exclusiveMaximum)
    return `expected less than ${exclusiveMaximum}`
  if (typeof multipleOf === 'number' && !isMultiple(value, multipleOf))
    return `expected a multiple of ${multipleOf}`
  return null
}

/** 19.99 is a multiple of 0.01, whatever binary fractions say. */
function isMultiple(value: number, of: number): boolean {
  const ratio = value / of
  return Number.isFinite(ratio) && Math.abs(ratio - Math.round(ratio)) <= 1e-9 * Math.max(1, Math.abs(ratio))
}

function textProblem(run: Run, schema: JsonObject, value: string): string | null {
  run.fuel -= value.length >> 8
  const { minLength, maxLength, pattern } = schema
  // Code points, as JSON Schema counts; never more than code units.
  const least = typeof minLength === 'number' ? minLength : 0
  const most = typeof maxLength === 'number' ? maxLength : Number.POSITIVE_INFINITY
  if (value.length < least || value.length > most || (least > 0 && value.length < 2 * least)) {
    const length = codePoints(value)
    if (length < least) return `expected at least ${least} characters`
    if (length > most) return `expected at most ${most} characters`
  }
  if (typeof pattern !== 'string') return null
  if (value.length > maxMatched) return `expected at most ${maxMatched} characters where a pattern applies`
  return matches(run, pattern, value) ? null : `expected text that matches \`${brief(pattern, 100)}\``
}

/** Whether a pattern of the schema matches; false once the fuel is spent, which refuses the whole. */
export function matches(run: Run, source: string, text: string): boolean {
  const pattern = run.vetted.patterns.get(source)
  if (pattern === undefined) return false
  run.fuel -= matchingCost(pattern, text)
  return run.fuel >= 0 && pattern.test(text)
}

function codePoints(text: string): number {
  let count = 0
  for (const _ of text) count += 1
  return count
}

function countProblem(
  schema: JsonObject,
  count: number,
  keyword: 'Items' | 'Properties',
  what: string,
): string | null {
  const least = schema[`min${keyword}`]
  const most = schema[`max${keyword}`]
  if (typeof least === 'number' && count < least) return `expected at least ${least} ${what}, found ${count}`
  if (typeof most === 'number' && count > most) return `expected at most ${most} ${what}, found ${count}`
  return null
}

function isType(value: Json, type: Json): boolean {
  switch (type) {
    case 'object':
      return isJsonObject(value)
    case 'array':
      return Array.isArray(value)
    case 'null':
      return value === null
    case 'integer':
      return typeof value === 'number' && Number.isInteger(value)
    default:
      return typeof value === type
  }
}

function nameOfType(value: Json): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

/** The value is put in canonical form once, however many it is compared with. */
function isAmong(run: Run, choices: readonly Json[], value: Json): boolean {
  run.fuel -= choices.length >> 2
  if (typeof value !== 'object' || value === null) return choices.includes(value)
  const text = canonical(value)
  run.fuel -= text.length >> 6
  return choices.some((one) => typeof one === 'object' && one !== null && canonical(one) === text)
}

const quoted = (value: Json): string => `\`${brief(canonical(value), 40)}\``
