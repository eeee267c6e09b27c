import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { secretShapes, secretSpans } from '../../src/flow/formats.ts'

/** `secretShapes` looks at a text once before it puts it to every pattern; `secretSpans` does not, and is the measure. */

// Each in two pieces, so that no scanner takes them for leaks.
const join = (...pieces: readonly string[]): string => pieces.join('')
const issuers: readonly string[] = [
  ...['A', 'S'].map((letter) => join('A', letter === 'A' ? 'KIA' : 'SIA')),
  ...['p', 'o', 'u', 's', 'r'].map((letter) => join('gh', letter, '_')),
  join('github', '_pat_'),
  ...['pat', 'dt', 'rt', 'cbt', 'ptt', 'ft', 'oas', 'soat', 'agent'].map((name) => join('gl', name, '-')),
  ...['a', 'b', 'e', 'o', 'p', 'r', 's'].map((letter) => join('xox', letter, '-')),
  join('xapp', '-1-'),
  join('hooks.', 'slack.com/services/'),
  join('hooks.', 'slack.com/workflows/'),
  ...['sk_live', 'sk_test', 'rk_live', 'rk_test', 'whsec'].map((name) => join(name, '_')),
  join('AI', 'za'),
  join('ya29', '.'),
  join('GOCSPX', '-'),
  join('sk', '-'),
  join('sk', '-ant-'),
  join('npm', '_'),
  join('pypi', '-'),
  join('S', 'G.aaaaaaaaaaaaaaaa.'),
  join('lin_', 'api_'),
  join('ntn', '_'),
  join('secret', '_'),
  join('-----BEGIN ', 'PRIVATE KEY-----'),
  join('-----BEGIN ', 'EC PRIVATE KEY-----'),
  join('ey', 'Jaaaaaaaa.ey', 'Jbbbbbbbb.'),
]

test('every form that an issuer uses is found at its shortest and at usual lengths', () => {
  for (const issuer of issuers) {
    let found = 0
    for (let length = 0; length <= 64; length++) {
      const text = issuer + 'A'.repeat(length)
      const spans = secretSpans(text).length
      assert.equal(secretShapes(text).size > 0, spans > 0, `${issuer} and ${length} more`)
      found += spans
    }
    assert.ok(found > 0, `${issuer} is no beginning of any form`)
  }
})

const body = fc.string({ unit: fc.constantFrom(...'AaBz09_-./ '), maxLength: 60 })
const piece = fc.oneof(
  body,
  fc.constantFrom(...issuers),
  fc.constantFrom(...issuers).chain((issuer) => fc.nat(issuer.length).map((end) => issuer.slice(0, end))),
  fc
    .tuple(fc.constantFrom(...issuers), fc.integer({ min: 8, max: 64 }))
    .map(([issuer, length]) => issuer + 'Z9'.repeat(length)),
  fc.string(),
)

test('the first look passes over no text in which a pattern finds something, whatever stands around it', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      const text = pieces.join('')
      assert.equal(secretShapes(text).size > 0, secretSpans(text).length > 0)
    }),
    { numRuns: 3000 },
  )
})
