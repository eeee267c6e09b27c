import { mutateJson } from './shape.ts'
import type { Input } from './target.ts'
import type { Random } from './random.ts'

/** What mutations draw from. */
export type Material = {
  readonly random: Random
  readonly words: readonly Buffer[]
  /** Another input, for splicing. */
  readonly other: () => Input
  readonly most: number
  /** The share of mutations that keep to the structure of JSON, above what chance gives them. */
  readonly structure: number
}

type Mutation = (input: Buffer, material: Material) => Buffer

const insert = (input: Buffer, at: number, what: Uint8Array): Buffer =>
  Buffer.concat([input.subarray(0, at), what, input.subarray(at)])

const piece = (input: Buffer, random: Random): readonly [number, number] => {
  const from = random.below(input.length + 1)
  return [from, Math.min(input.length, from + 1 + random.below(random.chance(0.2) ? 64 : 8))]
}

/** Bytes at which readers take another turn. */
const telling = Buffer.from('\0\t\n\r "\'%&+,-./:;<=>?@[\\]_`{|}~\x7f\x80\xc0\xe2\xed\xef\xf4\xff', 'latin1')
const numbers = ['-0', '-1', '0', '1', '255', '256', '65535', '65536', '2147483648', '4294967296', '9007199254740991', '9007199254740992', '1e309', '1e-400', '0x10', '00', '1.0', 'NaN'] // prettier-ignore
const runes = ['\u0000', '\u00ad', '\u200b', '\u202e', '\u2028', '\ud7ff', '\ufeff', '\ufffd', '\uffff', '\u{10ffff}', '\u{1f600}', 'ſ', 'K', 'İ', '①', '／', '．', 'é', 'e\u0301', 'ß'] // prettier-ignore

const mutations: readonly Mutation[] = [
  function flipBit(input, { random }) {
    const out = Buffer.from(input)
    const at = random.below(out.length)
    if (out.length > 0) out[at] = (out[at] ?? 0) ^ (1 << random.below(8))
    return out
  },
  function setByte(input, { random }) {
    const out = Buffer.from(input)
    if (out.length > 0)
      out[random.below(out.length)] = random.chance(0.5)
        ? random.below(256)
        : (random.pick([...telling]) ?? 0)
    return out
  },
  function putByte(input, { random }) {
    return insert(input, random.below(input.length + 1), Buffer.of(random.pick([...telling]) ?? 0))
  },
  function drop(input, { random }) {
    const [from, to] = piece(input, random)
    return Buffer.concat([input.subarray(0, from), input.subarray(to)])
  },
  function repeat(input, { random, most }) {
    const [from, to] = piece(input, random)
    const part = input.subarray(from, to)
    const times = Math.min(
      random.chance(0.1) ? 512 : 1 + random.below(4),
      Math.floor(most / (part.length + 1)),
    )
    return insert(input, to, Buffer.concat(Array.from({ length: times }, () => part)))
  },
  function move(input, { random }) {
    const [from, to] = piece(input, random)
    const rest = Buffer.concat([input.subarray(0, from), input.subarray(to)])
    return insert(rest, random.below(rest.length + 1), input.subarray(from, to))
  },
  function word(input, { random, words }) {
    const chosen = random.pick(words)
    if (chosen === undefined) return input
    const at = random.below(input.length + 1)
    const gone = random.chance(0.5) ? chosen.length : 0
    return Buffer.concat([input.subarray(0, at), chosen, input.subarray(at + gone)])
  },
  function number(input, { random }) {
    const found = [...input.toString('latin1').matchAll(/-?\d+(?:\.\d+)?/g)]
    const chosen = random.pick(found)
    const put = Buffer.from(random.pick(numbers) ?? '0')
    if (chosen === undefined) return insert(input, random.below(input.length + 1), put)
    const end = chosen.index + chosen[0].length
    return Buffer.concat([input.subarray(0, chosen.index), put, input.subarray(end)])
  },
  function rune(input, { random }) {
    return insert(input, random.below(input.length + 1), Buffer.from(random.pick(runes) ?? ''))
  },
  function escape(input, { random }) {
    const at = random.below(input.length)
    const byte = input[at] ?? 0
    const hex = byte.toString(16).padStart(2, '0')
    const forms = [`%${hex}`, `%25${hex}`, `\\u00${hex}`, `\\x${hex}`, `&#${byte};`, `%${hex.toUpperCase()}`]
    return Buffer.concat([
      input.subarray(0, at),
      Buffer.from(random.pick(forms) ?? ''),
      input.subarray(at + 1),
    ])
  },
  function line(input, { random }) {
    const lines = input.toString('latin1').split('\n')
    const at = random.below(lines.length)
    const chosen = lines[at] ?? ''
    const act = random.below(3)
    if (act === 0) lines.splice(at, 1)
    else if (act === 1) lines.splice(random.below(lines.length + 1), 0, chosen)
    else lines.splice(random.below(lines.length), 0, ...lines.splice(at, 1))
    return Buffer.from(lines.join('\n'), 'latin1')
  },
  function cut(input, { random }) {
    return input.subarray(0, random.below(input.length + 1))
  },
  function splice(input, { random, other }) {
    const second = other()
    return Buffer.concat([
      input.subarray(0, random.below(input.length + 1)),
      second.subarray(random.below(second.length + 1)),
    ])
  },
  function cross(input, { random, other }) {
    const second = Buffer.from(other())
    const [from, to] = piece(second, random)
    return insert(input, random.below(input.length + 1), second.subarray(from, to))
  },
  function json(input, material) {
    return mutateJson(input, material)
  },
  function jsonAgain(input, material) {
    return mutateJson(mutateJson(input, material), material)
  },
]

/** One to many mutations on top of each other; mostly few, so that what was deep in the input stays reachable. */
export function mutate(input: Input, material: Material): Input {
  const { random, most } = material
  let out = Buffer.from(input)
  const times = random.chance(0.5) ? 1 : 1 + random.below(8)
  for (let time = 0; time < times; time++) {
    const mutation = random.chance(material.structure) ? mutateJson : random.pick(mutations)
    if (mutation !== undefined) out = Buffer.from(mutation(out, material).subarray(0, most))
  }
  return out
}
