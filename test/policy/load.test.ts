import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createPolicies } from '../../src/policy/live.ts'
import { loadPolicies, loadPoliciesHere } from '../../src/policy/load.ts'
import { bound, load, problems, question, tool } from './given.ts'

const write = tool()
const permit = (
  condition: string,
  scope = 'principal, action == Action::"files/write_file", resource',
): string => `@id("it")\npermit (${scope})\nwhen { ${condition} };`

describe('a bad policy set says where and what to do', () => {
  const cases: readonly [string, string, RegExp, RegExp, number, number?][] = [
    [
      'a syntax error',
      '// ñ\n\n@id("a") permit (principal, action, resource)\nwhen { tru e };',
      /token|unexpected/,
      /./,
      4,
    ],
    ['no end', '@id("a")\npermit (principal, action, resource)', /does not end/, /`;`/, 1],
    ['no id', '\npermit (principal, action, resource);', /needs an id/, /@id/, 2, 1],
    [
      'an id twice',
      '@id("a") permit (principal, action, resource);\n@id("a") permit (principal, action, resource);',
      /taken by test.cedar:1/,
      /own/,
      2,
    ],
    [
      'an unknown tool',
      permit('true', 'principal, action == Action::"files/write_fil", resource'),
      /write_fil/,
      /files\/write_file/,
      2,
      38,
    ],
    [
      'an unknown effect',
      permit('true', 'principal, action in Action::"effect:wriet", resource'),
      /wriet/,
      /effect:write/,
      2,
    ],
    [
      'an unknown server',
      permit('true', 'principal, action, resource in Server::"file"'),
      /"file"/,
      /"files"/,
      2,
    ],
    [
      'a misspelt argument',
      permit('context.input has pth && context.input.pth == "x"'),
      /never apply/,
      /did you mean `path`/,
      2,
    ],
    [
      'an unguarded optional argument',
      permit('context.input.path like "/srv/*"'),
      /optional/,
      /presence/,
      3,
      8,
    ],
    ['a misspelt word', permit('context.taks.id == "x"'), /taks/, /task/, 3],
    ['a wrong type', permit('context.task.id > 3'), /type/, /./, 3],
    ['a template', '@id("a") permit (principal == ?principal, action, resource);', /template|slot/, /./, 1],
    [
      'a number that JSON cannot hold',
      permit('context.task.depth < 9007199254740993'),
      /number/,
      /9007199254740991/,
      2,
    ],
    ['nesting', permit(`${'('.repeat(40)}true${')'.repeat(40)}`), /nested/, /split/, 3],
  ]
  for (const [name, text, message, hint, line, column] of cases)
    test(name, () => {
      const found = problems(text, [write])
      const [first] = found
      assert.ok(first !== undefined, 'expected a problem')
      assert.equal(first.file, 'test.cedar')
      assert.match(first.message, message)
      assert.match(first.hint, hint)
      assert.equal(first.line, line)
      if (column !== undefined) assert.equal(first.column, column)
    })

  test('one bad statement does not hide the others', () => {
    const text =
      '@id("a") permit (principal, action, resource) when { 1 };\n@id("b") permit (principal, actoin, resource);\n@id("c") permit (principal, action, resource);'
    assert.deepEqual(
      problems(text, [write]).map(({ line }) => line),
      [1, 2],
    )
  })

  test('an argument without one type is named with the reason', () => {
    const mixed = tool({ properties: { value: { type: ['string', 'number'] } } })
    const [first] = problems(permit('context.input has value'), [mixed])
    assert.match(first?.hint ?? '', /more than one type/)
  })
})

describe('approvals can only add', () => {
  const refused = [
    permit('context has approval && context.approval.count == 1'),
    permit('!(context has approval)'),
    permit('context has approval && context.approval.proof < 3'),
    permit('context has approval && !context.approval.independent'),
    permit('context has approval && context.approval.independent == false'),
    permit('if context has approval then context.task.id == "x" else true'),
    permit('context has approval && context.approval.count + 1 > 1'),
    permit('context has approval && context.history.calls * 9007199254740991 > 0'),
    permit('context has approval && context.approval == context.approval'),
    permit('context has approval && [1].contains(context.approval.count)'),
    '@id("it")\nforbid (principal, action, resource) when { context has approval };',
    '@id("it")\nforbid (principal, action, resource) unless { context has approval && context.approval.count <= 2 };',
    '@id("it")\npermit (principal, action, resource) unless { context has approval };',
  ]
  for (const text of refused)
    test(`refused at load: ${text.split('\n').at(-1)}`, () => {
      const [first] = problems(text, [write])
      assert.match(first?.message ?? '', /more approval could|may not calculate/)
      assert.ok(first?.hint)
    })

  const taken = [
    permit('context has approval && context.approval.count >= 2 && 1 <= context.approval.proof'),
    permit('if context has approval then context.approval.independent else false'),
    permit('context has approval && context.approval.independent != false'),
    permit('context has approval.count'),
    '@id("it")\nforbid (principal, action, resource) unless { context has approval };',
    '@id("it")\nforbid (principal, action, resource) when { !(context has approval && context.approval.proof >= 2) };',
  ]
  for (const text of taken)
    test(`taken: ${text.split('\n').at(-1)}`, () => assert.deepEqual(problems(text, [write]), []))
})

describe('removed tools', () => {
  test('a policy that names a tombstone stays valid', () => {
    const removed = { ...tool({ state: 'removed' }), pinned: null, review: null }
    assert.deepEqual(problems(permit('context.input has path && context.input.path == "x"'), [removed]), [])
  })
})

