import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isAuthorized } from '@cedar-policy/cedar-wasm/nodejs'
import { createEngine } from '../../src/policy/engine.ts'
import { explainJudgement } from '../../src/policy/explain.ts'
import { loadPoliciesHere } from '../../src/policy/load.ts'
import { groupsOf } from '../../src/policy/schema.ts'
import { bound, caller, load, monday, problems, question, tool } from './given.ts'

const write = tool()
const allowAll = '@id("all") @reason("all may") permit (principal, action, resource);\n'
const when = (condition: string): string =>
  `@id("it") permit (principal, action, resource in Server::"files") when { ${condition} };`
const decide = (condition: string, of = write, args = {}, more = {}): string =>
  load(when(condition), [of]).judge(question(of, args, more)).decision

describe('group rules', () => {
  const groups = ['server:files', 'effect:write', 'kind:tool']
  for (const group of groups) {
    test(`\`forbid\` on \`${group}\` stops its tools, in scope and in conditions`, () => {
      const scoped = `${allowAll}@id("no") @reason("none of those") forbid (principal, action in Action::"${group}", resource);`
      const listed = `${allowAll}@id("no") @reason("none of those") forbid (principal, action in [Action::"effect:spend", Action::"${group}"], resource);`
      const conditional = `${allowAll}@id("no") @reason("none of those") forbid (principal, action, resource) when { action in Action::"${group}" };`
      for (const text of [scoped, listed, conditional]) {
        const judgement = load(text, [write]).judge(question(write))
        assert.deepEqual(
          [judgement.decision, judgement.policies, judgement.because],
          ['deny', ['no'], ['none of those']],
        )
      }
    })
  }

  test('a group of other tools does not match', () => {
    const text = `${allowAll}@id("no") forbid (principal, action in [Action::"effect:delete", Action::"kind:prompt"], resource);`
    assert.equal(load(text, [write]).judge(question(write)).decision, 'allow')
    for (const named of ['Action::"effect:delete"', '[Action::"kind:prompt", Action::"effect:spend"]']) {
      const conditional = `${allowAll}@id("no") forbid (principal, action, resource) when { action in ${named} };`
      assert.equal(load(conditional, [write]).judge(question(write)).decision, 'allow')
    }
  })

  test('without the groups as entities the engine would let a forbidden call pass: why they are always passed', () => {
    const text = `${allowAll}@id("no") forbid (principal, action, resource) when { action in Action::"effect:write" };`
    const call = {
      principal: { type: 'Agent', id: 'a' },
      action: { type: 'Action', id: write.id },
      resource: { type: 'Tool', id: write.id },
      context: {},
      policies: { staticPolicies: text },
    }
    const parents = groupsOf(write).map((id) => ({ type: 'Action', id }))
    const bare = isAuthorized({ ...call, entities: [] })
    const grouped = isAuthorized({ ...call, entities: [{ uid: call.action, attrs: {}, parents }] })
    assert.ok(bare.type === 'success' && bare.response.decision === 'allow')
    assert.ok(grouped.type === 'success' && grouped.response.decision === 'deny')
  })

  test('principals and resources match by type, name, owner and server', () => {
    const scopes: readonly [string, 'allow' | 'deny'][] = [
      ['principal is Agent, action, resource', 'allow'],
      ['principal is Person, action, resource', 'deny'],
      ['principal == Agent::"coder", action, resource', 'allow'],
      ['principal == Agent::"other", action, resource', 'deny'],
      ['principal in Person::"owner", action, resource', 'allow'],
      ['principal in Person::"other", action, resource', 'deny'],
      ['principal, action, resource == Tool::"files/write_file"', 'allow'],
      ['principal, action, resource is Tool in Server::"files"', 'allow'],
      ['principal, action, resource is Server', 'deny'],
    ]
    for (const [scope, decision] of scopes) {
      const text = `@id("it") permit (${scope});`
      if (scope.endsWith('is Server')) assert.ok(problems(text, [write]).length > 0)
      else assert.equal(load(text, [write]).judge(question(write)).decision, decision, scope)
    }
  })
})

