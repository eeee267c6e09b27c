import fc from 'fast-check'
import { escapes, unescaped, viewOf } from '../../src/flow/decode.ts'
import { canonical } from '../../src/lib/jcs.ts'
import { parseIJson } from '../../src/lib/ijson.ts'
import { redact } from '../../src/flow/redact.ts'
import { secretOf } from '../../src/credential/secret.ts'
import { secretShapes, secretSpans } from '../../src/flow/formats.ts'
import { bytes, hold, text, type Input, type Target } from '../target.ts'
import type { Json } from '../../src/lib/json.ts'

/** Three kinds of secrets: one like a key, one with what URLs and HTML escape, one that is only a token. */
const secrets = ['cs-canary-Zq81+xYw7/==', 'p&ss "w<rd>\\%41é', 'k9'] as const
const lent = secrets.map((secret, index) => ({ name: `secret-${index}`, value: secretOf(secret) }))

/** What takes lent secrets out of answers: JSON that says them in every form that is promised to be found. */
export async function open(): Promise<Target> {
  const forms = secrets.slice(0, 2).flatMap(spellings)
  return {
    atOnce: 1,
    json: true,
    words: [...forms, ...secrets, 'data', 'blob', 'text', '%', '&#', '\\u00', '=?base64?', 'AKIA', 'ghp_', 'eyJ', '-----BEGIN PRIVATE KEY-----'],
    seeds: forms.map((form) => bytes(JSON.stringify({ text: form, data: form, [form]: [1, form] }))),
    fresh: fc
      .tuple(fc.constantFrom(...forms), fc.string({ maxLength: 6 }), fc.string({ maxLength: 6 }))
      .map(([form, before, after]) => bytes(JSON.stringify([before + form + after, { text: before + form, [form + after]: null }]))),
    run,
  } // prettier-ignore
}

/** How a server might say a secret; what `redact` promises to find. */
function spellings(secret: string): readonly string[] {
  const raw = Buffer.from(secret)
  const hex = raw.toString('hex')
  const each = (make: (byte: number) => string): string => [...raw].map(make).join('')
  const shifted = ['', 'a', 'bc'].flatMap((before) =>
    (['base64', 'base64url'] as const).map((form) => Buffer.from(before + secret + 'zz').toString(form)),
  )
  const units = [...secret].map((rune) => `\\u${rune.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
  return [
    secret,
    encodeURIComponent(secret),
    encodeURIComponent(encodeURIComponent(secret)),
    each((byte) => `%${byte.toString(16).padStart(2, '0')}`),
    [...secret].map((rune) => `&#${rune.codePointAt(0) ?? 0};`).join(''),
    secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;'),
    JSON.stringify(secret).slice(1, -1),
    JSON.stringify(JSON.stringify(secret)).slice(3, -3),
    units,
    hex,
    hex.toUpperCase(),
    hex.replace(/..(?!$)/g, '$&:'),
    ...shifted,
  ]
}

function run(input: Input): void {
  const words = text(input)
  decoding(words)
  const found = [...secretShapes(words).values()].length
  hold(found > 0 === secretSpans(words).length > 0, 'what is counted as secret-shaped has a place')
  const parsed = parseIJson(input)
  if (!parsed.ok) return
  const { value, counts } = redact(parsed.value, lent)
  const out = canonical(value)
  for (const secret of secrets.slice(0, 2))
    hold(!says(value, secret), 'no form of a lent secret stays', () => out)
  const touched = Object.values(counts).some((count) => count > 0)
  hold(touched || out === canonical(parsed.value), 'what holds no secret stays as it is')
  // A short one is found as a whole token alone, and what stood beside it may just have gone.
  const again = redact(value, lent.slice(0, 2))
  hold(
    canonical(again.value) === out,
    'what is clean stays clean',
    () => `${out} → ${canonical(again.value)}`,
  )
}

/** Plain, under one layer of any escape, in hex or in base64: judged by whole texts, not by the code under test. */
function says(root: Json, secret: string): boolean {
  const rest: Json[] = [root]
  const hex = Buffer.from(secret).toString('hex')
  const core = Buffer.from(`   ${secret}`).toString('base64').replace(/=+$/, '').slice(4, -1)
  for (let at = rest.pop(); at !== undefined; at = rest.pop()) {
    if (typeof at === 'string') {
      if (at.includes(secret) || at.toLowerCase().includes(hex) || at.includes(core)) return true
      if (lenient(at).includes(secret)) return true
    } else if (Array.isArray(at)) rest.push(...at)
    else if (typeof at === 'object' && at !== null) rest.push(...Object.entries(at).flat())
  }
  return false
}

const lenient = (words: string): string => {
  try {
    return decodeURIComponent(words)
  } catch {
    return ''
  }
}

/** The quick way to undo escapes and the one with the way back must read the same. */
function decoding(words: string): void {
  for (const escape of escapes) {
    const quick = unescaped(words, escape)
    const view = viewOf(words, escape)
    hold((quick ?? words) === view.text, 'both ways of undoing escapes read the same', () => escape)
    hold(
      view.at.length === view.text.length + 1 && view.at.at(-1) === words.length,
      'the way back covers the text',
    )
    for (let unit = 1; unit < view.at.length; unit++)
      hold((view.at[unit] ?? 0) >= (view.at[unit - 1] ?? 0), 'the way back never turns')
  }
}
