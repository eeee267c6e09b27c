import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { aDefinition, aTool, definitionsOf } from './fixture.ts'
import { buildReview } from '../../src/registry/review.ts'
import { confidentialities } from '../../src/flow/labels.ts'
import { effects } from '../../src/registry/tool.ts'
import { isClean, lintProfile, shortcomingRules } from '../../src/registry/costs.ts'
import { matchProfile } from '../../src/registry/recognise.ts'
import { packagedProfiles } from '../../src/registry/profiles.ts'
import { parseProfile, type Profile } from '../../src/registry/profile.ts'
import { proposalFor } from '../../src/registry/propose.ts'
import type { Definition } from '../../src/registry/tool.ts'
import type { Overrides } from '../../src/registry/review.ts'

const text = (tools: string, more = ''): string =>
  `profile: post\nabout: a post office\nwritten_from: the office\n${more}tools:\n${tools}`

const profile = (tools: string, more = ''): Profile => {
  const parsed = parseProfile(text(tools, more))
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problem)
  return parsed.profile
}

const send = `  send:
    effects: [write, egress]
    confidentiality: internal
    integrity: untrusted
    arguments: { /to: recipient, /body: none, /stamp/price: amount }
    results: { format: json, fields: [{ at: /id, integrity: trusted }, { at: /*/email, directory: true }] }
`
const string = { type: 'string' }
const sends = (properties: { readonly [name: string]: object } = {}): Definition =>
  aDefinition('send', {
    description: 'Sends a letter.',
    inputSchema: JSON.parse(
      JSON.stringify({
        type: 'object',
        properties: {
          to: string,
          body: string,
          stamp: { properties: { price: { type: 'number' } } },
          ...properties,
        },
      }),
    ),
  })

describe('a profile', () => {
  test('says what a registry owner knows of each tool', () => {
    assert.deepEqual(profile(send).tools, [
      {
        name: 'send',
        aliases: [],
        effects: ['write', 'egress'],
        without: {},
        confidentiality: 'internal',
        integrity: 'untrusted',
        bears: [
          { at: '/to', kind: 'recipient' },
          { at: '/stamp/price', kind: 'amount' },
        ],
        bearNothing: ['/body'],
        results: {
          format: 'json',
          fields: [
            { at: '/id', integrity: 'trusted' },
            { at: '/*/email', directory: true },
          ],
        },
      },
    ])
  })

  const wrong: readonly (readonly [string, string, RegExp])[] = [
    [
      'an unknown key',
      text('  send: { effect: [write] }\n'),
      /^line 5, column \d+: `tools\.send`: unknown key `effect`$/,
    ],
    [
      'an unknown effect',
      text('  send: { effects: [fly] }\n'),
      /^line 5, column \d+: `tools\.send\.effects\.0`: .*expected one of/,
    ],
    ['an effect twice', text('  send: { effects: [read, read] }\n'), /expected each effect once/],
    [
      'an effect that it has and has not',
      text('  send: { effects: [write], without: { write: no } }\n'),
      /both in `effects` and in `without`/,
    ],
    [
      'an argument that is no pointer',
      text('  send: { arguments: { to: recipient } }\n'),
      /`tools\.send\.arguments\.to`: expected an argument as a JSON pointer/,
    ],
    [
      'a kind of argument that there is not',
      text('  send: { arguments: { /to: person } }\n'),
      /line 5, .*`tools\.send\.arguments\.\/to`/,
    ],
    [
      'a directory that is not trusted',
      text('  send: { results: { fields: [{ at: /x, directory: true, integrity: untrusted }] } }\n'),
      /expected a directory to be trusted/,
    ],
    [
      'a pattern that could take for ever',
      text("  send: { results: { fields: [{ pattern: '(a)\\1' }] } }\n"),
      /matches in linear time/,
    ],
    ['a name twice', text('  a: { aliases: [b] }\n  b: {}\n'), /expected each name once, found `b` twice/],
    [
      'a key twice',
      text('  a: {}\n  a: {}\n'),
      /^line 6, column 3: expected each key once \(duplicate key\)$/,
    ],
    ['a tag', text('  a: !!js/function {}\n'), /^line 5, column \d+: expected YAML/],
    ['an alias', text('  a: &one { effects: [read] }\n  b: *one\n'), /without aliases/],
    ['no tools', 'profile: post\nabout: x\nwritten_from: y\n', /`tools`/],
    ['a name with a path in it', text('').replace('post', '../x'), /line 1, column 10: `profile`/],
    ['two documents', `${text('  a: {}\n')}---\n${text('  b: {}\n')}`, /expected YAML/],
    ['nothing', '', /top level/],
    ['too much', ' '.repeat(600_000), /expected at most/],
    ['a line that never ends', `profile: ${'? '.repeat(5_000)}`, /^line 1: expected at most 4000/],
    ['a key that is no name', text('  ? [a]\n  : {}\n'), /^line 5, column 5: expected a name as the key$/],
    ['a key that sets a prototype', text('  __proto__: {}\n'), /expected a name as the key/],
    ['nesting that never ends', `profile: ${'[\n'.repeat(5_000)}`, /not so deeply nested/],
  ]
  for (const [what, given, expected] of wrong)
    test(`with ${what} is refused, and the place is named`, () => {
      const parsed = parseProfile(given)
      assert.match(parsed.ok ? 'taken' : parsed.problem, expected)
    })

  test('never repeats what stands in a file that is none: a path may name a private key', () => {
    for (const given of [
      '-----BEGIN KEY-----\nhunter2\n',
      'token: hunter2',
      '"hunter2',
      'profile: { hunter2 }',
    ]) {
      const parsed = parseProfile(given)
      assert.doesNotMatch(parsed.ok ? 'taken hunter2' : parsed.problem, /hunter2/)
    }
  })
})

