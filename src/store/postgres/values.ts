import { types } from 'pg'
import type { CustomTypesConfig } from 'pg'
import type { Param, Value } from '../query.ts'

/**
 * How values cross. PostgreSQL keeps no U+0000 in text, and an agent may put one into the words of its purpose or a
 * name: refused there, its refusal could not be recorded either. So it is written as U+001A and `0`, and U+001A itself as
 * U+001A and `1`: every text comes back as it was put, and no two of them meet. JSON holds neither as such.
 */
export const encode = (text: string): string =>
  unsafe.test(text) ? text.replaceAll('\u001a', '\u001a1').replaceAll('\u0000', '\u001a0') : text

const unsafe = /[\u0000\u001a]/

/** Bytes cross as they are, everything else as text. */
export function bindValue(param: Param): Buffer | string | null {
  if (typeof param === 'string') return encode(param)
  if (param === null) return null
  if (typeof param === 'number') return String(param)
  return Buffer.from(param.buffer, param.byteOffset, param.byteLength)
}

const decodeText = (text: string): Value =>
  text.includes('\u001a') ? text.replaceAll('\u001a0', '\u0000').replaceAll('\u001a1', '\u001a') : text

/** `\x` and hexadecimal digits. Of exactly its size: a view into Node's shared pool would hold on to the whole pool. */
const decodeBytes = (text: string): Value => new Uint8Array(Buffer.from(text.slice(2), 'hex'))

const decodeSmall = (text: string): Value => Number(text)
const decodeTruth = (text: string): Value => (text === 't' ? 1 : 0)
const asItIs = (text: string): Value => text

const decoders: ReadonlyMap<number, (text: string) => Value> = new Map([
  [types.builtins.BOOL, decodeTruth],
  [types.builtins.BYTEA, decodeBytes],
  [types.builtins.INT2, decodeSmall],
  [types.builtins.INT4, decodeSmall],
  [types.builtins.TEXT, decodeText],
  [types.builtins.VARCHAR, decodeText],
])

/** By the type's number in the catalogue. 64-bit numbers stay decimal text, which `int` takes. */
export const decoderOf = (type: number): ((text: string) => Value) => decoders.get(type) ?? asItIs

/** The same for who asks with the driver's own queries. */
export const decoding: CustomTypesConfig = { getTypeParser: decoderOf }
