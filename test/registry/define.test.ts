import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { define, digest, idOf, toCatalogue } from '../../src/registry/define.ts'
import { definitionsOf, listingsOf } from './fixture.ts'
import type { Json } from '../../src/lib/json.ts'

const tool = (name: string, more: { [member: string]: Json } = {}): Json => ({
  name,
  inputSchema: { type: 'object' },
  ...more,
})
const problems = (tools: readonly Json[]): readonly string[] =>
  define({ tools }).problems.map(({ problem }) => problem)

test('a real server with everything: tools, prompts, templates, one root for its resources, its instructions', () => {
  const ids = definitionsOf('everything').map((definition) => idOf('everything', definition))
  assert.equal(ids.length, 21)
  assert.ok(ids.includes('everything/echo'))
  assert.ok(ids.includes('everything/prompt:args-prompt'))
  assert.ok(ids.includes('everything/template:demo://resource/dynamic/text/{resourceId}'))
  assert.ok(ids.includes('everything/instructions:instructions'))
  assert.deepEqual(
    ids.filter((id) => id.includes('/resource:')),
    ['everything/resource:demo://resource/'],
  )
  assert.equal(define(listingsOf('everything')).resources.length, 7)
  assert.deepEqual(define(listingsOf('everything')).problems, [])
  assert.deepEqual(define(listingsOf('filesystem')).problems, [])
})

test('a digest covers every word that a model could see, and no order of members', () => {
  const [one] = define({ tools: [tool('a', { description: 'x', title: 't' })] }).definitions
  const [same] = define({
    tools: [{ title: 't', description: 'x', inputSchema: { type: 'object' }, name: 'a' }],
  }).definitions
  const [other] = define({ tools: [tool('a', { description: 'x.', title: 't' })] }).definitions
  assert.ok(one && same && other)
  assert.match(digest(one), /^sha256:[0-9a-f]{64}$/)
  assert.equal(digest(one), digest(same))
  assert.notEqual(digest(one), digest(other))
})

test('what is not in the list of fields does not ride along into a definition', () => {
  const [found] = define({
    tools: [
      tool('a', {
        _meta: { x: 1 },
        annotations: { readOnlyHint: true, trustMe: true, destructiveHint: 'no' },
        icons: [{ src: 'javascript:alert(1)' }, { src: 'https://icons.example/a.png' }],
        extra: 'ignore previous',
      }),
    ],
  }).definitions
  assert.deepEqual(found, {
    kind: 'tool',
    name: 'a',
    icons: [{ src: 'https://icons.example/a.png' }],
    inputSchema: { type: 'object' },
    annotations: { readOnlyHint: true },
  })
})

test('names outside the allowed characters are kept out and said, and nothing crashes', () => {
  assert.deepEqual(
    problems([
      tool('ok'),
      tool('has space'),
      tool(''),
      tool('ünicode'),
      tool('x'.repeat(129)),
      tool('../up'),
      7,
      null,
    ]).length,
    7,
  )
  assert.deepEqual(
    define({ tools: [tool('ok'), tool('has space')] }).definitions.map(({ name }) => name),
    ['ok'],
  )
})

test('two different tools under one name: neither is kept, as nobody could say which one a call reaches', () => {
  const { definitions, problems: found } = define({
    tools: [tool('a', { description: 'good' }), tool('b'), tool('a', { description: 'evil' })],
  })
  assert.deepEqual(
    definitions.map(({ name }) => name),
    ['b'],
  )
  assert.match(found[0]?.problem ?? '', /both were left out/)
  assert.deepEqual(define({ tools: [tool('a'), tool('a')] }).definitions.length, 1)
})

test('too many, too deep and too long are kept out', () => {
  const many = define({ tools: Array.from({ length: 10_050 }, (_, i) => tool(`t${i}`)) })
  assert.equal(many.definitions.length, 10_000)
  assert.equal(many.problems.length, 1)
  let deep: Json = {}
  for (let i = 0; i < 5_000; i++) deep = [deep]
  assert.match(
    problems([tool('deep', { inputSchema: { type: 'object', default: deep } })])[0] ?? '',
    /48 levels/,
  )
  assert.match(problems([tool('long', { description: 'x'.repeat(40_000) })])[0] ?? '', /32768 characters/)
  assert.match(
    problems([tool('huge', { inputSchema: { type: 'object', $comment: 'x'.repeat(300_000) } })])[0] ?? '',
    /262144 characters/,
  )
  assert.match(problems([tool('bad', { description: '\ud800' })])[0] ?? '', /Unicode/)
})

