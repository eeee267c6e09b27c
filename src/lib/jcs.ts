import { isJsonObject } from './json.ts'
import type { Json, JsonObject } from './json.ts'

/** Deeper values are refused: every reader of ours recurses, so depth is an attacker's way to a stack overflow. */
const maxDepth = 128

/** Code units that may make a string unfit for I-JSON; for one-byte strings the engine answers without a scan. */
const suspect = /[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]/
/** Text that stands in JSON as it is. For short text this is faster than the engine's own quoting. */
const plain = /^[ !#-[\]-~]*$/
const noncharacter = /\p{Noncharacter_Code_Point}/u

/**
 * The one serialisation that is hashed, signed, logged and sent (RFC 8785): names in UTF-16 code unit order,
 * ECMAScript numbers, no white space. What it refuses would read differently elsewhere, so that a digest over it
 * would cover something else than what the next parser sees.
 *
 * Throws `TypeError` on anything that is not I-JSON (RFC 7493): `undefined`, functions, dates and other objects that
 * are not plain, NaN, infinities, lone surrogates, noncharacters, and more than 128 levels (cycles with them).
 */
export function canonical(value: Json): string {
  return write(value, 0)
}

function write(value: Json | undefined, depth: number): string {
  switch (typeof value) {
    case 'string':
      return quote(value)
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`expected a finite number, found \`${value}\``)
      // ECMAScript's own form is the one RFC 8785 names; -0 becomes 0.
      return String(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return 'null'
      if (depth >= maxDepth) throw new TypeError(`expected at most ${maxDepth} levels of nesting`)
      return isJsonObject(value) ? writeObject(value, depth + 1) : writeArray(value, depth + 1)
    default:
      throw new TypeError(`expected a JSON value, found \`${typeof value}\``)
  }
}

function writeArray(items: readonly Json[], depth: number): string {
  let text = '['
  // By index, so that a hole is seen as undefined and refused.
  for (let i = 0; i < items.length; i++)
    text += i === 0 ? write(items[i], depth) : ',' + write(items[i], depth)
  return text + ']'
}

function writeObject(members: JsonObject, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(members)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError('expected a plain object; copy the fields that are meant first')
  }
  let text = '{'
  for (const name of inOrder(Object.keys(members))) {
    if (text.length > 1) text += ','
    text += quote(name) + ':' + write(members[name], depth)
  }
  return text + '}'
}

/** By UTF-16 code units, as RFC 8785 section 3.2.3 asks: `<` and sort() compare so. What was canonical is in order. */
function inOrder(names: string[]): string[] {
  for (let i = 1; i < names.length; i++) if ((names[i - 1] ?? '') > (names[i] ?? '')) return names.sort()
  return names
}

function quote(text: string): string {
  if (text.length < 100 && plain.test(text)) return `"${text}"`
  if (suspect.test(text) && !isIJsonText(text)) {
    throw new TypeError('expected text without lone surrogates or noncharacters (RFC 7493 section 2.1)')
  }
  return JSON.stringify(text)
}

/** Whether a string may stand in I-JSON: no lone surrogates, no noncharacters (RFC 7493 section 2.1). */
export const isIJsonText = (text: string): boolean =>
  !suspect.test(text) || (text.isWellFormed() && !noncharacter.test(text))

/** The same text with U+FFFD for what may not stand in I-JSON: a stranger's words must not keep an entry from being written. */
export const toIJsonText = (text: string): string =>
  isIJsonText(text) ? text : text.toWellFormed().replaceAll(/\p{Noncharacter_Code_Point}/gu, '\ufffd')
