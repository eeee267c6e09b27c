import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { checkVetted, createSchemas } from '../../src/registry/schema.ts'
import { compilePattern } from '../../src/registry/pattern.ts'
import { define } from '../../src/registry/define.ts'
import { vet } from '../../src/registry/vet.ts'
import type { Json, JsonObject } from '../../src/lib/json.ts'

const schemas = createSchemas()
const problems = (schema: JsonObject, args: JsonObject): readonly string[] => {
  const fits = schemas.check(schema, args)
  return fits.ok ? [] : fits.problems
}
const refused = (schema: JsonObject): string => {
  const result = vet(schema)
  assert.equal(result.ok, false, `expected \`${JSON.stringify(schema)}\` to be refused`)
  return result.ok ? '' : result.problem
}
const payment: JsonObject = {
  type: 'object',
  properties: {
    amount: { type: 'integer', minimum: 1, maximum: 500 },
    currency: { enum: ['eur', 'usd'] },
    to: {
      type: 'object',
      properties: { iban: { type: 'string', pattern: '^[A-Z]{2}[0-9]{2,30}$' } },
      required: ['iban'],
    },
    notes: { type: 'array', items: { type: 'string', maxLength: 3 }, maxItems: 2 },
  },
  required: ['amount', 'to'],
}

test('arguments that fit are accepted, and each misfit is named with its path and what was expected', () => {
  assert.deepEqual(problems(payment, { amount: 5, currency: 'eur', to: { iban: 'DE12' }, notes: ['a'] }), [])
  assert.deepEqual(
    problems(payment, { amount: 1.5, currency: 'gbp', to: { iban: 'x' }, notes: ['long', 'b', 'c'] }),
    [
      '`/amount`: expected integer, found number',
      '`/currency`: expected one of `"eur"`, `"usd"`',
      '`/to/iban`: expected text that matches `^[A-Z]{2}[0-9]{2,30}$`',
      '`/notes`: expected at most 2 items, found 3',
      '`/notes/0`: expected at most 3 characters',
    ],
  )
  assert.deepEqual(problems(payment, { to: {} }), [
    'the arguments: expected `amount`, which is missing',
    '`/to`: expected `iban`, which is missing',
  ])
})

test('a side channel that the schema does not name is refused, at the top and further down (incident 4)', () => {
  assert.deepEqual(problems(payment, { amount: 1, to: { iban: 'DE12' }, sidenote: 'key' }), [
    '`/sidenote`: the tool names no such argument; leave it out',
  ])
  assert.deepEqual(problems(payment, { amount: 1, to: { iban: 'DE12', memo: 'key' } }), [
    '`/to/memo`: the tool names no such argument; leave it out',
  ])
})

test('a tool that lists no arguments takes none', () => {
  assert.equal(problems({ type: 'object', properties: {} }, { x: 'secret' }).length, 1)
  assert.deepEqual(problems({ type: 'object', properties: {} }, {}), [])
})

test('arguments nobody names pass only where the schema opens itself, or names nothing', () => {
  assert.deepEqual(
    problems({ type: 'object', properties: { a: {} }, additionalProperties: true }, { b: 1 }),
    [],
  )
  assert.deepEqual(
    problems({ type: 'object', properties: { a: {} }, additionalProperties: { type: 'number' } }, { b: 1 }),
    [],
  )
  assert.equal(
    problems({ type: 'object', properties: { a: {} }, additionalProperties: { type: 'number' } }, { b: '' })
      .length,
    1,
  )
  assert.deepEqual(problems({ type: 'object' }, { b: { c: 1 } }), [])
  assert.deepEqual(
    problems({ type: 'object', properties: { free: { type: 'object' } } }, { free: { c: 1 } }),
    [],
  )
})

test('what one alternative names is named only when that alternative holds', () => {
  const schema: JsonObject = {
    type: 'object',
    properties: { kind: { enum: ['a', 'b'] } },
    oneOf: [
      { properties: { kind: { const: 'a' }, x: { type: 'number' } }, required: ['kind'] },
      { properties: { kind: { const: 'b' }, y: { type: 'number' } }, required: ['kind'] },
    ],
  }
  assert.deepEqual(problems(schema, { kind: 'a', x: 1 }), [])
  assert.deepEqual(problems(schema, { kind: 'a', y: 1 }), [
    '`/y`: the tool names no such argument; leave it out',
  ])
})

