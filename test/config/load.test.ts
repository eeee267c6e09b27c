import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { ConfigError, emptyConfig, loadConfig } from '../../src/config/load.ts'

/** A configuration that is wrong says where, what was expected and what to do; one that is right means one thing. */

let folder = ''
before(() => void (folder = mkdtempSync(join(tmpdir(), 'countersign-config-'))))
after(() => rmSync(folder, { recursive: true }))

const file = (text: string): string => {
  const path = join(folder, 'countersign.jsonc')
  writeFileSync(path, text)
  return path
}
const load = (text: string) => loadConfig(file(text))
function problemsOf(text: string): readonly string[] {
  try {
    load(text)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    assert.ok(error.hint.length > 0)
    assert.match(error.message, /is not a valid configuration/)
    return error.problems
  }
  return []
}

type Case = {
  readonly title: string
  readonly text: string
  /** The first lines; all of them unless `more`. */
  readonly problems: readonly RegExp[]
  readonly more?: boolean
}
const cases: readonly Case[] = [
  {
    title: 'text that ends too early',
    text: '{\n  "home": ',
    problems: [/^line 2, column 1[0-9]: value expected$/, /^line 2/],
  },
  {
    title: 'a key without quotes',
    text: '{\n  home: "x"\n}',
    problems: [/^line 2, column 3: invalid symbol$/, /^line 2, column 7: /, /^line 3/],
  },
  {
    title: 'an unknown key',
    text: '{\n  "homme": "x"\n}',
    problems: [/^line 2, column 3: top level: unknown key `homme`$/],
  },
  {
    title: 'an unknown key deep inside',
    text: '{\n  "agents": {\n    "coder": { "task": { "tolls": ["*"] } }\n  }\n}',
    problems: [/^line 3, column 26: `agents\.coder\.task`: unknown key `tolls`$/],
  },
  {
    title: 'two unknown keys',
    text: '{ "a": 1,\n "b": 2 }',
    problems: [/^line 1, column 3: .*`a`$/, /^line 2, column 2: .*`b`$/],
  },
  {
    title: 'a value of another type',
    text: '{\n\n  "home": 3 }',
    problems: [/^line 3, column 3: `home`: .*expected string, received number$/],
  },
  {
    title: 'a number out of bounds',
    text: '{ "approvals": {\n "holdSeconds": 90 } }',
    problems: [/^line 2, column 2: `approvals\.holdSeconds`: .*<=55$/],
  },
  {
    title: 'a word that is none of those',
    text: '{ "policy": { "starter": "lax" } }',
    problems: [/^line 1, column 15: `policy\.starter`: .*"observe"/],
  },
  {
    title: 'a server of neither form',
    text: '{ "servers": {\n  "files": { "comand": "x" } } }',
    problems: [
      /^line 2, column 3: `servers\.files`: expected `command` \(a program\) or `url` \(an endpoint\), and not both; found `comand`$/,
    ],
  },
  {
    title: 'a server of both forms',
    text: '{ "servers": { "files": { "command": "x", "url": "https://h" } } }',
    problems: [/and not both; found `command`, `url`$/],
  },
  {
    title: 'an unknown key of a program: it is told as such',
    text: '{ "servers": { "files": { "command": "x",\n "enviroment": "y" } } }',
    problems: [/^line 2, column 2: `servers\.files`: unknown key `enviroment`$/],
  },
  {
    title: 'an endpoint that is no URL',
    text: '{ "servers": { "web": { "url": "nope" } } }',
    problems: [/`servers\.web\.url`: invalid URL$/],
  },
  {
    title: 'a server name that would join with a tool',
    text: '{ "servers": { "a__b": { "url": "https://h" } } }',
    problems: [/^line 1, column 16: `servers\.a__b`: expected 1 to 63 of/],
  },
  {
    title: 'a key that is there twice',
    text: '{ "policy": { "starter": "strict" },\n "policy": {} }',
    problems: [/^line 2, column 2: `policy` is there twice; keep one$/],
  },
  {
    title: 'a key that is there twice deep inside',
    text: '{ "servers": { "a": { "url": "https://h" },\n "a": { "url": "https://i" } } }',
    problems: [/^line 2, column 2: `a` is there twice/],
  },
  {
    title: 'an unknown effect in a budget',
    text: '{ "agents": { "a": { "task": { "budget": { "effects": { "rob": 1 } } } } } }',
    problems: [/unknown key `rob`/],
  },
  {
    title: 'a missing value',
    text: '{ "issuers": [ { "issuer": "https://i" } ] }',
    problems: [/`issuers\.0\.audience`/, /`issuers\.0\.jwks`/],
    more: true,
  },
  { title: 'no object at all', text: '[]', problems: [/^line 1, column 1: top level: .*expected object/] },
  { title: 'nothing at all', text: '', problems: [/^line 1, column 1: value expected$/] },
]

