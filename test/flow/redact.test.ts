import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { secretOf } from '../../src/credential/secret.ts'
import type { Named } from '../../src/credential/secret.ts'
import { mark, redact, redactAnswer, redactText, withheldBlob } from '../../src/flow/redact.ts'
import type { Json } from '../../src/lib/json.ts'

const lent = (secret: string, name = 'github'): readonly Named[] => [{ name, value: secretOf(secret) }]

const entities = (text: string): string =>
  [...text].map((c) => `&#x${(c.codePointAt(0) ?? 0).toString(16)};`).join('')
const percentAll = (text: string): string =>
  [...Buffer.from(text)].map((b) => `%${b.toString(16).padStart(2, '0')}`).join('')
const escaped = (text: string): string =>
  text.replace(/[^]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
const lines = (text: string): string => text.replace(/.{10}/g, '$&\n')

const encodings: { readonly [name: string]: (secret: string, pad: string) => string } = {
  plain: (s) => s,
  'percent-encoded': (s) => encodeURIComponent(s),
  'percent-encoded, all bytes': percentAll,
  'percent-encoded, upper case': (s) => percentAll(s).toUpperCase(),
  'percent-encoded twice': (s) => encodeURIComponent(encodeURIComponent(s)),
  'JSON in a string': (s) => JSON.stringify({ token: s }),
  'JSON in JSON in a string': (s) => JSON.stringify(JSON.stringify({ token: s })),
  'JSON in ASCII': escaped,
  'HTML entities': entities,
  'HTML in JSON': (s) =>
    JSON.stringify(`<b>${s.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')}</b>`),
  hex: (s) => Buffer.from(s).toString('hex'),
  'hex, upper case': (s) => Buffer.from(s).toString('hex').toUpperCase(),
  'hex, set apart': (s) => (Buffer.from(s).toString('hex').match(/../g) ?? []).join(':'),
  base64: (s, pad) => Buffer.from(pad + s + pad).toString('base64'),
  base64url: (s, pad) => Buffer.from(pad + s + pad).toString('base64url'),
  'base64 in lines': (s, pad) => lines(Buffer.from(pad + s).toString('base64')),
  'base64 in a query': (s, pad) => encodeURIComponent(Buffer.from(pad + s).toString('base64')),
}

const places: { readonly [name: string]: (text: string) => Json } = {
  'a text': (text) => ({ content: [{ type: 'text', text: `before ${text} after` }] }),
  'a key': (text) => ({ [`k ${text}`]: 1 }),
  'an error': (text) => ({ message: `401 for ${text}` }),
  'deep down': (text) => [[[[{ a: [{ b: [text] }] }]]]],
}

for (const [encoding, encode] of Object.entries(encodings)) {
  test(`a lent secret does not come back ${encoding}`, () => {
    const secrets = fc.oneof(
      fc.stringMatching(/^[A-Za-z0-9_-]{6,40}$/),
      fc
        .string({ unit: 'grapheme', minLength: 6, maxLength: 24 })
        .filter((s) => s.trim().length >= 6 && s.isWellFormed()),
    )
    fc.assert(
      fc.property(
        secrets,
        fc.constantFrom('', 'o', 'oo', 'ooo', 'x', 'xx'),
        fc.constantFrom(...Object.keys(places)),
        (secret, pad, place) => {
          const core = secret.trim()
          const said = places[place]?.(encode(core, pad)) ?? null
          const { value, counts } = redact(said, lent(secret))
          const left = JSON.stringify(value)
          assert.ok((counts['github'] ?? 0) >= 1, 'counted')
          assert.ok(!left.includes(JSON.stringify(encode(core, pad)).slice(1, -1)), left)
          assert.equal(redact(value, lent(secret)).counts['github'], undefined, 'nothing is left to find')
        },
      ),
      { numRuns: 60 },
    )
  })
}

test('only the secret is replaced, and how often is told by name', () => {
  const { value, counts } = redact({ a: 'x tok-abcdef y tok-abcdef', b: ['other-123456', 5] }, [
    ...lent('tok-abcdef'),
    ...lent('other-123456', 'two'),
  ])
  assert.deepEqual(value, { a: 'x [secret] y [secret]', b: ['[secret]', 5] })
  assert.deepEqual(counts, { github: 2, two: 1 })
})

test('an answer without the secret is the same answer', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (said) => {
      const json: Json = JSON.parse(JSON.stringify(said))
      const { value, counts } = redact(json, lent('a-secret-that-is-nowhere'))
      assert.deepEqual(value, json)
      assert.deepEqual(counts, {})
    }),
  )
})

