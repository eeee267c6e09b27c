import fc from 'fast-check'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { checkVetted, createSchemas } from '../../src/registry/schema.ts'
import { isJsonObject, type Json, type JsonObject } from '../../src/lib/json.ts'
import { parseIJson } from '../../src/lib/ijson.ts'
import { vet } from '../../src/registry/vet.ts'
import { bytes, hold, type Input, type Target } from '../target.ts'

/** Schemas of servers and arguments of agents: `{"schema": …, "args": …}`. Both are hostile. */
export async function open(): Promise<Target> {
  const schemas = createSchemas({ capacity: 64 })
  return {
    ...material,
    run: (input) => {
      const read = readInput(input)
      if (read === null) return
      const fits = schemas.check(read.schema, read.args)
      if (fits.ok) return
      hold(fits.problems.length > 0 && fits.problems.length <= 10, 'a misfit has one to ten problems')
      hold(fits.problems.join('').length < 20_000, 'problems stay short')
    },
  }
}

/** The same beside an established validator. */
export async function openBeside(): Promise<Target> {
  const state = { ajv: newAjv(), uses: 0 }
  return {
    ...material,
    run: (input) => {
      const read = input.length < 1500 ? readInput(input) : null
      if (read !== null) compare(state, read)
    },
  }
}

const newAjv = (): Ajv2020 =>
  new Ajv2020({ strict: false, validateFormats: false, logger: false, ownProperties: true })

function readInput(input: Input): { readonly schema: JsonObject; readonly args: JsonObject } | null {
  const parsed = parseIJson(input)
  if (!parsed.ok || !isJsonObject(parsed.value)) return null
  const { schema: given, args } = parsed.value
  return isJsonObject(given) && isJsonObject(args) ? { schema: given, args } : null
}

/**
 * Never accepts what an established validator refuses; refuses more only for arguments that no schema names. Left out:
 * what 2020-12 does not know (we read draft-07, too), names that the other one cannot take, and its own limits.
 */