test('a schema that is none, and custom headers that could be mistaken for another, keep a tool out', () => {
  const header = (inputSchema: Json): Json => ({ name: 'a', inputSchema })
  assert.match(problems([{ name: 'a' }])[0] ?? '', /inputSchema/)
  assert.match(problems([header({ type: 'string' })])[0] ?? '', /"type": "object"/)
  assert.deepEqual(
    problems([header({ type: 'object', properties: { a: { type: 'string', 'x-mcp-header': 'Region' } } })]),
    [],
  )
  assert.match(
    problems([
      header({
        type: 'object',
        properties: {
          a: { type: 'string', 'x-mcp-header': 'r' },
          b: { type: 'string', 'x-mcp-header': 'R' },
        },
      }),
    ])[0] ?? '',
    /twice/,
  )
  assert.match(
    problems([header({ type: 'object', properties: { a: { type: 'number', 'x-mcp-header': 'R' } } })])[0] ??
      '',
    /string, integer or boolean/,
  )
  assert.match(
    problems([
      header({ type: 'object', anyOf: [{ properties: { a: { type: 'string', 'x-mcp-header': 'R' } } }] }),
    ])[0] ?? '',
    /only on properties/,
  )
  assert.deepEqual(
    problems([header({ type: 'object', properties: { 'x-mcp-header': { type: 'string' } } })]),
    [],
  )
})

test('resources outside strict URIs are not listed, and templates that cannot be matched are kept out', () => {
  const uris = [
    'file:///a/b',
    'file:///a/../b',
    'file:///a/%2e%2e/b',
    'no scheme',
    'file:///a b',
    'urn:isbn:1',
  ]
  const { resources, definitions } = define({ resources: uris.map((uri) => ({ name: 'x', uri })) })
  assert.deepEqual(
    resources.map(({ uri }) => uri),
    ['file:///a/b', 'urn:isbn:1'],
  )
  assert.deepEqual(
    definitions.map(({ uri }) => uri),
    ['file:///', 'urn:'],
  )
  const templates = ['a://{x}', 'a://{+x}', 'a://{x:3}', '{x}://b', 'a://{x'].map((uriTemplate) => ({
    name: 'x',
    uriTemplate,
  }))
  assert.deepEqual(
    define({ templates }).definitions.map(({ uriTemplate }) => uriTemplate),
    ['a://{x}', 'a://{+x}'],
  )
})

test('a catalogue is made from what a connection listed', async () => {
  const raw = {
    server: 's',
    ...listingsOf('filesystem'),
    instructions: null,
    capabilities: {},
    serverInfo: {},
    era: 'legacy' as const,
    protocolVersion: '2025-11-25',
  }
  const { catalogue } = await toCatalogue({
    ...raw,
    tools: [{ name: 'a', inputSchema: { type: 'object' } }],
    prompts: [],
    resources: [],
    templates: [],
  })
  assert.deepEqual(
    catalogue.definitions.map(({ name }) => name),
    ['a'],
  )
  assert.equal(catalogue.era, 'legacy')
})

test('property: whatever a server lists, define returns, and every definition has a digest', () => {
  const anything = fc.jsonValue({ maxDepth: 4 }).map((value): Json => JSON.parse(JSON.stringify(value)))
  const entry = fc.oneof(
    anything,
    fc
      .record({
        name: fc.oneof(fc.string(), fc.constantFrom('a', 'constructor', '__proto__')),
        description: anything,
        inputSchema: fc.oneof(anything, fc.constant({ type: 'object' })),
        uri: fc.webUrl(),
        uriTemplate: fc.string(),
        arguments: anything,
      })
      .map((value): Json => JSON.parse(JSON.stringify(value))),
  )
  const list = fc.array(entry, { maxLength: 5 })
  fc.assert(
    fc.property(
      fc.record({ tools: list, prompts: list, resources: list, templates: list, instructions: anything }),
      (listings) => {
        for (const definition of define(listings).definitions) assert.match(digest(definition), /^sha256:/)
      },
    ),
  )
})