test('problems never echo values, and there are at most 10', () => {
  const secret = 'sk-live-1234567890'
  const found = problems(payment, {
    amount: secret,
    currency: secret,
    to: { iban: secret },
    notes: Array.from({ length: 50 }, () => secret),
  })
  assert.equal(found.length, 10)
  assert.ok(!found.join('\n').includes(secret))
})

test('unevaluated members and items are those that no branch that held has looked at', () => {
  const schema: JsonObject = {
    anyOf: [
      { properties: { a: { type: 'string' } }, required: ['a'] },
      { properties: { b: true }, required: ['b'] },
    ],
    if: { properties: { c: { const: 1 } }, required: ['c'] },
    unevaluatedProperties: false,
  }
  assert.deepEqual(problems(schema, { a: '', c: 1 }), [])
  assert.deepEqual(problems(schema, { a: '', c: 2 }), ['`/c`: nothing is allowed here'])
  assert.deepEqual(problems(schema, { a: 1, b: 1 }), ['`/a`: nothing is allowed here'])
  const items: JsonObject = {
    properties: { x: { contains: { type: 'array' }, unevaluatedItems: { type: 'number' } } },
  }
  assert.deepEqual(problems(items, { x: [[], 1] }), [])
  assert.deepEqual(problems(items, { x: [[], ''] }), ['`/x/1`: expected number, found string'])
})

test('references within the schema hold, also recursive ones', () => {
  const tree: JsonObject = {
    type: 'object',
    properties: { root: { $ref: '#/$defs/node' } },
    $defs: {
      node: {
        type: 'object',
        properties: { name: { type: 'string' }, kids: { type: 'array', items: { $ref: '#/$defs/node' } } },
      },
    },
  }
  assert.deepEqual(problems(tree, { root: { name: 'a', kids: [{ name: 'b', kids: [] }] } }), [])
  assert.deepEqual(problems(tree, { root: { kids: [{ kids: [{ name: 1 }] }] } }), [
    '`/root/kids/0/kids/0/name`: expected string, found number',
  ])
})

test('draft-07 forms are understood: items as a list, dependencies, definitions', () => {
  const schema: JsonObject = {
    type: 'object',
    properties: {
      pair: { items: [{ type: 'string' }, { type: 'number' }], additionalItems: false },
      a: {},
      b: {},
    },
    dependencies: { a: ['b'] },
  }
  assert.deepEqual(problems(schema, { pair: ['x', 1] }), [])
  assert.equal(problems(schema, { pair: ['x', 1, 2] }).length, 1)
  assert.deepEqual(problems(schema, { a: 1 }), ['the arguments: expected `b` together with `a`'])
})

test('a hostile schema is refused before it is used', () => {
  let deep: Json = { type: 'string' }
  for (let i = 0; i < 60; i++) deep = { not: deep }
  assert.match(refused({ not: deep }), /more than 48 levels/)
  assert.match(
    refused({ properties: Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`p${i}`, true])) }),
    /more than 10000 values/,
  )
  assert.match(refused({ $ref: 'https://elsewhere.example/schema' }), /reference inside the same schema/)
  assert.match(refused({ $ref: 'file:///etc/passwd' }), /reference inside the same schema/)
  assert.match(refused({ $ref: '#/$defs/none' }), /reference inside the same schema/)
  assert.match(refused({ $ref: '#' }), /refers to itself/)
  assert.match(
    refused({ $defs: { a: { anyOf: [{ $ref: '#/$defs/b' }] }, b: { allOf: [{ $ref: '#/$defs/a' }] } } }),
    /refers to itself/,
  )
  assert.match(refused({ properties: { x: { pattern: '(a+)\\1' } } }), /linear time/)
  assert.match(refused({ properties: { x: { pattern: 'a(?=b)c' } } }), /linear time/)
  assert.match(refused({ $dynamicRef: '#x' }), /dynamic/)
  assert.match(refused({ properties: { x: { minLength: 'many' } } }), /`minLength` is malformed/)
  assert.match(refused({ properties: { x: { type: 'text' } } }), /`type` is malformed/)
})

test('a schema that cannot be vetted lets no arguments through', () => {
  assert.match(
    problems({ type: 'object', properties: { x: { pattern: '(?<=a)b' } } }, {})[0] ?? '',
    /operator/,
  )
})

test('a pattern that stops backtracking engines takes linear time', () => {
  const pattern = compilePattern('^(a+)+$')
  assert.equal(pattern?.test(`${'a'.repeat(50_000)}b`), false)
})

