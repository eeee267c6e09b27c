import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { suggest } from '../../src/policy/suggest.ts'
import type { Observed } from '../../src/policy/suggest.ts'
import { load, monday, problems, question, tool } from './given.ts'

const read = tool({ name: 'read_file', effects: ['read'], targets: { path: '/path' } })
const write = tool({ targets: { path: '/path' } })
const fetch = tool({
  server: 'web',
  name: 'fetch',
  effects: ['egress'],
  targets: { url: '/url' },
  properties: { url: { type: 'string' } },
})
const tools = [read, write, fetch]

const seen = (of: typeof read, args: Observed['arguments'], more: Partial<Observed> = {}): Observed => ({
  tool: of.id,
  effects: of.review?.effects ?? [],
  arguments: args,
  agent: 'coder',
  task: 't_1',
  at: monday,
  decision: 'allow',
  ...more,
})

const calls = [
  seen(read, { path: '/srv/project/a.txt' }),
  seen(read, { path: '/srv/project/src/b.txt' }),
  seen(write, { path: '/srv/project/out/c.txt', content: 'x' }),
  seen(write, { path: '/srv/project/out/d.txt', content: 'x' }, { at: monday + 86_400_000 }),
  seen(fetch, { url: 'https://api.example/x' }),
  seen(read, { path: '/etc/shadow' }, { decision: 'deny' }),
]

describe('a suggestion', () => {
  const suggestion = suggest({ calls, tools })
  const snapshot = load(suggestion.text, tools)
  const judge = (of: typeof read, args: Observed['arguments']) => snapshot.judge(question(of, args))

  test('allows the reads that were observed, by folder', () => {
    assert.equal(judge(read, { path: '/srv/project/other/z.txt' }).decision, 'allow')
  })

  test('asks plainly for the writes that were observed and with proof for others', () => {
    assert.equal(judge(write, { path: '/srv/project/out/e.txt' }).requirement?.proof, 'terminal')
    assert.equal(judge(write, { path: '/srv/project/e.txt' }).requirement?.proof, 'passphrase')
    assert.equal(judge(fetch, { url: 'https://api.example/y' }).requirement?.proof, 'passphrase')
  })

  test('does not take a refused call for an example', () => {
    assert.equal(judge(read, { path: '/etc/shadow' }).decision, 'ask')
    assert.ok(!suggestion.text.includes('/etc'))
  })

  test('says how often it would have asked', () => {
    assert.deepEqual([suggestion.days, suggestion.calls, suggestion.questionsPerDay], [2, 5, 1.5])
  })

  test('names what it leaves out', () => {
    const gone = seen({ ...read, id: 'gone/tool' }, {})
    assert.deepEqual(suggest({ calls: [gone], tools }).leftOut, ['gone/tool'])
  })

  test('a folder at the root is too wide for a rule', () => {
    const { text } = suggest({ calls: [seen(read, { path: '/a.txt' })], tools })
    assert.ok(!text.includes('like'))
  })

  test('loads and repeats to the same bytes, whatever names were observed', () => {
    const names = fc.string({
      unit: fc.constantFrom('a', '"', '\\', '*', '/', 'ñ', '\u2028', '\u200b', '\n', ' ', ';', '}', '//'),
      minLength: 1,
      maxLength: 8,
    })
    fc.assert(
      fc.property(names, fc.array(names, { minLength: 1, maxLength: 12 }), (toolName, parts) => {
        const odd = tool({ name: toolName, effects: ['read'], targets: { path: '/path' } })
        const observed = parts.map((part) => seen(odd, { path: `/srv/x/${part}/f` }))
        const { text } = suggest({ calls: observed, tools: [odd] })
        assert.equal(suggest({ calls: observed.toReversed(), tools: [odd] }).text, text)
        assert.deepEqual(problems(text, [odd]), [])
      }),
      { numRuns: 60 },
    )
  })
})