describe('what a profile proposes', () => {
  test('takes the place of what is inferred, with bearings, labels and common targets', () => {
    assert.deepEqual(proposalFor(profile(send), sends()), {
      effects: ['write', 'egress'],
      confidentiality: 'internal',
      integrity: 'untrusted',
      bears: [
        { at: '/to', kind: 'recipient' },
        { at: '/stamp/price', kind: 'amount' },
      ],
      targets: { recipient: '/to', amount: '/stamp/price' },
      results: profile(send).tools[0]?.results,
    })
  })

  test('is nothing for what it does not know, and for what is no tool', () => {
    assert.equal(proposalFor(profile(send), aDefinition('sends')), null)
    assert.equal(proposalFor(profile(send), { kind: 'prompt', name: 'send' }), null)
  })

  test('goes by a tool’s other names', () => {
    const renamed = profile(send.replace('effects', 'aliases: [post_letter]\n    effects'))
    assert.deepEqual(proposalFor(renamed, { ...sends(), name: 'post_letter' }), proposalFor(renamed, sends()))
  })

  test('a `bcc` that came with a newer version is counted as a target: it is no way around the profile', () => {
    const bears = proposalFor(profile(send), sends({ bcc: { type: 'array', items: string } }))?.bears
    assert.deepEqual(bears?.at(-1), { at: '/bcc', kind: 'recipient' })
    const nested = proposalFor(
      profile(send),
      sends({ copies: { type: 'array', items: { properties: { email: string } } } }),
    )
    assert.deepEqual(nested?.bears?.at(-1), { at: '/copies/*/email', kind: 'recipient' })
  })

  test('leaves out arguments that the definition does not take', () => {
    const bears = proposalFor(profile(send.replace('/body: none', '/cc: recipient')), sends())?.bears
    assert.deepEqual(
      bears?.map(({ at }) => at),
      ['/to', '/stamp/price'],
    )
  })

  test('says nothing of bearings when it speaks of another tool: every write asks then', () => {
    const other: Definition = { ...sends(), inputSchema: { type: 'object', properties: { whom: string } } }
    assert.equal(proposalFor(profile(send), other)?.bears, undefined)
  })

  test('finds arguments behind references and alternatives', () => {
    const definition: Definition = {
      ...sends(),
      inputSchema: {
        type: 'object',
        $defs: { who: { type: 'object', properties: { to: string, bcc: string } } },
        anyOf: [{ $ref: '#/$defs/who' }, { properties: { address: string } }],
      },
    }
    assert.deepEqual(proposalFor(profile(send), definition)?.bears, [
      { at: '/to', kind: 'recipient' },
      { at: '/bcc', kind: 'recipient' },
    ])
  })

  test('a schema that points to itself ends', () => {
    const definition: Definition = {
      ...sends(),
      inputSchema: { type: 'object', properties: { to: string, next: { $ref: '#' } } },
    }
    assert.ok(proposalFor(profile(send), definition)?.bears?.length)
  })
})

