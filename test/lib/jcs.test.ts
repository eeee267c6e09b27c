import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import { canonical } from '../../src/lib/jcs.ts'
import { parseIJson } from '../../src/lib/ijson.ts'
import type { Json } from '../../src/lib/json.ts'

test('members stand in the order of UTF-16 code units, as in RFC 8785 section 3.2.3', () => {
  const members = {
    '\u20ac': 'Euro Sign',
    '\r': 'Carriage Return',
    '\ufb33': 'Hebrew Letter Dalet With Dagesh',
    '1': 'One',
    '\ud83d\ude00': 'Emoji: Grinning Face',
    '\u0080': 'Control',
    '\u00f6': 'Latin Small Letter O With Diaeresis',
  }
  const order = [...canonical(members).matchAll(/:"([^"]+)"/g)].map(([, name]) => name)
  assert.deepEqual(order, [
    'Carriage Return',
    'One',
    'Control',
    'Latin Small Letter O With Diaeresis',
    'Euro Sign',
    'Emoji: Grinning Face',
    'Hebrew Letter Dalet With Dagesh',
  ])
})

test('numbers are written as ECMAScript does (RFC 8785 appendix B)', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['0000000000000000', '0'],
    ['8000000000000000', '0'],
    ['0000000000000001', '5e-324'],
    ['7fefffffffffffff', '1.7976931348623157e+308'],
    ['4340000000000000', '9007199254740992'],
    ['44b52d02c7e14af5', '9.999999999999997e+22'],
    ['44b52d02c7e14af6', '1e+23'],
    ['444b1ae4d6e2ef4e', '999999999999999700000'],
    ['444b1ae4d6e2ef50', '1e+21'],
    ['3eb0c6f7a0b5ed8d', '0.000001'],
    ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
    ['41b3de4355555555', '333333333.3333333'],
    ['becbf647612f3696', '-0.0000033333333333333333'],
  ]
  for (const [bits, text] of cases) assert.equal(canonical(Buffer.from(bits, 'hex').readDoubleBE()), text)
})

test('strings escape what must be escaped and nothing else', () => {
  assert.equal(
    canonical('\u20ac$\u000f\nA\'B"\\"/\u007f\u2028'),
    '"\u20ac$\\u000f\\nA\'B\\"\\\\\\"/\u007f\u2028"',
  )
})

const refused: { readonly [what: string]: () => unknown } = {
  'a lone high surrogate': () => 'a\ud800b',
  'a lone low surrogate in a name': () => ({ '\udc00': 1 }),
  'a noncharacter': () => '\uffff',
  'not a number': () => NaN,
  infinity: () => [1, -Infinity],
  'a member that is undefined': () => ({ a: undefined }),
  'a hole in an array': () => Object.assign([], { length: 1 }),
  'a date, which is no plain object': () => new Date(0),
  'a map': () => new Map(),
  'an object with a prototype of its own': () => Object.create({ inherited: 1 }),
  'a function': () => () => 1,
  'a big integer': () => 1n,
  'a cycle': () => {
    const cycle: unknown[] = []
    cycle.push(cycle)
    return cycle
  },
}
for (const [what, make] of Object.entries(refused)) {
  // Types would not let these in; a JavaScript caller or a library could.
  test(`${what} is refused`, () => assert.throws(() => canonical(make() as Json), TypeError))
}

test('128 levels are written and 129 are not', () => {
  const nested = (levels: number): Json => (levels === 0 ? 0 : [nested(levels - 1)])
  assert.equal(canonical(nested(128)).length, 257)
  assert.throws(() => canonical(nested(129)), /128 levels/)
})

test('a toJSON method is not called: it would let a value say one thing to the judge and another to the wire', () => {
  assert.throws(() => canonical({ toJSON: () => 'other' } as unknown as Json), TypeError)
})

test('`__proto__` is written like any other name', () => {
  const parsed = parseIJson('{"b":1,"__proto__":{"x":1}}')
  assert.ok(parsed.ok)
  assert.equal(canonical(parsed.value), '{"__proto__":{"x":1},"b":1}')
})

test('what is read of what was written is the same value, and is written the same', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (generated) => {
      const value = generated as Json
      const text = tryCanonical(value)
      if (text === null) return
      const parsed = parseIJson(text, {})
      // Doubles that are integers beyond 2^53-1 can be written but not read: that is I-JSON.
      if (!parsed.ok) return assert.match(parsed.problem, /2\^53-1/)
      assert.equal(canonical(parsed.value), text)
      assert.deepEqual(parsed.value, JSON.parse(text))
    }),
  )
})

test('the order in which members were set does not show', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.integer()), (members) => {
      const turned = Object.fromEntries(Object.entries(members).reverse())
      assert.equal(canonical(turned), canonical({ ...members }))
    }),
  )
})

function tryCanonical(value: Json): string | null {
  try {
    return canonical(value)
  } catch {
    return null
  }
}
