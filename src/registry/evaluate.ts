import { brief, pointer } from './bounds.ts'
import { canonical } from '../lib/jcs.ts'
import { isJsonObject } from '../lib/json.ts'
import { adopt, mergeSeen, newSeen, nothingSeen } from './seen.ts'
import { matches, scalarProblem } from './scalar.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import type { Seen } from './seen.ts'
import type { Vetted } from './vet.ts'

/** One evaluation. `fuel` bounds its work whatever the schema says; running out is a refusal, never a pass. */
export type Run = { readonly vetted: Vetted; fuel: number; readonly problems: string[] }

/** A place in the value; `loud` is false inside alternatives, whose failures are not problems by themselves. */
export type Place = { readonly at: string; readonly loud: boolean }

const maxProblems = 10

export function report(run: Run, place: Place, expected: string): null {
  const at = place.at === '' ? 'the arguments' : `\`${brief(place.at, 120)}\``
  if (place.loud && run.problems.length < maxProblems) run.problems.push(`${at}: ${expected}`)
  return null
}

/**
 * Applies a vetted schema to a value. Returns what the schema named and evaluated there (JSON Schema 2020-12,
 * section 10 and 11: annotations of failed branches are dropped), or null when the value does not fit.
 */
export function evaluate(run: Run, schema: Json, value: Json, place: Place): Seen | null {
  run.fuel -= 1
  if (run.fuel < 0) return null
  const seen = typeof value === 'object' && value !== null ? newSeen() : nothingSeen
  if (schema === true) return seen
  if (!isJsonObject(schema)) return report(run, place, 'nothing is allowed here')
  let fits = true
  const keep = (inner: Seen | null): boolean => {
    if (inner === null) fits = false
    else mergeSeen(seen, inner)
    return inner !== null
  }
  const wrong = scalarProblem(run, schema, value)
  if (wrong !== null) {
    fits = false
    report(run, place, wrong)
  }
  if (typeof schema.$ref === 'string')
    keep(evaluate(run, run.vetted.refs.get(schema.$ref) ?? false, value, place))
  if (!combine(run, schema, value, place, keep)) fits = false
  if (isJsonObject(value) && !objectFits(run, schema, value, place, seen)) fits = false
  if (Array.isArray(value) && !arrayFits(run, schema, value, place, seen)) fits = false
  return fits ? seen : null
}

type Keep = (inner: Seen | null) => boolean

/** `allOf`, `anyOf`, `oneOf`, `not`, `if`: schemas beside each other for one value. */
function combine(run: Run, schema: JsonObject, value: Json, place: Place, keep: Keep): boolean {
  const quiet: Place = { at: place.at, loud: false }
  let fits = true
  for (const inner of list(schema.allOf)) keep(evaluate(run, inner, value, place))
  if (schema.anyOf !== undefined) {
    const passed = list(schema.anyOf)
      .map((inner) => evaluate(run, inner, value, quiet))
      .filter((inner) => inner !== null)
    for (const inner of passed) keep(inner)
    if (passed.length === 0) fits = alternatives(run, list(schema.anyOf), value, place)
  }
  if (schema.oneOf !== undefined) {
    const passed = list(schema.oneOf)
      .map((inner) => evaluate(run, inner, value, quiet))
      .filter((inner) => inner !== null)
    if (passed.length === 1) keep(passed[0] ?? null)
    else if (passed.length === 0) fits = alternatives(run, list(schema.oneOf), value, place)
    else
      fits =
        report(
          run,
          place,
          `expected to fit exactly one of ${list(schema.oneOf).length} forms, fits ${passed.length}`,
        ) !== null
  }
  if (schema.not !== undefined && evaluate(run, schema.not, value, quiet) !== null) {
    fits = report(run, place, 'this form is excluded by the schema') !== null
  }
  if (schema.if !== undefined) {
    const condition = evaluate(run, schema.if, value, quiet)
    if (condition !== null) keep(condition)
    const branch = condition === null ? schema.else : schema.then
    if (branch !== undefined) keep(evaluate(run, branch, value, place))
  }
  return fits
}

/** Nothing fitted: with one form left that has the right type, its own problems say more than a count does. */
function alternatives(run: Run, forms: readonly Json[], value: Json, place: Place): false {
  if (!place.loud) return false
  const near = forms.filter(
    (form) =>
      isJsonObject(form) &&
      (form.type === undefined || scalarProblem(run, { type: form.type }, value) === null),
  )
  const only = near[0]
  if (near.length === 1 && only !== undefined) evaluate(run, only, value, place)
  else report(run, place, `expected to fit one of ${forms.length} forms`)
  return false
}

