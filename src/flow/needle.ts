import { escapes, unescaped, viewOf } from './decode.ts'
import type { Escape } from './decode.ts'

/**
 * One lent secret, ready to be looked for. From `shortest` characters on it is found anywhere inside larger text and
 * in every form below; a shorter one only as a whole token, as it is: `42` inside `1424` is no leak, and masking it
 * there would break answers.
 */
export type Needle = {
  readonly name: string
  readonly plain: readonly string[]
  /** Hex and base64 forms, as one linear pattern; null for short secrets. */
  readonly coded: RegExp | null
  /** Finds a short secret as a token; null for others. */
  readonly token: RegExp | null
  /** Every text shorter than this cannot hold it. */
  readonly least: number
}

export type Hit = { readonly name: string; readonly start: number; readonly end: number }

export const shortest = 6

/** Null for an empty secret. */
export function needleOf(name: string, secret: string): Needle | null {
  if (secret === '') return null
  const trimmed = secret.trim()
  if (trimmed.length < shortest) {
    const core = trimmed === '' ? secret : trimmed
    const token = new RegExp(`(?<![\\p{L}\\p{N}_])${literal(core)}(?![\\p{L}\\p{N}_])`, 'gu')
    return { name, plain: [], coded: null, token, least: core.length }
  }
  const plain = [
    ...new Set([
      trimmed,
      ...decoded(trimmed),
      ...(trimmed.includes(' ') ? [trimmed.replaceAll(' ', '+')] : []),
    ]),
  ]
  const coded = new RegExp([...new Set(plain.flatMap(codedForms))].join('|'), 'g')
  return { name, plain, coded, token: null, least: Math.min(...plain.map((form) => form.length)) }
}

/** A secret that was taken from a URL may be stored percent-encoded: its owner may echo it decoded. */
function decoded(secret: string): readonly string[] {
  const undone = unescaped(secret, 'percent')
  return undone !== null && undone.length >= shortest ? [undone] : []
}

/** Hex in either case (pairs may be set apart), base64 and base64url at the three alignments (lines may be broken). */
function codedForms(secret: string): readonly string[] {
  const bytes = Buffer.from(secret, 'utf8')
  const hex = Array.from(bytes, (byte) => hexPatterns[byte] ?? '')
  return [hex.join('[:\\s-]?'), ...[0, 1, 2].map((offset) => base64At(bytes, offset))]
}

/** The pattern of each byte's two digits. Each call that borrows a secret makes its needle anew, so this is made once. */
const hexPatterns: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte
    .toString(16)
    .padStart(2, '0')
    .replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`),
)

/**
 * The characters of base64 that depend on the secret alone when `offset` unknown bytes come before it: the first
 * ones share bits with those, the last one with what follows.
 */
function base64At(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes])
    .toString('base64')
    .replace(/=+$/, '')
  const lead = [0, 2, 3][offset] ?? 0
  const tail = (offset + bytes.length) % 3 === 0 ? 0 : 1
  let pattern = ''
  for (let at = lead; at < text.length - tail; at += 1) {
    const mark = text.charAt(at)
    if (at > lead) pattern += '\\s{0,2}'
    pattern += mark === '+' ? '[+-]' : mark === '/' ? '[/_]' : mark
  }
  return pattern
}

/** For patterns with the flag `u`, which knows no other escapes. */
const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')

/** Every place in the text where a needle is, also under one or two layers of escapes. Sorted by start. */
export function hitsIn(text: string, needles: readonly Needle[]): readonly Hit[] {
  const able = needles.filter((needle) => text.length >= needle.least)
  if (able.length === 0) return []
  const hits = [...direct(text, able)]
  for (const escape of escapes) hits.push(...below(text, escape, able, 2))
  return hits.sort((a, b) => a.start - b.start || a.end - b.end)
}

function below(text: string, escape: Escape, needles: readonly Needle[], layers: number): readonly Hit[] {
  const undone = unescaped(text, escape)
  if (undone === null) return []
  const hits = [...direct(undone, needles)]
  if (layers > 1) for (const next of escapes) hits.push(...below(undone, next, needles, layers - 1))
  if (hits.length === 0) return []
  const { at } = viewOf(text, escape)
  return hits.map((hit) => ({ name: hit.name, start: at[hit.start] ?? 0, end: at[hit.end] ?? text.length }))
}

function* direct(text: string, needles: readonly Needle[]): Generator<Hit> {
  for (const { name, plain, coded, token } of needles) {
    for (const form of plain) {
      for (let start = text.indexOf(form); start !== -1; start = text.indexOf(form, start + form.length)) {
        yield { name, start, end: start + form.length }
      }
    }
    for (const pattern of [coded, token]) {
      if (pattern === null) continue
      for (const match of text.matchAll(pattern))
        yield { name, start: match.index, end: match.index + match[0].length }
    }
  }
}
