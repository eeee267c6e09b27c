import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isAuthorized, policyToJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { CedarValueJson, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { contextFields } from '../../src/policy/vocabulary.ts'
import { flatOf, flattenContext, flattenPolicy } from '../../src/policy/flat.ts'
import { joinReads, readsOf } from '../../src/policy/reads.ts'
import type { Values } from '../../src/policy/request.ts'

const jsonOf = (condition: string): PolicyJson => {
  const parsed = policyToJson(`permit (principal, action, resource) when { ${condition} };`)
  if (parsed.type === 'failure') throw new Error(JSON.stringify(parsed.errors))
  return parsed.json
}
const flatOfAll = (conditions: readonly string[]) => {
  const policies = conditions.map(jsonOf)
  return { policies, flat: flatOf(policies, joinReads(policies.map(readsOf)).context) }
}
const flatPaths = (...conditions: readonly string[]): readonly string[] =>
  flatOfAll(conditions)
    .flat.leaves.map(({ path }) => path.join('.'))
    .toSorted()

describe('what crosses flat', () => {
  test('values that are read by name down to what is used', () => {
    assert.deepEqual(flatPaths('context.labels.confidentiality > 1 && context.input.a.b like "x*"'), [
      'input.a.b',
      'labels.confidentiality',
    ])
  })
  test('nothing of a member that is tested with `has`, by any policy of the slice', () => {
    assert.deepEqual(flatPaths('context.input has path && context.input.path == "/"'), [])
    assert.deepEqual(flatPaths('context has input.path'), [])
    assert.deepEqual(flatPaths('context.input.path == "/"', 'context has input'), [])
    assert.deepEqual(
      flatPaths('context.input.path == "/" && context.task.id == "t"', 'context.input has a'),
      ['task.id'],
    )
  })
  test('nothing of a record that is used itself, above or beside what is read in it', () => {
    assert.deepEqual(flatPaths('context.labels == {a: 1}'), [])
    assert.deepEqual(flatPaths('context.labels.a == 1', 'context.labels == {a: 1}'), [])
    assert.deepEqual(flatPaths('context.input.a == {b: 1} && context.input.a.b == 1'), [])
  })
  test('nothing where context is used as a whole or reached by more than names', () => {
    assert.deepEqual(flatPaths('context == {a: 1} || context.labels.a == 1'), [])
    assert.deepEqual(flatPaths('(if true then context else context).labels.a == 1'), [])
    assert.deepEqual(flatPaths('(if true then context.labels else context.task) has a'), [])
  })
  test('never approvals, and never what is flat already', () => {
    assert.deepEqual(flatPaths('context.approval.count > 1'), [])
    assert.deepEqual(flatPaths('context.now > 1'), [])
  })
  test('under names that no word of the vocabulary has, and that two paths never share', () => {
    const { flat } = flatOfAll(['context.input["a.b"].c == context.input.a["b.c"]'])
    assert.equal(new Set(flat.leaves.map(({ name }) => name)).size, 2)
    assert.ok(flat.leaves.every(({ name }) => !Object.hasOwn(contextFields, name)))
    const beside = flatOfAll(['context["_0"] == context.a.b']).flat.leaves.map((leaf) => leaf.name)
    assert.deepEqual(beside, ['__0'])
  })
})

const name = fc.constantFrom('a', 'b', 'a.b', '_0', '__proto__x')
const path = fc.array(name, { minLength: 1, maxLength: 3 })
const reading = path.map((names) => names.reduce((at, one) => `${at}[${JSON.stringify(one)}]`, 'context'))
const atom = fc.oneof(
  reading.map((text) => `${text} == 1`),
  reading.map((text) => `${text} like "x*"`),
  fc.tuple(reading, reading).map(([a, b]) => `${a} == ${b}`),
  fc.tuple(reading, name).map(([text, of]) => `${text} has ${JSON.stringify(of)}`),
  name.map((of) => `context has ${JSON.stringify(of)}`),
)
const condition = fc.oneof(
  atom,
  fc.tuple(atom, atom).map(([a, b]) => `(${a}) && (${b})`),
  fc.tuple(atom, atom).map(([a, b]) => `!(${a}) || (${b})`),
  fc.tuple(atom, reading, reading).map(([a, b, c]) => `(if (${a}) then ${b} else ${c}) == "x"`),
)
const value: fc.Arbitrary<CedarValueJson> = fc.letrec<{ readonly value: CedarValueJson }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<CedarValueJson>(1, 2, 'x', 'xy', true),
    fc.dictionary(name, tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value
const context: fc.Arbitrary<Values> = fc.dictionary(name, value, { maxKeys: 4, noNullPrototype: true })

const request = {
  principal: { type: 'Agent', id: '_' },
  action: { type: 'Action', id: '_' },
  resource: { type: 'Tool', id: '_' },
  entities: [],
}

/** Decision, determining policies and which policies err: all that anything here is decided by. */
function ask(policies: readonly PolicyJson[], given: Values): unknown {
  const staticPolicies = Object.fromEntries(policies.map((policy, index) => [`p${index}`, policy]))
  const answer = isAuthorized({ ...request, context: given, policies: { staticPolicies } })
  assert.ok(answer.type === 'success', JSON.stringify(answer))
  const { decision, diagnostics } = answer.response
  return {
    decision,
    reason: diagnostics.reason.toSorted(),
    errors: diagnostics.errors.map(({ policyId }) => policyId).toSorted(),
  }
}

describe('for any policies and any context', () => {
  test('the engine says the same of both forms, also where values are missing or of another type', () => {
    let flattened = 0
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), condition), { minLength: 1, maxLength: 4 }),
        context,
        (all, given) => {
          const policies = all.map(([permits, text]): PolicyJson => ({
            ...jsonOf(text),
            effect: permits ? 'permit' : 'forbid',
          }))
          const flat = flatOf(policies, joinReads(policies.map(readsOf)).context)
          flattened += flat.leaves.length
          const flatPolicies = policies.map((policy) => flattenPolicy(policy, flat))
          assert.deepEqual(ask(flatPolicies, flattenContext(given, flat)), ask(policies, given))
        },
      ),
      { numRuns: 1500 },
    )
    assert.ok(flattened > 100, 'hardly anything was flat: the property has nothing to look at')
  })
})