function objectFits(run: Run, schema: JsonObject, value: JsonObject, place: Place, seen: Seen): boolean {
  let fits = true
  const fail = (expected: string): void => {
    fits = false
    report(run, place, expected)
  }
  const dependent = entries(schema.dependentRequired, schema.dependencies)
  run.fuel -= (list(schema.required).length + dependent.length) >> 2
  for (const name of list(schema.required)) {
    if (typeof name === 'string' && !Object.hasOwn(value, name))
      fail(`expected \`${brief(name)}\`, which is missing`)
  }
  for (const [name, needed] of dependent) {
    if (!Object.hasOwn(value, name) || !Array.isArray(needed)) continue
    for (const other of needed) {
      if (typeof other === 'string' && !Object.hasOwn(value, other))
        fail(`expected \`${brief(other)}\` together with \`${brief(name)}\``)
    }
  }
  for (const [name, inner] of entries(schema.dependentSchemas, schema.dependencies)) {
    if (!Object.hasOwn(value, name) || Array.isArray(inner)) continue
    const applied = evaluate(run, inner, value, place)
    if (applied === null) fits = false
    else mergeSeen(seen, applied)
  }
  const child = (name: string, inner: Json, item: Json): void => {
    const applied = evaluate(run, inner, item, { at: pointer(place.at, name), loud: place.loud })
    if (applied === null) fits = false
    else adopt(seen, name, applied)
    seen.properties.add(name)
  }
  membersFit(run, schema, value, child, seen)
  if (schema.propertyNames !== undefined) {
    for (const name of Object.keys(value)) {
      if (evaluate(run, schema.propertyNames, name, { at: place.at, loud: false }) === null)
        fail(`\`${brief(name)}\` is not an allowed name`)
    }
  }
  return fits
}

function membersFit(
  run: Run,
  schema: JsonObject,
  value: JsonObject,
  child: (name: string, inner: Json, item: Json) => void,
  seen: Seen,
): void {
  const properties = isJsonObject(schema.properties) ? schema.properties : null
  const patterns = entries(schema.patternProperties)
  if (properties !== null || patterns.length > 0) seen.names = true
  for (const [name, item] of Object.entries(value)) {
    run.fuel -= 1 + patterns.length
    const own = properties !== null && Object.hasOwn(properties, name) ? properties[name] : undefined
    const matching = patterns.filter(([source]) => matches(run, source, name))
    if (own !== undefined) child(name, own, item)
    for (const [, inner] of matching) child(name, inner, item)
    if (own === undefined && matching.length === 0 && schema.additionalProperties !== undefined) {
      child(name, schema.additionalProperties, item)
    }
  }
  if (schema.unevaluatedProperties === undefined) return
  for (const [name, item] of Object.entries(value)) {
    if (!seen.properties.has(name)) child(name, schema.unevaluatedProperties, item)
  }
}

function arrayFits(run: Run, schema: JsonObject, value: readonly Json[], place: Place, seen: Seen): boolean {
  let fits = true
  const item = (index: number, inner: Json): void => {
    const applied = evaluate(run, inner, value[index] ?? null, {
      at: pointer(place.at, index),
      loud: place.loud,
    })
    if (applied === null) fits = false
    else adopt(seen, String(index), applied)
    seen.items.add(index)
  }
  // Draft-07 wrote `items` as a list, and `additionalItems` for the rest; 2020-12 has `prefixItems` and `items`.
  const prefix = Array.isArray(schema.items) ? schema.items : list(schema.prefixItems)
  const rest = Array.isArray(schema.items) ? schema.additionalItems : schema.items
  for (let index = 0; index < value.length && run.fuel > 0; index++) {
    const inner = prefix[index] ?? rest
    if (inner !== undefined) item(index, inner)
  }
  if (schema.contains !== undefined) {
    const inner = schema.contains
    const found = value.flatMap((one, index) =>
      evaluate(run, inner, one, { at: place.at, loud: false }) === null ? [] : [index],
    )
    for (const index of found) seen.items.add(index)
    const least = typeof schema.minContains === 'number' ? schema.minContains : 1
    const most = typeof schema.maxContains === 'number' ? schema.maxContains : Number.POSITIVE_INFINITY
    if (found.length < least || found.length > most) {
      fits =
        report(run, place, `expected ${least} or more items of a certain form, found ${found.length}`) !==
        null
    }
  }
  if (schema.uniqueItems === true && !differ(run, value)) {
    fits = report(run, place, 'expected items that differ from each other') !== null
  }
  if (schema.unevaluatedItems !== undefined) {
    for (let index = 0; index < value.length; index++)
      if (!seen.items.has(index)) item(index, schema.unevaluatedItems)
  }
  return fits
}

function differ(run: Run, items: readonly Json[]): boolean {
  const texts = new Set<string>()
  for (const item of items) {
    const text = canonical(item)
    run.fuel -= 1 + (text.length >> 6)
    texts.add(text)
  }
  return texts.size === items.length
}

const list = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : [])

const entries = (...maps: readonly (Json | undefined)[]): [string, Json][] =>
  maps.flatMap((map) => (isJsonObject(map) ? Object.entries(map) : []))