const anOverride: fc.Arbitrary<Overrides> = fc.record(
  {
    effects: fc.uniqueArray(fc.constantFrom(...effects), { minLength: 1 }),
    environment: fc.constantFrom('staging', 'production'),
    confidentiality: fc.constantFrom(...confidentialities),
    integrity: fc.constantFrom('trusted', 'untrusted'),
    targets: fc.constantFrom({}, { path: '/x' }),
    bears: fc.constantFrom([], [{ at: '/body', kind: 'command' as const }]),
    results: fc.constantFrom({ fields: [] }, { fields: [{ at: '', confidentiality: 'secret' as const }] }),
  },
  { requiredKeys: [] },
)

test('a profile never touches what the reviewer decided', () => {
  fc.assert(
    fc.property(anOverride, anOverride, (overrides, proposal) => {
      const tool = aTool('s', sends(), { state: 'quarantined', pinned: null, review: null })
      const built = buildReview({
        tool,
        digest: tool.digest,
        reviewer: 'operator',
        at: 0,
        environment: 'test',
        overrides,
        proposal,
      })
      assert.ok(built.ok)
      const order = effects.filter((effect) => overrides.effects?.includes(effect))
      const wanted = { ...overrides, ...(overrides.effects === undefined ? {} : { effects: order }) }
      assert.deepEqual({ ...built.review, ...wanted }, built.review)
      for (const key of ['confidentiality', 'integrity', 'bears', 'results'] as const)
        if (overrides[key] === undefined && proposal[key] !== undefined)
          assert.deepEqual(built.review[key], proposal[key])
    }),
  )
})

describe('what a profile leaves unsaid', () => {
  const rules = (tools: string, ...definitions: readonly Definition[]) =>
    lintProfile(profile(tools), definitions).map(({ rule, severity }) => `${severity} ${rule}`)

  test('is nothing when it says everything', () => {
    assert.deepEqual(rules(send, sends()), [])
  })

  test('without a profile it is everything, and each finding says what it costs', () => {
    const found = lintProfile(null, [sends(), aDefinition('get_letter', { inputSchema: { type: 'object' } })])
    assert.deepEqual(
      found.map(({ tool, rule, severity }) => [tool, rule, severity]),
      [
        [null, 'no-profile', 'warning'],
        ['send', 'unknown-tool', 'warning'],
        ['get_letter', 'unknown-tool', 'note'],
      ],
    )
    assert.match(
      found[1]?.costs ?? '',
      /^every write of `send` asks; whatever `send` returns makes the task untrusted/,
    )
    assert.doesNotMatch(found[2]?.costs ?? '', /asks/)
    assert.match(found[2]?.costs ?? '', /a confidential result counts as internal/)
  })

  test('bearings, labels and effects, each by itself', () => {
    assert.deepEqual(
      rules(
        '  send: { effects: [write, egress], confidentiality: internal, integrity: untrusted }\n',
        sends(),
      ),
      ['warning no-bearings'],
    )
    assert.deepEqual(rules(send.replace(/ {4}confid.*\n/, ''), sends()), ['warning no-labels'])
    assert.deepEqual(rules(send.replace(/ {4}effects.*\n/, ''), sends()), ['warning no-effects'])
  })

  test('an effect that the name says firmly is never taken away without a word', () => {
    const mild = send.replace('[write, egress]', '[write]')
    assert.deepEqual(rules(mild, sends()), ['danger effect-missing'])
    const reasoned = mild.replace(
      'effects: [write]',
      'effects: [write]\n    without: { egress: it stays in the house }',
    )
    assert.deepEqual(rules(reasoned, sends()), ['note effect-missing'])
    assert.match(lintProfile(profile(reasoned), [sends()])[0]?.message ?? '', /“it stays in the house”/)
  })

  test('an effect that it adds is worth a note', () => {
    assert.deepEqual(rules(send.replace('[write, egress]', '[write, egress, spend]'), sends()), [
      'note effect-added',
    ])
  })

  test('arguments that are gone, and arguments that it does not speak of', () => {
    assert.deepEqual(rules(send.replace('/body: none', '/cc: recipient'), sends()), ['note argument-gone'])
    assert.deepEqual(rules(send, sends({ bcc: string })), ['warning argument-unspoken'])
    assert.deepEqual(rules(send.replace('/body: none', '/bcc: none'), sends({ bcc: string })), [])
    const other: Definition = {
      ...sends(),
      inputSchema: { type: 'object', properties: { whom: string, text: string } },
    }
    assert.deepEqual(
      rules(send, other),
      ['note effect-added', 'warning argument-gone', 'warning argument-gone'].filter(
        (one) => !one.includes('added'),
      ),
    )
  })

  test('tools on one side only', () => {
    assert.deepEqual(rules(send, aDefinition('delete_letter')), ['warning unknown-tool', 'note not-offered'])
  })

  test('every rule is told of in the guide', async () => {
    const { readFile } = await import('node:fs/promises')
    const guide = await readFile(new URL('../../docs/guides/profiles.md', import.meta.url), 'utf8')
    for (const rule of shortcomingRules) assert.match(guide, new RegExp(`\`${rule}\``), rule)
  })
})