describe('arguments', () => {
  test('names with any characters', () => {
    for (const name of [
      'a-b',
      'a.b',
      'naïve 名',
      'say "hi"',
      'back\\slash',
      'a/b~c',
      'constructor',
      'toString',
      'hasOwnProperty',
      'if',
      '__x',
    ]) {
      const of = tool({ name, properties: { [name]: { type: 'string' } } })
      const cedar = JSON.stringify(name)
      const text = `@id("it") permit (principal, action == Action::${JSON.stringify(of.id)}, resource) when { context.input has ${cedar} && context.input[${cedar}] == "v" };`
      const snapshot = load(text, [of])
      assert.equal(snapshot.judge(question(of, { [name]: 'v' })).decision, 'allow', name)
      assert.equal(snapshot.judge(question(of, { [name]: 'w' })).decision, 'deny', name)
      assert.equal(snapshot.judge(question(of, {})).decision, 'deny', name)
    }
  })

  test('names by which values could pose as entities cannot be read', () => {
    for (const name of ['__entity', '__extn', '__proto__']) {
      const properties = JSON.parse(`{${JSON.stringify(name)}: {"type": "string"}}`)
      const of = tool({ properties })
      assert.equal(
        problems(
          when(`context.input has "${name}" && context.input["${name}"] == "v"`)
            .replace('resource in Server::"files"', 'resource')
            .replace('action,', `action == Action::"${of.id}",`),
          [of],
        ).length,
        1,
      )
    }
  })

  const shaped = tool({
    inputSchema: {
      type: 'object',
      required: ['n', 'maybe'],
      $defs: { point: { type: 'object', properties: { x: { type: 'integer' } }, required: ['x'] } },
      properties: {
        n: { type: 'integer' },
        x: { type: 'number' },
        flag: { type: 'boolean' },
        tags: { type: 'array', items: { type: 'string' } },
        deep: {
          type: 'object',
          required: ['mode'],
          properties: {
            mode: { enum: ['a', 'b'] },
            list: { type: 'array', items: { $ref: '#/$defs/point' } },
          },
        },
        maybe: { anyOf: [{ type: 'string' }, { type: 'null' }] },
      },
    },
  })
  const args = {
    n: 3,
    x: 1.25,
    flag: true,
    tags: ['p', 'q'],
    deep: { mode: 'a', list: [{ x: 1 }] },
    maybe: null,
  }

  test('objects, arrays, enums, references, numbers', () => {
    assert.equal(
      decide('context.input.n == 3 && context.input has flag && context.input.flag', shaped, args),
      'allow',
    )
    assert.equal(
      decide('context.input has x && context.input.x.lessThan(decimal("1.2501"))', shaped, args),
      'allow',
    )
    assert.equal(decide('context.input has tags && context.input.tags.contains("q")', shaped, args), 'allow')
    assert.equal(
      decide(
        'context.input has deep && context.input.deep.mode == "a" && context.input.deep has list && context.input.deep.list.contains({ x: 1 })',
        shaped,
        args,
      ),
      'allow',
    )
    assert.equal(decide('context.input has maybe', shaped, args), 'deny', 'null is absent')
    assert.equal(decide('context.input has maybe', shaped, { ...args, maybe: 'v' }), 'allow')
    assert.equal(decide('context.input has deep.list', shaped, args), 'allow')
  })

  const unfit: readonly [string, string, object][] = [
    ['an integer beyond exactness', 'context.input.n > 0', { n: 2 ** 53 }],
    ['a fraction for an integer', 'context.input.n > 0', { n: 1.5 }],
    [
      'five digits after the point',
      'context.input has x && context.input.x.lessThan(decimal("9.0"))',
      { n: 1, x: 0.00001 },
    ],
    ['a huge number', 'context.input has x && context.input.x.lessThan(decimal("9.0"))', { n: 1, x: 1e21 }],
    ['a number for a string', 'context.input has maybe && context.input.maybe == "x"', { n: 1, maybe: 7 }],
    ['an object for a string', 'context.input has maybe && context.input.maybe == "x"', { n: 1, maybe: {} }],
    ['a string for a number', 'context.input.n > 0', { n: '1' }],
    ['null for a required argument', 'context.input.n > 0', { n: null }],
    ['a missing required argument', 'context.input.n > 0', {}],
    [
      'a long string',
      'context.input has maybe && context.input.maybe == "x"',
      { n: 1, maybe: 'x'.repeat(65_537) },
    ],
    ['a lone surrogate', 'context.input has maybe && context.input.maybe == "x"', { n: 1, maybe: '\ud800' }],
    [
      'a long array',
      'context.input has tags && context.input.tags.contains("x")',
      { n: 1, tags: Array.from({ length: 1025 }, () => 'x') },
    ],
  ]
  for (const [name, condition, given] of unfit)
    test(`${name} denies when a policy reads it, even under another permit`, () => {
      const snapshot = load(`${allowAll}${when(condition)}`, [shaped])
      const judgement = snapshot.judge(question(shaped, { ...given }))
      assert.equal(judgement.decision, 'deny')
      assert.match(judgement.errors[0] ?? '', /argument `\/\w+`/)
    })

  test('what no policy reads is not looked at, however large', () => {
    const content = 'x'.repeat(1_000_000)
    assert.equal(
      decide('context.input has path && context.input.path == "a"', write, { path: 'a', content }),
      'allow',
    )
  })
})