function compare(
  state: { ajv: Ajv2020; uses: number },
  { schema: given, args }: { readonly schema: JsonObject; readonly args: JsonObject },
): void {
  const vetted = vet(given)
  if (!vetted.ok || /"(?:items":\[|additionalItems|dependencies|definitions|\$schema|\$id|\$anchor|\$vocabulary|\$dynamicAnchor|\$recursiveAnchor|multipleOf|id|nullable|discriminator|__proto__|\$async)"?/.test(JSON.stringify(given))) return // prettier-ignore
  // It compiles every schema to a function and keeps it.
  if (state.uses++ % 200 === 0) state.ajv = newAjv()
  const theirs = judge(state.ajv, given, args)
  if (theirs === null) return
  const ours = checkVetted(vetted.vetted, args)
  if (ours.ok) hold(theirs, 'accepts what an established validator refuses')
  else if (theirs)
    hold(
      ours.problems.every((problem) => /leave it out$|too long to check/.test(problem)),
      'refuses what an established validator accepts',
      () => ours.problems.join('; '),
    )
}

/** Null when it cannot take the schema: what is malformed to it is another matter. */
function judge(ajv: Ajv2020, given: JsonObject, args: JsonObject): boolean | null {
  try {
    const validate = ajv.compile<JsonObject>({ ...given })
    const fits = validate(args)
    return typeof fits === 'boolean' ? fits : null
  } catch {
    return null
  }
}

const keywords = ['type', 'object', 'array', 'string', 'integer', 'number', 'null', 'boolean', 'properties', 'required', 'additionalProperties', 'patternProperties', 'propertyNames', 'unevaluatedProperties', 'unevaluatedItems', 'allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else', 'items', 'prefixItems', 'contains', 'minContains', 'maxContains', 'enum', 'const', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'minLength', 'maxLength', 'pattern', 'minItems', 'maxItems', 'uniqueItems', 'minProperties', 'maxProperties', 'dependentRequired', 'dependentSchemas', '$ref', '$defs', '$anchor', '$id', '$dynamicRef', 'x-mcp-header', 'format', 'default'] // prettier-ignore

const patterns = ['^[a-z]+$', '(a+)+$', 'a|b', '\\d{2,4}', '^(?!x).*$', '^(?=a)a', '[^]', '\\p{L}', '\\u0061', 'x{1000}', '(?:a{0,9}){9}', '\\bfoo\\b', '[\\w.-]+@', '(?<n>a)', '$^', '\\/', '[]', '[a-', '(?i)a'] // prettier-ignore

const seeds: readonly Json[] = [
  { schema: { type: 'object', properties: { a: { type: 'string', pattern: '^x' }, b: { type: 'integer', minimum: 1 } }, required: ['a'] }, args: { a: 'xy', b: 3 } },
  { schema: { type: 'object', properties: { a: { $ref: '#/$defs/n' } }, $defs: { n: { properties: { a: { $ref: '#/$defs/n' }, b: { enum: [1, 'x', null, { a: 1 }] } } } } }, args: { a: { a: { b: 'x' } } } },
  { schema: { allOf: [{ anyOf: [{ required: ['a'] }, { required: ['b'] }] }, { oneOf: [{ properties: { a: { const: 1 } } }, { not: { required: ['a'] } }] }], unevaluatedProperties: { type: 'number' } }, args: { a: 1, b: 2 } },
  { schema: { properties: { a: { prefixItems: [{ type: 'string' }, true], items: { type: 'number' }, contains: { const: 5 }, maxContains: 2, uniqueItems: true } }, patternProperties: { '^[bc]$': { type: 'boolean' } }, additionalProperties: false }, args: { a: ['x', null, 5, 6], b: true } },
  JSON.parse('{"schema":{"if":{"properties":{"a":{"const":"x"}},"required":["a"]},"then":{"required":["b"]},"else":{"propertyNames":{"maxLength":2}},"dependentRequired":{"a":["b"]},"dependentSchemas":{"b":{"minProperties":2}}},"args":{"a":"x","b":[]}}'),
  { schema: { properties: { pair: { items: [{ type: 'string' }], additionalItems: false } }, dependencies: { pair: ['b'] }, definitions: { x: {} } }, args: { pair: ['x'], b: 1 } },
] // prettier-ignore

const key = fc.constantFrom('a', 'b', 'c', '__proto__', 'toString', 'é')

function schema(): fc.Arbitrary<Json> {
  const one = (name: string, of: fc.Arbitrary<Json>): fc.Arbitrary<Json> =>
    of.map((made) => ({ [name]: made }))
  const count = fc.nat(3)
  return fc.letrec<{ schema: Json }>((tie) => {
    const inner = tie('schema')
    const map = fc.dictionary(key, inner, { maxKeys: 3, noNullPrototype: true })
    const list = fc.array(inner, { minLength: 1, maxLength: 3 })
    return {
      schema: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        fc.constantFrom<Json>(true, false, {}),
        one('type', fc.constantFrom('string', 'integer', 'number', 'object', 'array', 'null', 'boolean')),
        one('enum', fc.array(value(), { minLength: 1, maxLength: 3 })),
        one('const', value()),
        one('pattern', fc.constantFrom(...patterns)),
        one('$ref', fc.constantFrom('#', '#/$defs/a', '#/properties/a', '#/allOf/0')),
        one('required', fc.uniqueArray(key, { maxLength: 2 })),
        ...['minimum', 'exclusiveMaximum', 'maxLength', 'minLength', 'maxItems', 'minItems', 'maxProperties', 'minContains'].map((name) => one(name, count)),
        ...['properties', '$defs', 'dependentSchemas'].map((name) => one(name, map)),
        ...['allOf', 'anyOf', 'oneOf', 'prefixItems'].map((name) => one(name, list)),
        ...['not', 'additionalProperties', 'unevaluatedProperties', 'unevaluatedItems', 'items', 'contains', 'propertyNames', 'if', 'then', 'else'].map((name) => one(name, inner)),
        one('patternProperties', fc.dictionary(fc.constantFrom('^a', '[bc]$', '.'), inner, { maxKeys: 2, noNullPrototype: true })),
        fc.tuple(inner, inner, inner).map((all) => Object.assign({}, ...all.filter(isJsonObject))),
      ),
    }
  }).schema // prettier-ignore
}

function value(): fc.Arbitrary<Json> {
  return fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<Json>(null, true, 0, 1, -1, 1.5, 1e21, '', 'x', 'a', 'aa', 'ab', 'é', '😀'),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  })).value
}

const material = {
  atOnce: 1,
  json: true,
  words: [...keywords, ...patterns, '#', '#/', '#/$defs/a', '#/properties/a', '#a', '~0', '~1', '%25', 'https://a.example/'],
  seeds: seeds.map((seed) => bytes(JSON.stringify(seed))),
  fresh: fc.record({ schema: schema(), args: value() }).map((made) => bytes(JSON.stringify(made))),
} as const // prettier-ignore