describe('off the event loop', () => {
  test('the checking process gives the same snapshot as this one', async () => {
    const sources = [
      { name: 'a.cedar', text: permit('context.input has path && context.input.path like "/srv/*"') },
    ]
    const apart = await loadPolicies({ sources, tools: [write] })
    const here = loadPoliciesHere({ sources, tools: [write] })
    assert.ok(apart.ok && here.ok)
    assert.equal(apart.snapshot.version, here.snapshot.version)
    for (const path of ['/srv/x', '/etc/x'])
      assert.deepEqual(
        apart.snapshot.judge(question(write, { path })),
        here.snapshot.judge(question(write, { path })),
      )
  })

  test('a policy that breaks the engine breaks only the check', async () => {
    const text = `@id("deep") permit (principal, action, resource) when { ${'true || '.repeat(2000)}true };`
    const loaded = await loadPolicies({ sources: [{ name: 'deep.cedar', text }], tools: [write] })
    const after = loadPoliciesHere({ sources: [{ name: 'a.cedar', text: permit('true') }], tools: [write] })
    assert.equal(loaded.ok, false)
    assert.ok(after.ok)
  })

  test('a check that takes too long is a problem', async () => {
    const loaded = await loadPolicies({ sources: [], tools: [write], timeoutMs: 0 })
    assert.ok(!loaded.ok && /longer than/.test(loaded.problems[0]?.message ?? ''))
  })
})

describe('the live set', () => {
  const source = (text: string) => [{ name: 'a.cedar', text }]
  const load_ = (request: Parameters<typeof loadPoliciesHere>[0]) =>
    Promise.resolve(loadPoliciesHere(request))

  test('a bad set leaves the old one live', async () => {
    const started = await createPolicies({ sources: source(permit('true')), tools: [write], load: load_ })
    assert.ok(started.ok)
    const before = started.policies.snapshot()
    const swapped = await started.policies.swap(source('nonsense;'))
    assert.ok(!swapped.ok)
    assert.equal(started.policies.snapshot(), before)
    assert.equal(before.judge(question(write)).decision, 'allow')
  })

  test('a good set is swapped whole and moves the version', async () => {
    const started = await createPolicies({ sources: source(permit('true')), tools: [write], load: load_ })
    assert.ok(started.ok)
    const before = started.policies.snapshot().version
    assert.ok((await started.policies.swap(source(permit('false || context.task.id == "x"')))).ok)
    assert.notEqual(started.policies.snapshot().version, before)
    assert.equal(started.policies.snapshot().judge(question(write)).decision, 'deny')
  })

  test('a policy that no longer fits a changed tool denies that tool and is named', async () => {
    const text =
      '@id("it") permit (principal, action in Action::"server:files", resource) when { context.input has path && context.input.path == "x" };'
    const started = await createPolicies({ sources: source(text), tools: [write], load: load_ })
    assert.ok(started.ok)
    const retyped = tool({ properties: { path: { type: 'integer' } } })
    assert.ok(retyped.review)
    const changed = { ...retyped, review: { ...retyped.review, digest: `sha256:${'2'.repeat(64)}` } }
    const found = started.policies.registryChanged([changed])
    assert.equal(found[0]?.file, 'a.cedar')
    const judgement = started.policies.snapshot().judge(question(changed, { path: 1 }))
    assert.equal(judgement.decision, 'deny')
    assert.match(judgement.errors[0] ?? '', /does not fit/)
    assert.equal(started.policies.snapshot().judge(question(write, { path: 'x' })).decision, 'allow')
  })

  test('the version moves with a named tool’s definition and not with others', () => {
    const snapshot = load(permit('true'), [write])
    const other = tool({ name: 'other' })
    assert.equal(snapshot.withTools([write, other]).snapshot.version, snapshot.version)
    assert.ok(write.review)
    const changed = { ...write, review: { ...write.review, digest: `sha256:${'1'.repeat(64)}` } }
    assert.notEqual(snapshot.withTools([changed]).snapshot.version, snapshot.version)
  })

  test('the order of files does not move the version', () => {
    const files = [
      { name: 'a', text: '@id("a") permit (principal, action, resource);' },
      { name: 'b', text: '@id("b") forbid (principal, action, resource);' },
    ]
    const one = loadPoliciesHere({ sources: files, tools: [] })
    const two = loadPoliciesHere({ sources: files.toReversed(), tools: [] })
    assert.ok(one.ok && two.ok)
    assert.equal(one.snapshot.version, two.snapshot.version)
  })
})

test('100 policies over 10,000 tools load', () => {
  const tools = Array.from({ length: 10_000 }, (_, index) =>
    tool({
      server: `s${index % 100}`,
      name: `tool_${index}`,
      effects: index % 2 === 0 ? ['read'] : ['write'],
      properties:
        index % 3 === 0
          ? { path: { type: 'string' } }
          : { id: { type: 'integer' }, path: { type: 'string' } },
    }),
  )
  const text = Array.from(
    { length: 100 },
    (_, index) =>
      `@id("p${index}") permit (principal, action in Action::"${index % 2 === 0 ? 'effect:read' : `server:s${index}`}", resource) when { context.input has path && context.input.path like "/x${index}/*" };`,
  ).join('\n')
  const snapshot = load(text, tools)
  const first = tools[0]
  assert.ok(first)
  assert.equal(snapshot.judge(question(first, { path: '/x2/a' }, { bound: bound() })).decision, 'allow')
})
