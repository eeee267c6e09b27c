import assert from 'node:assert/strict'
import test from 'node:test'
import { confidentialities } from '../../src/flow/labels.ts'
import { effects } from '../../src/registry/tool.ts'
import { proofClasses } from '../../src/approval/ask.ts'
import { entryFields, entryProblem } from '../../src/audit/schema.ts'
import { act, approved, intent, outcome, refused } from './samples.ts'
import type { Entry } from '../../src/audit/entry.ts'
import type { Fields, Shape } from '../../src/audit/schema.ts'

/** For each kind: the type's fields and the schema's are the same, or this does not compile. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false
type Kind = Entry['kind']
const parity: {
  readonly [K in Kind]: Same<keyof Extract<Entry, { kind: K }>, keyof (typeof entryFields)[K]>
} = {
  refused: true,
  intent: true,
  outcome: true,
  act: true,
}

const samples = {
  refused: refused(),
  'refused before anything was known': refused({
    who: null,
    task: null,
    what: null,
    wanted: 'call files/x',
    arguments: null,
    policy: null,
    policies: [],
    ask: 'a_1',
  }),
  intent: intent(),
  'approved intent': intent({ approval: approved('a_1') }),
  outcome: outcome('c_1'),
  'outcome of a call that was not sent': outcome('c_1', {
    outcome: 'not-sent',
    result: null,
    lease: null,
    redacted: {},
  }),
  act: act(),
} satisfies { readonly [what: string]: Entry }

test('the schema names the fields of the types, no more and no less', () => {
  assert.deepEqual(Object.keys(entryFields).sort(), Object.keys(parity).sort())
})

for (const [what, entry] of Object.entries(samples)) {
  test(`${what}: fits the schema`, () => assert.equal(entryProblem(entry), null))

  test(`${what}: without any one of its fields it does not fit`, () => {
    for (const field of Object.keys(entry)) {
      const { [field]: _left, ...rest } = Object.fromEntries(Object.entries(entry))
      assert.notEqual(entryProblem(rest), null, field)
    }
  })

  test(`${what}: a field that the schema does not know is refused, at every depth`, () => {
    assert.match(entryProblem({ ...entry, payload: 'x' }) ?? '', /payload: expected no such field/)
    for (const [field, value] of Object.entries(entry)) {
      if (
        typeof value !== 'object' ||
        value === null ||
        Array.isArray(value) ||
        ['detail', 'redacted'].includes(field)
      )
        continue
      assert.match(
        entryProblem({ ...entry, [field]: { ...value, payload: 1 } }) ?? '',
        /payload: expected no such field/,
      )
    }
  })

  test(`${what}: a field of another type is refused`, () => {
    for (const field of Object.keys(entry))
      assert.notEqual(entryProblem({ ...entry, [field]: true }), null, field)
  })
}

test('lists of values that the format repeats are those of the broker', () => {
  const found = new Map<string, readonly (string | number)[]>()
  const visit = (fields: Fields, path: string): void => {
    for (const [name, { shape }] of Object.entries(fields)) visitShape(shape, `${path}.${name}`)
  }
  const visitShape = (shape: Shape, path: string): void => {
    if (shape.is === 'one-of') found.set(path, shape.values)
    if (shape.is === 'record') visit(shape.fields, path)
    if (shape.is === 'nullable' || shape.is === 'list' || shape.is === 'map') visitShape(shape.of, path)
  }
  visit(entryFields.intent, 'intent')
  assert.deepEqual(found.get('intent.what.effects'), [...effects])
  assert.deepEqual(found.get('intent.labels.confidentiality'), [...confidentialities])
  assert.deepEqual(found.get('intent.approval.answers.proof'), [...proofClasses])
  assert.deepEqual(found.get('intent.approval.requirement.proof'), [...proofClasses])
})

test('digests of payloads, and only those, have the class of commitments', () => {
  const classed = Object.entries(entryFields).flatMap(([kind, fields]) =>
    Object.entries<Fields[string]>(fields).flatMap(([name, field]) =>
      field.class === 'commitment' ? [`${kind}.${name}`] : [],
    ),
  )
  assert.deepEqual(classed, ['refused.arguments', 'intent.arguments', 'outcome.result'])
})

test('a problem does not repeat the value: it may be hostile', () => {
  assert.equal(entryProblem({ ...act(), act: 7, '<script>': 1 })?.includes('script'), false)
})

for (const value of [null, [], 'act', 1, {}, { kind: 'constructor' }, { kind: 'gap' }]) {
  test(`${JSON.stringify(value)} is no entry`, () => assert.notEqual(entryProblem(value), null))
}
