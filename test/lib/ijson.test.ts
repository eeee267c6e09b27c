import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import { canonical } from '../../src/lib/jcs.ts'
import { parseIJson } from '../../src/lib/ijson.ts'
import type { Json } from '../../src/lib/json.ts'

const read = (text: string): Json => {
  const parsed = parseIJson(text)
  assert.ok(parsed.ok, parsed.ok ? '' : `${parsed.problem} at ${parsed.at}`)
  return parsed.value
}
const problem = (text: string | Uint8Array, limits = {}): string => {
  const parsed = parseIJson(text, limits)
  assert.ok(!parsed.ok, 'expected it to be refused')
  return parsed.problem
}

for (const text of [
  '{"to":"owner","to":"attacker"}',
  '{"to":1,"t\\u006f":2}',
  '{"a":{"x":1,"x":1}}',
  '{"__proto__":1,"__proto__":2}',
]) {
  test(`${text}: of two equal names, no reader can tell which one another reader takes`, () =>
    assert.equal(problem(text), 'expected each name once'))
}

test('a member named `__proto__` is data and changes no prototype', () => {
  const value = read('{"__proto__":{"admin":true},"constructor":1,"toString":2,"hasOwnProperty":3}')
  assert.equal(Object.getPrototypeOf(value), Object.prototype)
  assert.equal(Reflect.get(Object(value), 'admin'), undefined)
  assert.deepEqual(Object.keys(Object(value)), ['__proto__', 'constructor', 'toString', 'hasOwnProperty'])
  assert.equal(Reflect.get({}, 'admin'), undefined)
})

test('integers that a double does not hold exactly are refused', () => {
  assert.deepEqual(
    read('[9007199254740991,-9007199254740991,1e3,0.1,-2.5E-3]'),
    [9007199254740991, -9007199254740991, 1000, 0.1, -0.0025],
  )
  for (const text of [
    '9007199254740992',
    '-9007199254740993',
    '1e20',
    '90071992547409930.0',
    '1'.repeat(400),
  ])
    problem(text)
  assert.equal(problem('1e999'), 'expected a number that a double can hold')
})

test('minus zero is read as zero, as it will be written', () => assert.ok(Object.is(read('-0'), 0)))

test('bytes that are not UTF-8 are refused, whatever a lenient decoder would make of them', () => {
  for (const bytes of [
    [0x22, 0xff, 0x22],
    [0x22, 0xc0, 0xaf, 0x22],
    [0x22, 0xed, 0xa0, 0x80, 0x22],
    [0x22, 0xf0, 0x9f, 0x98],
  ]) {
    assert.equal(problem(Uint8Array.from(bytes)), 'expected valid UTF-8')
  }
})

test('a byte order mark is refused', () => {
  problem('\ufeff{}')
  problem(Uint8Array.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d]))
})

test('lone surrogates and noncharacters are refused, raw and escaped', () => {
  for (const text of [
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\ud800"',
    '{"\\udfff":1}',
    '"\\uffff"',
    '"\ufdd0"',
    '"\\ud83f\\udffe"',
  ]) {
    assert.match(problem(text), /surrogates or noncharacters/)
  }
  assert.equal(read('"\\ud83d\\ude00 \ud83d\ude00"'), '\ud83d\ude00 \ud83d\ude00')
})

const malformed = [
  '', ' ', '{', '[', '[1,]', '{"a":1,}', '{a:1}', "{'a':1}", '{"a" 1}', '{"a":}', '[1 2]', '01', '-', '+1', '.5', '1.', '1e', '0x10',
  'NaN', 'Infinity', 'tru', 'nul', 'True', '"a', '"\n"', '"\t"', '"\\x41"', '"\\u12"', '"\\u12g4"', '"\\', '1 2', '{} {}', '[1]]',
  '// a', '/* a */1', '\u00a01', '\u000b1', '{"a":1}\u0000',
] // prettier-ignore
for (const text of malformed) test(`${JSON.stringify(text)} is no JSON`, () => void problem(text))

test('the offset points at what is wrong', () => {
  assert.deepEqual(parseIJson('{"a":[1,x]}'), { ok: false, at: 8, problem: 'expected a value' })
})

test('a problem repeats nothing of the input: it is written to logs and told to callers', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 3 }), (text) => {
      const parsed = parseIJson(`{"s3cr3t${text}`)
      assert.ok(parsed.ok || !parsed.problem.includes('s3cr3t'))
    }),
  )
})

test('limits hold: bytes, levels, members and elements', () => {
  assert.match(problem('"ääää"', { bytes: 9 }), /9 bytes/)
  assert.equal(parseIJson('"ääää"', { bytes: 10 }).ok, true)
  assert.match(problem('[[[]]]', { depth: 2 }), /2 levels/)
  assert.match(problem('{"a":[1,2]}', { members: 2 }), /fewer members/)
  assert.equal(parseIJson('{"a":[1,2]}', { members: 3 }).ok, true)
})

test('a million brackets do not exhaust the stack', () => {
  assert.match(problem('['.repeat(1_000_000)), /levels/)
  assert.match(problem('{"a":'.repeat(600), { depth: 1e9 }), /levels/)
})

test('bytes of a larger buffer are read within their bounds', () => {
  const buffer = Buffer.from('junk{"a":1}junk')
  assert.deepEqual(parseIJson(buffer.subarray(4, 11)), { ok: true, value: { a: 1 } })
})

test('whatever it accepts, JSON.parse reads as the same value', () => {
  const pieces = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"b\\n"',
    '"\\u0061"',
    '1',
    '-2.5e3',
    '0',
    'true',
    'null',
    ' ',
    '\\',
    '"',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.array(pieces, { maxLength: 12 }).map((all) => all.join('')),
      ),
      (text) => {
        const parsed = parseIJson(text)
        if (!parsed.ok) return
        // -0 is the one value that is read otherwise, and canonical() writes both alike.
        assert.equal(canonical(parsed.value), canonical(JSON.parse(text)))
      },
    ),
    { numRuns: 2000 },
  )
})

test('whatever JSON.parse accepts and it refuses is refused for a reason that I-JSON has', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), (text) => {
      const parsed = parseIJson(text)
      if (!parsed.ok) assert.match(parsed.problem, /each name once|2\^53-1|noncharacters/)
    }),
    { numRuns: 1000 },
  )
})