test('a blob that holds the secret is withheld whole, whatever stands around it', () => {
  const png = Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0xff, 0xe2]),
    Buffer.from('tok%2Dabcdef'),
    Buffer.from([0xc3]),
  ])
  const said = {
    content: [
      { type: 'image', data: png.toString('base64'), mimeType: 'image/png' },
      { type: 'image', data: 'AAAAAAAAAAAA' },
    ],
  }
  const { value, counts } = redact(said, lent('tok-abcdef'))
  assert.deepEqual(value, {
    content: [
      { type: 'image', data: withheldBlob, mimeType: 'image/png' },
      { type: 'image', data: 'AAAAAAAAAAAA' },
    ],
  })
  assert.deepEqual(counts, { github: 1 })
})

test('a short secret is found as a token and left alone inside other words', () => {
  const { value, counts } = redact(
    { pin: 4711, text: 'pin 4711, order 147112', other: 'x4711y' },
    lent('4711'),
  )
  assert.deepEqual(value, { pin: '[secret]', text: 'pin [secret], order 147112', other: 'x4711y' })
  assert.deepEqual(counts, { github: 2 })
})

test('keys that become the same stay two, and `__proto__` stays a key', () => {
  const said: Json = JSON.parse('{"tok-abcdef":1,"[secret]":2,"__proto__":{"x":"tok-abcdef"}}')
  assert.equal(
    JSON.stringify(redact(said, lent('tok-abcdef')).value),
    '{"[secret]":1,"[secret] (2)":2,"__proto__":{"x":"[secret]"}}',
  )
})

test('errors, questions, opaque state and the words of a failure are cleaned like results', () => {
  const secrets = lent('tok-abcdef')
  const error = redactAnswer(
    { kind: 'error', code: -32000, message: 'bad tok-abcdef', data: { at: 'tok-abcdef' } },
    secrets,
  )
  assert.deepEqual(error.value, {
    kind: 'error',
    code: -32000,
    message: 'bad [secret]',
    data: { at: '[secret]' },
  })
  assert.deepEqual(error.counts, { github: 2 })
  const input = redactAnswer(
    { kind: 'input', inputRequests: { q: { m: 'tok-abcdef?' } }, requestState: 'tok-abcdef' },
    secrets,
  )
  assert.ok(!JSON.stringify(input.value).includes('tok-abcdef'))
  const unknown = redactAnswer({ kind: 'unknown', problem: 'died', detail: 'said tok-abcdef' }, secrets)
  assert.ok(!JSON.stringify(unknown.value).includes('tok-abcdef'))
  assert.equal(redactText('x tok-abcdef', secrets).value, 'x [secret]')
})

test('an answer nested beyond what recursion bears is cleaned all the same', () => {
  let said: Json = 'tok-abcdef'
  for (let depth = 0; depth < 100_000; depth += 1) said = [said]
  const { value, counts } = redact(said, lent('tok-abcdef'))
  let inner: Json = value
  while (Array.isArray(inner)) inner = inner[0] ?? null
  assert.equal(inner, '[secret]')
  assert.deepEqual(counts, { github: 1 })
})

test('text made to be slow is not: megabytes of beginnings', { timeout: 30_000 }, () => {
  for (const unit of ['tok-abcde', '%74', '\\u0074', '&#x74;', 'dG9r', '74:6f']) {
    redact(unit.repeat(Math.floor((2 * 1024 * 1024) / unit.length)), lent('tok-abcdef'))
  }
})

test('a short secret may be made of any characters: none of them breaks the search for it', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 5, unit: 'binary' }), (secret) => {
      const { value } = redact({ text: `a ${secret} b` }, [{ name: 'pin', value: secretOf(secret) }])
      assert.ok(typeof value === 'object')
    }),
  )
  for (const secret of ['a-b', '-', '$1', '(.)', '[x]', '\\', 'a/b'])
    assert.deepEqual(
      redact({ text: `so ${secret} it is` }, [{ name: 'pin', value: secretOf(secret) }]).value,
      {
        text: `so ${mark} it is`,
      },
    )
})
