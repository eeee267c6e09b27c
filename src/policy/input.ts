import type { CedarValueJson } from '@cedar-policy/cedar-wasm/nodejs'
import { isJsonObject } from '../lib/json.ts'
import type { Json } from '../lib/json.ts'
import type { ReadTree } from './reads.ts'
import type { Shape } from './shape.ts'

/** A fact that policies need and that has no faithful form: the call is denied. Holds no argument's value. */
export class Unfit extends Error {}

const maxStringBytes = 64 * 1024
const maxItems = 1024
const maxTotal = 256 * 1024

type Reading = { left: number }

/**
 * Arguments in Cedar's JSON form: only those that the policies read, of the types that the reviewed schema gives. An
 * argument that is there but has no faithful form throws `Unfit`: leaving it out would let a `forbid` on it slip by.
 */
export function inputFacts(args: Json, shape: Shape, reads: ReadTree): CedarValueJson {
  return convert({ value: args, shape, reads, at: '', reading: { left: maxTotal } })
}

type Conversion = {
  readonly value: Json
  readonly shape: Shape
  readonly reads: ReadTree
  readonly at: string
  readonly reading: Reading
}

function convert(of: Conversion): CedarValueJson {
  switch (of.shape.kind) {
    case 'string':
      return text(of)
    case 'boolean':
      return typeof of.value === 'boolean' ? of.value : unfit(of.at, 'is not a boolean')
    case 'long':
      return Number.isSafeInteger(of.value)
        ? Number(of.value)
        : unfit(of.at, 'is not an integer that a policy can hold exactly')
    case 'decimal':
      return decimal(of.value, of.at)
    case 'set':
      return items(of, of.shape.of)
    case 'record':
      return fields(of, of.shape)
  }
}

function text(of: Conversion): string {
  if (typeof of.value !== 'string') return unfit(of.at, 'is not a string')
  // A lone surrogate would reach the engine as another character than the server gets.
  if (!of.value.isWellFormed()) return unfit(of.at, 'is not well-formed Unicode')
  const bytes = Buffer.byteLength(of.value)
  if (bytes > maxStringBytes)
    return unfit(of.at, `is longer than the ${maxStringBytes} bytes that a policy may read`)
  return spend(of, bytes, of.value)
}

function spend<T>(of: Conversion, cost: number, value: T): T {
  of.reading.left -= cost
  return of.reading.left < 0
    ? unfit(of.at, `makes the arguments longer than the ${maxTotal} bytes that policies may read`)
    : value
}

function items(of: Conversion, shape: Shape): CedarValueJson {
  if (!Array.isArray(of.value)) return unfit(of.at, 'is not an array')
  if (of.value.length > maxItems)
    return unfit(of.at, `has more than the ${maxItems} items that a policy may read`)
  const whole = { whole: true, names: new Map() }
  return of.value.map((value: Json, index) =>
    convert({ ...of, value: spend(of, 8, value), shape, reads: whole, at: `${of.at}/${index}` }),
  )
}

function fields(of: Conversion, shape: Extract<Shape, { kind: 'record' }>): CedarValueJson {
  const value = of.value
  if (!isJsonObject(value)) return unfit(of.at, 'is not an object')
  const record: { [name: string]: CedarValueJson } = {}
  const names = of.reads.whole ? shape.fields.keys() : of.reads.names.keys()
  const whole = { whole: true, names: new Map() }
  for (const name of names) {
    const field = shape.fields.get(name)
    const given = Object.hasOwn(value, name) ? value[name] : undefined
    if (field === undefined || given === undefined || (given === null && !field.required)) {
      if (field?.required === true) unfit(pointer(of.at, name), 'is missing')
      continue
    }
    const reads = of.reads.whole ? whole : (of.reads.names.get(name) ?? whole)
    record[name] = convert({ ...of, value: given, shape: field.shape, reads, at: pointer(of.at, name) })
  }
  return record
}

const pointer = (at: string, name: string): string =>
  `${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`

/** Cedar decimals: four digits after the point, 64 bits. Rounding could carry a value over a limit, so none is done. */
export function decimal(value: Json, at: string): CedarValueJson {
  const written = typeof value === 'number' ? plainDigits(value) : value
  if (typeof written !== 'string' || !/^-?\d{1,15}(?:\.\d{1,4})?$/.test(written))
    return unfit(at, 'is not a number with at most 15 digits before and 4 after the point')
  return { __extn: { fn: 'decimal', arg: written.includes('.') ? written : `${written}.0` } }
}

/** JavaScript writes numbers from 1e21 and below 1e-6 with an exponent; both are outside what a decimal holds. */
const plainDigits = (value: number): string => (Object.is(value, -0) ? '0' : String(value))

function unfit(at: string, why: string): never {
  throw new Unfit(`argument \`${at === '' ? '/' : at.slice(0, 200)}\` ${why}`)
}