describe('a server is recognised', () => {
  const post = profile(
    send,
    "match: { packages: ['@post/mcp', post-mcp, ghcr.io/post/mcp], names: [Post], hosts: [mcp.post.example] }\n",
  )
  const by = (config: object, calls: string | null = null, definitions: readonly Definition[] = [sends()]) =>
    matchProfile([post], { config: JSON.parse(JSON.stringify(config)), calls, definitions })?.by ?? null

  const lines: readonly (readonly [string, string | null])[] = [
    ['npx -y @post/mcp', 'package'],
    ['npx -y @post/mcp@1.2.3 /srv', 'package'],
    ['uvx post-mcp==2.0', 'package'],
    ['uvx post-mcp[all]@latest', 'package'],
    ['/opt/bin/post-mcp serve', 'package'],
    ['docker run -i --rm ghcr.io/post/mcp:v1', 'package'],
    ['docker run -i ghcr.io/post/mcp@sha256:00ff', 'package'],
    ['node /srv/node_modules/@post/mcp/dist/index.js', 'package'],
    ['node C:\\srv\\node_modules\\@post\\mcp\\index.js', 'package'],
    ['npx -y @post/mcp-other', null],
    ['node /home/@post/mcp/index.js', null],
  ]
  for (const [line, expected] of lines)
    test(`${line}: ${expected ?? 'not'}`, () => {
      const [command, ...args] = line.split(' ')
      assert.equal(by({ command, args }), expected)
    })

  test('by its host and by what it calls itself, and not when it offers other tools', () => {
    assert.equal(by({ url: 'https://mcp.post.example/mcp' }), 'host')
    assert.equal(by({ url: 'https://mcp.post.example.evil/mcp' }), null)
    assert.equal(by({ url: 'https://a.example' }, 'Post'), 'name')
    assert.equal(by({ command: 'post-mcp' }, null, [aDefinition('other')]), null)
    assert.equal(by({ command: 'post-mcp' }, null, []), 'package')
  })

  test('by the profile that knows most of its tools', () => {
    const other = { ...post, name: 'other', tools: [] }
    const found = matchProfile([other, post], {
      config: { command: 'post-mcp' },
      calls: null,
      definitions: [sends(), aDefinition('x')],
    })
    assert.deepEqual([found?.profile.name, found?.known, found?.of], ['post', 1, 2])
  })
})

describe('the profiles that come with the broker', async () => {
  const all = await packagedProfiles()
  const files: { readonly [profile: string]: 'filesystem' | 'everything' } = {
    filesystem: 'filesystem',
    everything: 'everything',
  }
  for (const one of all) {
    test(`${one.name}: every tool has effects, labels and bearings, and free text is never trusted`, () => {
      for (const tool of one.tools) {
        assert.ok(
          tool.effects !== null &&
            tool.confidentiality !== null &&
            tool.integrity !== null &&
            tool.bears !== null,
          tool.name,
        )
        for (const field of tool.results?.fields ?? []) {
          const isTrusted = field.integrity === 'trusted' || field.directory === true
          const last = 'at' in field ? field.at.split('/').at(-1) : ''
          if (isTrusted)
            assert.doesNotMatch(
              last ?? '',
              /^(?:title|body|text|content|description|name|message|summary|subject|notes?)$/i,
              `${tool.name} ${last}`,
            )
        }
      }
      assert.ok(
        Object.values(one.match).some((names) => names.length > 0),
        'nobody would ever be told of it',
      )
    })
    const listed = files[one.name]
    if (listed !== undefined)
      test(`${one.name}: says everything of what the package really offers`, () => {
        const found = lintProfile(one, definitionsOf(listed))
        assert.deepEqual(
          found.filter(({ severity }) => severity !== 'note'),
          [],
        )
        assert.ok(isClean(found))
        assert.deepEqual(
          found.filter(({ rule }) => rule === 'unknown-tool'),
          [],
        )
      })
  }

  test('each is in a file of its name, and no two are for the same package', async () => {
    const packages = all.flatMap(({ match }) => match.packages)
    assert.deepEqual(packages, [...new Set(packages)])
    assert.ok(all.length >= 4)
  })
})