test('lookaheads in front, as schema generators write them, mean what they say', () => {
  const email = compilePattern(
    "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
  )
  assert.deepEqual(
    ['a.b@c.de', '.a@c.de', 'a..b@c.de', 'a@c'].map((text) => email?.test(text)),
    [true, false, false, false],
  )
  assert.equal(compilePattern('^(?!a)b|c'), null)
})

test('alternatives that multiply run out of fuel and are refused, not passed', () => {
  const defs: { [name: string]: Json } = { d0: { not: { const: 'x' } } }
  for (let i = 1; i < 30; i++)
    defs[`d${i}`] = { allOf: [{ $ref: `#/$defs/d${i - 1}` }, { $ref: `#/$defs/d${i - 1}` }] }
  const schema: JsonObject = {
    type: 'object',
    properties: { x: { not: { not: { $ref: '#/$defs/d29' } } } },
    $defs: defs,
  }
  assert.match(problems(schema, { x: 1 })[0] ?? '', /too long to check/)
})

test('pinned schemas of real servers are vetted without a problem', () => {
  for (const server of ['filesystem', 'everything']) {
    const listings = JSON.parse(readFileSync(new URL(`fixtures/${server}.json`, import.meta.url), 'utf8'))
    for (const definition of define(listings).definitions) {
      if (definition.inputSchema) assert.deepEqual(vet(definition.inputSchema).ok, true, definition.name)
      if (definition.outputSchema) assert.deepEqual(vet(definition.outputSchema).ok, true, definition.name)
    }
  }
})

const key = fc.constantFrom('a', 'b', 'c')
const { schema: schemaArbitrary } = fc.letrec<{ schema: Json; leaf: Json }>((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom<Json>(true, false, {}),
    fc.record<JsonObject>({
      type: fc.constantFrom('string', 'integer', 'number', 'object', 'array', 'null', 'boolean'),
    }),
    fc.record({
      enum: fc.array(fc.constantFrom<Json>(1, 'x', null, { a: 1 }, [1]), { minLength: 1, maxLength: 3 }),
    }),
    fc.record({ minimum: fc.integer({ min: -2, max: 2 }) }),
    fc.record({ maxLength: fc.nat(2), pattern: fc.constantFrom('^x', 'x$', '[a-c]') }),
    fc.record({ minProperties: fc.nat(2) }),
    fc.record({ required: fc.uniqueArray(key, { maxLength: 2 }) }),
    fc.record({ maxItems: fc.nat(2), uniqueItems: fc.boolean() }),
  ),
  schema: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    tie('leaf'),
    fc.record(
      {
        properties: fc.dictionary(key, tie('schema'), { maxKeys: 2, noNullPrototype: true }),
        patternProperties: fc.record({ '^[bc]$': tie('schema') }),
        additionalProperties: tie('schema'),
      },
      { requiredKeys: [] },
    ),
    fc.record({ allOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }) }),
    fc.record({ prefixItems: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }), items: tie('schema') }),
    fc.record({ contains: tie('schema'), maxContains: fc.integer({ min: 1, max: 2 }) }),
    fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ oneOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ not: tie('schema') }),
    fc.record({ if: tie('schema'), then: tie('schema'), else: tie('schema') }),
    fc.record({
      dependentSchemas: fc.record({ a: tie('schema') }),
      dependentRequired: fc.record({ b: fc.constant(['c']) }),
      propertyNames: tie('leaf'),
    }),
  ),
}))
const { value: valueArbitrary } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<Json>(null, true, 1, -1, 1.5, '', 'x', 'xyz', 'a'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
}))

test('property: never accepts what an established validator refuses, and refuses more only for unnamed arguments', () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  fc.assert(
    fc.property(
      schemaArbitrary,
      fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), valueArbitrary, {
        maxKeys: 4,
        noNullPrototype: true,
      }),
      (schema, args) => {
        const whole: JsonObject = { allOf: [schema] }
        const vetted = vet(whole)
        assert.ok(vetted.ok)
        const ours = checkVetted(vetted.vetted, args)
        const theirs = ajv.compile({ ...whole })(args)
        if (ours.ok) assert.equal(theirs, true)
        else if (theirs)
          assert.ok(
            ours.problems.every((problem) => problem.endsWith('leave it out')),
            ours.problems.join(),
          )
      },
    ),
    { numRuns: 300 },
  )
})
