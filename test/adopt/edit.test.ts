import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parse } from 'jsonc-parser'
import { remaining, withCleanComments, withEntries } from '../../src/adopt/edit.ts'

const change = (at: readonly string[]) => ({ at, command: 'countersign', args: ['connect', '--server', 'x'] })

test('only the entry changes: comments, commas, unknown fields, indentation and line ends stay', () => {
  const before = [
    '\ufeff{',
    '\t// mine',
    '\t"other": [1,2 , 3], /* odd */',
    '\t"mcpServers": {',
    '\t\t"x": {',
    '\t\t\t"type": "http", // remote',
    '\t\t\t"url": "https://x.test/mcp", // where',
    '\t\t\t"headers": { "Authorization": "Bearer abc" }, // who',
    '\t\t\t"alwaysAllow": ["get",],',
    '\t\t},',
    '\t},',
    '}',
    '',
  ].join('\r\n')
  const after = before
    .replace('"http"', '"stdio"')
    .replace('"url": "https://x.test/mcp"', '"command": "countersign"')
    .replace('"headers": { "Authorization": "Bearer abc" }', '"args": ["connect", "--server", "x"]')
  assert.equal(withEntries(before, [change(['mcpServers', 'x'])]), after)
})

test('a missing field comes on a line of its own where the others have one, beside them where they do not', () => {
  const lines = '{\n  "servers": {\n    "x": {\n      "url": "https://x.test"\n    }\n  }\n}'
  assert.equal(
    withEntries(lines, [change(['servers', 'x'])]),
    '{\n  "servers": {\n    "x": {\n      "command": "countersign",\n      "args": ["connect", "--server", "x"]\n    }\n  }\n}',
  )
  const flat = '{"servers":{"x":{"command":"run"}}}'
  assert.equal(
    withEntries(flat, [change(['servers', 'x'])]),
    '{"servers":{"x":{"command":"countersign", "args": ["connect", "--server", "x"]}}}',
  )
})

test('a field that has to go takes one comma with it and no comment', () => {
  for (const [before, after] of [
    [
      '{"s":{"x":{"command":"a","args":[],"envFile":"e"}}}',
      '{"s":{"x":{"command":"countersign","args":["connect", "--server", "x"]}}}',
    ],
    [
      '{"s":{"x":{"envFile":"e","command":"a","args":[]}}}',
      '{"s":{"x":{"command":"countersign","args":["connect", "--server", "x"]}}}',
    ],
    [
      '{"s":{"x":{\n"command":"a",\n"args":[], // k\n"envFile":"e", // l\n}}}',
      '{"s":{"x":{\n"command":"countersign",\n"args":["connect", "--server", "x"], // k\n // l\n}}}',
    ],
    [
      '{"s":{"x":{\n"command":"a",\n"args":[], // k\n"envFile":"e" // l\n}}}',
      '{"s":{"x":{\n"command":"countersign",\n"args":["connect", "--server", "x"] // k\n // l\n}}}',
    ],
    [
      '{"s":{"x":{\n "command":"a",\n "envFile":"e",\n "args":[]\n}}}',
      '{"s":{"x":{\n "command":"countersign",\n "args":["connect", "--server", "x"]\n}}}',
    ],
  ] as const) {
    assert.equal(withEntries(before, [change(['s', 'x'])]), after)
  }
})

test('several fields that go leave no comma behind: strict JSON stays strict JSON', () => {
  for (const fields of [
    '"url":"u","envFile":"e","headers":{}',
    '"command":"c","args":[],"envFile":"e","headers":{},"url":"u"',
  ]) {
    const text = `{"s":{"x":{${fields}}}}`
    assert.doesNotThrow(() => JSON.parse(withEntries(text, [change(['s', 'x'])])), fields)
  }
})

test('a token in a comment goes, and what stays elsewhere is counted', () => {
  const text = '{ // was tok-1234567 once\n"a": "tok-1234567", "b": "tok\\u002d1234567" }'
  const clean = withCleanComments(text, ['tok-1234567'])
  assert.equal(clean, text.replace('was tok-1234567', 'was [moved to the sealed store]'))
  assert.deepEqual(remaining(clean, ['tok-1234567', 'nowhere']), [2, 0])
})

const space = fc.constantFrom('', ' ', '\n', '\r\n  ', '\t', ' /* c, "x": {} */ ', ' // l }\n')
const value = fc.constantFrom(
  '"v"',
  '[1, 2 ,3,]',
  '{}',
  '{"a": "\\u0041"}',
  'null',
  '"https://x.test/a//b"',
  '"}"',
)

test('whatever the file looks like, what is outside the entry stays byte for byte and the entry becomes what it should', () => {
  const field = fc.tuple(
    fc.constantFrom('url', 'headers', 'env', 'envFile', 'type', 'args', 'timeout', 'disabled', '"odd'),
    value,
  )
  const model = fc.record({
    lead: fc.constantFrom('', '\ufeff'),
    spaces: fc.array(space, { minLength: 12, maxLength: 12 }),
    fields: fc.uniqueArray(field, { selector: ([name]) => name, maxLength: 6 }),
    first: fc.constantFrom('command', 'url'),
    trailing: fc.boolean(),
    before: value,
    after: value,
  })
  fc.assert(
    fc.property(
      model,
      ({
        lead,
        spaces: [a = '', b = '', c = '', d = '', e = '', f = ''],
        fields,
        first,
        trailing,
        before,
        after,
      }) => {
        const members = [[first, '"old"'] as const, ...fields.filter(([name]) => name !== first)]
        const entry = `{${a}${members.map(([name, text]) => `${b}${JSON.stringify(name)}${c}:${d}${text}`).join(`${e},${f}`)}${trailing ? ',' : ''}${a}}`
        const head = `${lead}${b}{${c}"p"${d}:${before},${e}"mcpServers":{${f}"y": {"command":"stay"},"x":${a}`
        const tail = `${trailing ? ',' : ''}${c}},"q":${after}${b}}${d}`
        const edited = withEntries(head + entry + tail, [change(['mcpServers', 'x'])])
        assert.ok(edited.startsWith(head), 'nothing before the entry changed')
        assert.ok(edited.endsWith(tail), 'nothing after the entry changed')
        const errors: unknown[] = []
        const read = parse(edited.slice(lead.length), errors as never[], { allowTrailingComma: true })
        assert.deepEqual(errors, [])
        const { command, args, ...rest } = read.mcpServers.x
        assert.deepEqual([command, args], ['countersign', ['connect', '--server', 'x']])
        const kept = fields
          .map(([name]) => name)
          .filter((name) => ['timeout', 'disabled', '"odd', 'type', 'env'].includes(name))
        assert.deepEqual(Object.keys(rest).sort(), kept.sort())
        const comments = (text: string): number =>
          text.split('/* c, "x": {} */').length + text.split('// l }').length
        assert.ok(comments(edited) >= comments(head) + comments(tail) - 2)
      },
    ),
    { numRuns: 1000 },
  )
})