describe('faults', () => {
  test('an error in a `forbid` denies, though the engine would skip the policy', () => {
    const text = `${allowAll}@id("sum") forbid (principal, action, resource) when { context.history.calls * 9007199254740991 * 2000 < 0 };`
    const busy = { ...bound(), usage: { calls: 1, effects: {} } }
    const snapshot = load(text, [write])
    assert.equal(snapshot.judge(question(write)).decision, 'allow')
    const judgement = snapshot.judge(question(write, {}, { bound: busy }))
    assert.deepEqual(
      [judgement.decision, judgement.errors],
      ['deny', ['policy `sum` calculated beyond 64 bits']],
    )
  })

  test('a tool without a review is denied', () => {
    const judgement = load(allowAll, [write]).judge(question({ ...write, review: null }))
    assert.equal(judgement.decision, 'deny')
    assert.equal(judgement.errors.length, 1)
  })

  test('no policies deny everything', () => {
    const judgement = load('', []).judge(question(write))
    assert.deepEqual([judgement.decision, judgement.policies], ['deny', []])
    assert.match(judgement.because[0] ?? '', /no policy allows `files\/write_file`/)
  })

  test('a question that is not whole is denied and does not throw', () => {
    const broken = { ...question(write), bound: undefined as never }
    assert.equal(load(when('context.task.id == "x"'), [write]).judge(broken).decision, 'deny')
  })
})

describe('words', () => {
  const cases: readonly [string, object?][] = [
    ['principal.name == "coder" && principal.onBehalfOf == "owner" && principal.proven == "task-token"'],
    [
      'resource.effects.contains("write") && resource.confidentiality == 1 && resource.integrity == "untrusted"',
    ],
    ['context.operation == "call" && context.environment == "development"'],
    [
      'context.task.ageMinutes == 1 && context.task.remainingMinutes == 60 && context.task.toolsWide && context.task.depth == 0',
    ],
    ['context.task has remainingCalls && context.task.remainingCalls == 10'],
    ['context.history.calls == 0 && context.history.effects.write == 0 && context.history.tools.isEmpty()'],
    [
      'context.history has repeatsUnknown && context.history.repeatsUnknown',
      { fingerprint: 'f', bound: bound({ history: { unknown: ['f'] } }) },
    ],
    ['context.history has repeatsUnknown && !context.history.repeatsUnknown'],
    [
      'context.labels.confidentiality == 3 && context.labels.untrusted',
      { labels: { confidentiality: 'secret', integrity: 'untrusted', sources: ['a/b'] } },
    ],
    [
      'context.time.hour == 10 && context.time.weekday == "monday" && context.time.now < datetime("2026-01-06")',
      { now: monday },
    ],
    ['principal is Person', { caller: { ...caller, kind: 'person' } }],
  ]
  for (const [condition, more] of cases)
    test(condition, () => assert.equal(decide(condition, write, {}, more), 'allow'))

  test('`reads` says which moving parts the policies of a tool look at', () => {
    const other = tool({ name: 'other' })
    const text = `@id("l") permit (principal, action == Action::"files/write_file", resource) when { context.labels.untrusted };
      @id("h") permit (principal, action == Action::"files/other", resource) when { context.task has remainingCalls && context.task.remainingCalls > 3 };`
    const snapshot = load(text, [write, other])
    assert.deepEqual(snapshot.reads(write), { labels: true, history: false, memory: false, person: false })
    assert.deepEqual(snapshot.reads(other), { labels: false, history: true, memory: false, person: false })
  })
})