describe('a configuration that is wrong is refused, with line, column, key and what was expected:', () => {
  for (const { title, text, problems, more = false } of cases) {
    it(title, () => {
      const found = problemsOf(text)
      assert.ok(more || found.length === problems.length, found.join('\n'))
      for (const [n, problem] of problems.entries()) assert.match(found[n] ?? '', problem)
    })
  }

  it('a file that is not there', () => {
    assert.throws(
      () => loadConfig(join(folder, 'nothing.jsonc')),
      (error) => error instanceof ConfigError && /cannot be read \(ENOENT\)/.test(error.problems[0] ?? ''),
    )
  })

  it('says ten things at most', () => {
    const text = `{ ${Array.from({ length: 50 }, (_, n) => `"k${n}": 1`).join(', ')} }`
    assert.equal(problemsOf(text).length, 10)
  })

  it('is refused or means something, whatever it holds', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        try {
          assert.equal(typeof load(text).config.home, 'string')
        } catch (error) {
          assert.ok(error instanceof ConfigError)
          assert.ok(error.problems.length > 0)
          assert.ok(error.problems.every((line) => /^line \d+, column \d+: /.test(line)))
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('a configuration that is right', () => {
  it('may have comments and trailing commas', () => {
    assert.equal(load('// mine\n{ /* here */ "environment": "test", }').config.environment, 'test')
  })

  it('resolves its paths against its own folder, and leaves absolute ones', () => {
    const {
      config,
      file: at,
      base,
    } = load(`{
      "home": "state",
      "policy": { "dir": "policies" },
      "servers": {
        "one": { "command": "./bin/tool", "cwd": "work", "reviewed": "reviews/one.json" },
        "two": { "url": "https://h", "reviewed": "/etc/two.json" }
      }
    }`)
    assert.equal(config.home, join(folder, 'state'))
    assert.equal(config.policy.dir, join(folder, 'policies'))
    const { one, two } = config.servers
    assert.deepEqual(one && 'cwd' in one && [one.command, one.cwd, one.reviewed], [
      './bin/tool',
      join(folder, 'work'),
      join(folder, 'reviews/one.json'),
    ])
    assert.equal(two?.reviewed, '/etc/two.json')
    assert.deepEqual([at, base], [join(folder, 'countersign.jsonc'), folder])
  })

  it('has safe defaults: loopback, no origins, nothing private, questions that end', () => {
    const { config } = load('{ "servers": { "web": { "url": "https://h" } }, "agents": { "coder": {} } }')
    assert.deepEqual([config.listen.agents, config.listen.operators], ['127.0.0.1:7316', '127.0.0.1:7317'])
    assert.deepEqual([config.listen.allowedHosts, config.listen.allowedOrigins], [[], []])
    const { web } = config.servers
    assert.ok(web !== undefined && 'url' in web)
    assert.equal(web.allowPrivate, false)
    assert.equal(config.agents['coder']?.task.lifetimeMinutes, 480)
    assert.ok(config.approvals.holdSeconds < 60)
  })

  it('is named by its bytes', () => {
    assert.equal(load('{}').digest, load('{}').digest)
    assert.notEqual(load('{}').digest, load('{ }').digest)
    assert.match(load('{}').digest, /^sha256:[0-9a-f]{64}$/)
  })

  it('of somebody who has none registers nothing', () => {
    const { config, file: at } = emptyConfig(folder)
    assert.deepEqual(
      [at, config.servers, config.agents, config.home],
      [null, {}, {}, join(folder, '.countersign')],
    )
  })
})