describe('one call after another', () => {
  test('an answer for one path, person or approval is never given to another', () => {
    const text = `@id("a") permit (principal == Agent::"coder", action, resource) when { context.input has path && context.input.path == "a" };
      @id("b") permit (principal == Agent::"other", action, resource) when { context has approval && context.approval.count >= 2 };`
    const snapshot = load(text, [write])
    const other = { caller: { ...caller, name: 'other' } }
    for (let round = 0; round < 3; round++) {
      assert.equal(snapshot.judge(question(write, { path: 'a' })).decision, 'allow')
      assert.equal(snapshot.judge(question(write, { path: 'b' })).decision, 'deny')
      assert.equal(snapshot.judge(question(write, { path: 'a' }, other)).decision, 'ask')
      const one = { count: 1, independent: true, proof: 'passkey' } as const
      assert.equal(
        snapshot.judge(question(write, { path: 'a' }, { ...other, approval: one })).decision,
        'deny',
      )
      assert.equal(
        snapshot.judge(question(write, { path: 'a' }, { ...other, approval: { ...one, count: 2 } })).decision,
        'allow',
      )
    }
  })

  test('tools that differ only in what a review says of them do not share an answer', () => {
    const text =
      '@id("a") permit (principal, action, resource) when { resource.environment == "development" };'
    const elsewhere = tool({ environment: 'production' })
    const snapshot = load(text, [write])
    assert.equal(snapshot.judge(question(write)).decision, 'allow')
    assert.equal(snapshot.judge(question(elsewhere)).decision, 'deny')
  })

  test('more slices and answers than there is room for change nothing', () => {
    const engine = createEngine({ slots: 2, answers: 2 })
    const tools = Array.from({ length: 5 }, (_, index) => tool({ name: `tool_${index}` }))
    const text = tools
      .map(
        ({ id }, index) =>
          `@id("p${index}") permit (principal, action == Action::"${id}", resource) when { context.input has path && context.input.path == "${index}" };`,
      )
      .join('\n')
    const loaded = loadPoliciesHere({ sources: [{ name: 'a', text }], tools, engine })
    assert.ok(loaded.ok)
    for (let round = 0; round < 3; round++)
      tools.forEach((of, index) => {
        for (const path of ['0', '1', '2', '3', '4'])
          assert.equal(
            loaded.snapshot.judge(question(of, { path })).decision,
            path === String(index) ? 'allow' : 'deny',
          )
      })
  })
})

describe('asking', () => {
  const text = `@id("two") @reason("two people") permit (principal, action, resource) when { context has approval && context.approval.count >= 2 && context.approval.proof >= 2 };
    @id("one") @reason("a key") permit (principal, action, resource) when { context has approval && context.approval.proof >= 3 };`
  const snapshot = load(text, [write])

  test('the least approval that allows is asked for: fewer people first', () => {
    const judgement = snapshot.judge(question(write))
    assert.deepEqual(judgement.requirement, { count: 1, independent: false, proof: 'passkey' })
    assert.deepEqual(judgement.because, ['a key'])
  })

  test('given approvals are judged as they are', () => {
    const judge = (count: number, proof: 'terminal' | 'passphrase' | 'passkey') =>
      snapshot.judge(question(write, {}, { approval: { count, independent: false, proof } })).decision
    assert.deepEqual(
      [judge(1, 'terminal'), judge(1, 'passphrase'), judge(2, 'passphrase'), judge(1, 'passkey')],
      ['deny', 'deny', 'allow', 'allow'],
    )
  })

  test('what no approval could allow is denied, not asked', () => {
    const never = load(`${text}@id("no") @reason("never") forbid (principal, action, resource);`, [write])
    const judgement = never.judge(question(write))
    assert.deepEqual(
      [judgement.decision, judgement.because, judgement.requirement],
      ['deny', ['never'], null],
    )
  })

  test('an explanation names file, line, reason and what was looked at, and no values', () => {
    const asked = question(write, { content: 'marked-secret' })
    const explanation = explainJudgement(snapshot, snapshot.judge(asked), asked)
    assert.equal(explanation.requirement?.words, 'one person, by passkey')
    const [policy] = explanation.policies
    assert.deepEqual([policy?.id, policy?.file, policy?.line], ['one', 'test.cedar', 2])
    assert.deepEqual(policy?.reads, ['context.approval.proof'])
    assert.ok(!JSON.stringify(explanation).includes('marked-secret'))
  })
})
