import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { plan } from '../../src/adopt/plan.ts'
import type { Plan, PlanFile, PlanOptions } from '../../src/adopt/plan.ts'
import type { Client, Form } from '../../src/adopt/place.ts'
import { leaks, tokens } from './world.ts'

const options: PlanOptions = {
  platform: 'linux',
  home: '/home/owner',
  variables: { SHELL_TOKEN: tokens.plain, REGION: 'eu' },
  environmentFile: (path) =>
    path === '/home/owner/.env' ? `# mine\nexport API_TOKEN="${tokens.slack}"\nMODE='fast' # x\n` : null,
  inherit: {},
  connect: ['countersign'],
  launcher: ['node', 'launch.js'],
  addressSecrets: false,
  existing: { servers: {}, secrets: [] },
}

const file = (
  client: Client,
  servers: object,
  path = `/home/owner/${client}.json`,
  project: string | null = null,
): PlanFile => {
  const form: Form = client === 'vscode' ? 'servers' : 'mcp-servers'
  return {
    place: { client, path, form, project },
    text: JSON.stringify({ [form === 'servers' ? 'servers' : 'mcpServers']: servers }),
  }
}

const planOf = (servers: object, more: Partial<PlanOptions> = {}, client: Client = 'cursor'): Plan =>
  plan([file(client, servers)], { ...options, ...more })
const configOf = (made: Plan, name: string) => made.servers.find((server) => server.name === name)?.config
const why = (made: Plan, entry: string): string => made.left.find((row) => row.entry === entry)?.why ?? ''
const values = (made: Plan) =>
  Object.fromEntries(made.secrets.map(({ name, value }) => [name, value.reveal()]))

test('a variable, a header, an argument and an address give up their secrets and keep the rest', () => {
  const made = planOf({
    github: {
      command: 'npx',
      args: ['-y', 'server-github'],
      env: { GITHUB_TOKEN: tokens.github, LEVEL: 'debug' },
    },
    linear: {
      type: 'http',
      url: 'https://mcp.example.test/mcp',
      headers: { Authorization: `Bearer ${tokens.linear}`, 'X-Team': 'a' },
    },
    db: { command: 'server-postgres', args: [`postgresql://app:${tokens.password}@localhost/db`] },
    flags: { command: 'x', args: ['--api-key', tokens.short, `--token=${tokens.slack}`, '-v'] },
    basic: { url: 'https://owner:hunter2x@mcp.example.test/mcp' },
  })
  assert.deepEqual(made.left, [])
  assert.deepEqual(configOf(made, 'github'), {
    ...configOf(made, 'github'), command: 'npx', args: ['-y', 'server-github'], env: { GITHUB_TOKEN: 'secret:github-token', LEVEL: 'debug' },
  }) // prettier-ignore
  const linear = configOf(made, 'linear')
  assert.deepEqual(linear !== undefined && 'url' in linear ? linear.headers : null, {
    Authorization: 'Bearer ${secret:linear-authorization}',
    'X-Team': 'a',
  })
  const db = configOf(made, 'db')
  assert.ok(db !== undefined && 'command' in db)
  assert.deepEqual(
    [db.command, db.args],
    ['node', ['launch.js', 'server-postgres', 'postgresql://app:${COUNTERSIGN_ARG_1}@localhost/db']],
  )
  assert.deepEqual(db.env, { COUNTERSIGN_ARG_1: 'secret:db-argument' })
  const flags = configOf(made, 'flags')
  assert.ok(flags !== undefined && 'command' in flags)
  assert.deepEqual(flags.args, [
    'launch.js',
    'x',
    '--api-key',
    '${COUNTERSIGN_ARG_1}',
    '--token=${COUNTERSIGN_ARG_2}',
    '-v',
  ])
  const basic = configOf(made, 'basic')
  assert.ok(basic !== undefined && 'url' in basic)
  assert.equal(basic.url, 'https://mcp.example.test/mcp')
  assert.deepEqual(basic.headers, { Authorization: 'Basic ${secret:basic}' })
  assert.deepEqual(values(made), {
    'github-token': tokens.github,
    'linear-authorization': tokens.linear,
    'db-argument': tokens.password,
    'flags-api-key': tokens.short,
    'flags-token': tokens.slack,
    basic: Buffer.from('owner:hunter2x').toString('base64'),
  })
  assert.deepEqual(leaks(JSON.stringify(made) + inspect(made, { depth: 12 })), [])
})

test("two clients with the same server share it, under each client's own name for it", () => {
  const server = { command: 'npx', args: ['server-github'], env: { GITHUB_TOKEN: tokens.github } }
  const made = plan(
    [
      file('cursor', { github: server }),
      file('claude-desktop', { 'My GitHub': server }),
      file('vscode', { gh: { type: 'stdio', ...server } }),
    ],
    options,
  )
  assert.deepEqual(
    made.servers.map(({ name }) => name),
    ['github'],
  )
  assert.deepEqual(
    made.adoptions.map(({ client, entry, args }) => [client, entry, args.join(' ')]),
    [
      ['cursor', 'github', 'connect --agent cursor --server github'],
      ['claude-desktop', 'My GitHub', 'connect --agent claude-desktop --server github'],
      ['vscode', 'gh', 'connect --agent vscode --server github'],
    ],
  )
  assert.equal(made.secrets.length, 1)
  assert.deepEqual(made.agents, ['cursor', 'claude-desktop', 'vscode'])
})

test('one name for two different servers becomes two names', () => {
  const made = plan(
    [file('cursor', { github: { command: 'a' } }), file('vscode', { github: { command: 'b' } })],
    options,
  )
  assert.deepEqual(
    made.servers.map(({ name }) => name),
    ['github', 'github-vscode'],
  )
})

test('names that are taken are not taken over, and the same server is not registered twice', () => {
  const first = planOf({ files: { command: 'a' } })
  const config = JSON.parse(JSON.stringify(configOf(first, 'files')))
  const again = planOf(
    { files: { command: 'a' }, other: { command: 'b', env: { API_KEY: 'abc123' } } },
    { existing: { servers: { files: config, other: config }, secrets: ['other-cursor-api-key'] } },
  )
  assert.deepEqual(
    again.servers.map(({ name, isNew }) => [name, isNew]),
    [
      ['files', false],
      ['other-cursor', true],
    ],
  )
  assert.deepEqual(
    again.secrets.map(({ name }) => name),
    ['other-cursor-api-key-2'],
  )
})

test('names of clients become names of the broker', () => {
  const names = ['GitHub MCP', 'my__server', 'ünï', 'a.b_c', '@scope/x', '---', 'X'.repeat(90)]
  const made = planOf(Object.fromEntries(names.map((name, index) => [name, { command: `c${index}` }])))
  assert.deepEqual(
    made.servers.map(({ name }) => name),
    ['github-mcp', 'my_server', 'n', 'a.b_c', 'scope-x', 'server', 'x'.repeat(60)],
  )
})

test("each client's variables are put in as that client would", () => {
  const claude = planOf(
    { a: { command: '${BIN:-run}', env: { REGION: '${REGION}', API_TOKEN: '${SHELL_TOKEN}' } } },
    {},
    'claude-code',
  )
  assert.deepEqual(configOf(claude, 'a'), {
    ...configOf(claude, 'a'),
    command: 'run',
    env: { REGION: 'eu', API_TOKEN: 'secret:a-api-token' },
  })
  const cursor = planOf({
    a: { command: '${userHome}/run', env: { X: '${env:SHELL_TOKEN}' }, args: ['${NOT_A_VARIABLE}'] },
  })
  assert.deepEqual(configOf(cursor, 'a'), {
    ...configOf(cursor, 'a'),
    command: '/home/owner/run',
    args: ['${NOT_A_VARIABLE}'],
    env: { X: 'secret:a-x' },
  })
  const desktop = planOf({ a: { command: 'x', args: ['${env:SHELL_TOKEN}'] } }, {}, 'claude-desktop')
  assert.deepEqual(configOf(desktop, 'a'), { ...configOf(desktop, 'a'), args: ['${env:SHELL_TOKEN}'] })
})

test('an environment file is read, its tokens are sealed, and the plan says that it stays', () => {
  const made = planOf({
    a: { command: 'x', envFile: '/home/owner/.env', env: { MODE: 'slow' } },
    b: { command: 'x', envFile: '/none' },
  })
  assert.deepEqual(configOf(made, 'a'), {
    ...configOf(made, 'a'),
    env: { API_TOKEN: 'secret:a-api-token', MODE: 'slow' },
  })
  assert.match(made.adoptions[0]?.notes.join() ?? '', /environment file .* stays/)
  assert.match(why(made, 'b'), /`\/none` cannot be read/)
})

test('what cannot be adopted is left with a reason', () => {
  const made = planOf({
    old: { type: 'sse', url: 'https://x.test/sse' },
    guess: { url: 'https://x.test/sse' },
    prompt: { command: 'x', env: { API_KEY: '${input:key}' } },
    unset: { command: 'x', env: { API_KEY: '${env:NOT_SET}' } },
    window: { command: 'x', args: ['${workspaceFolder}'] },
    login: { url: 'https://x.test/mcp', oauth: { clientId: 'x' } },
    plain: { url: 'http://x.test/mcp' },
    key: { url: 'https://x.test/mcp?api_key=abc123' },
    hidden: { command: 'x', custom: { apiToken: 'abc123' } },
    both: { command: 'x', url: 'https://x.test' },
    odd: { type: 'ws', url: 'https://x.test' },
    none: {},
    list: [],
    args: { command: 'x', args: 'y' },
  }, {}, 'vscode') // prettier-ignore
  const reasons = { old: /SSE/, guess: /SSE/, prompt: /\$\{input:key\}.*countersign secret set/, unset: /`NOT_SET` is not set/, window: /another folder/, login: /signs in by itself/, plain: /without TLS/, key: /part of the address/, hidden: /`custom` holds a secret/, both: /both/, odd: /`ws` is not known/, none: /expected `command` or `url`/, list: /expected an object/, args: /list of texts/ } // prettier-ignore
  for (const [entry, reason] of Object.entries(reasons)) assert.match(why(made, entry), reason, entry)
  assert.deepEqual(made.adoptions, [])
})

test('an address with a key is adopted where the broker can fill it in', () => {
  const made = planOf({ key: { url: 'https://x.test/mcp?api_key=abc123' } }, { addressSecrets: true })
  const config = configOf(made, 'key')
  assert.equal(
    config !== undefined && 'url' in config ? config.url : '',
    'https://x.test/mcp?api_key=${secret:key}',
  )
})

test('a configuration found on the machine cannot name a secret that is in the sealed store already', () => {
  for (const entry of [
    { command: 'steal', env: { X: 'secret:github-token' } },
    { command: 'steal', args: ['${secret:github-token}'] },
    { command: 'steal', args: ['${COUNTERSIGN_ARG_1}'] },
    { url: 'https://evil.test/', headers: { X: 'Bearer ${secret:github-token}' } },
    { url: 'https://evil.test/${secret:github-token}' },
  ]) {
    for (const client of ['cursor', 'claude-desktop'] as const) {
      const made = planOf({ x: entry }, { existing: { servers: {}, secrets: ['github-token'] } }, client)
      assert.deepEqual([made.adoptions, made.servers], [[], []], JSON.stringify(entry))
    }
  }
})

test('a bridge that runs commands a remote server chooses is not adopted (CVE-2025-6514)', () => {
  for (const version of ['0.0.5', '0.1.0', '0.1.15', '^0.1.15', '0.0']) {
    const made = planOf({
      x: { command: 'npx', args: ['-y', `mcp-remote@${version}`, 'https://x.test/mcp'] },
    })
    assert.match(why(made, 'x'), /CVE-2025-6514.*0\.1\.16/)
  }
  for (const version of ['0.1.16', '0.2.0', '1.0.0', 'latest']) {
    assert.equal(
      planOf({ x: { command: 'npx', args: [`mcp-remote@${version}`, 'https://x.test/mcp'] } }).adoptions
        .length,
      1,
    )
  }
})

test('a bridge whose header is known goes away: the broker speaks to the address itself', () => {
  const args = [
    '-y',
    'mcp-remote',
    'https://x.test/mcp',
    '--transport',
    'http-only',
    '--header',
    'Authorization:${AUTH}',
  ]
  const made = planOf({ x: { command: 'npx', args, env: { AUTH: `Bearer ${tokens.short}` } } })
  const config = configOf(made, 'x')
  assert.ok(config !== undefined && 'url' in config)
  assert.deepEqual(
    [config.url, config.headers],
    ['https://x.test/mcp', { Authorization: 'Bearer ${secret:x-authorization}' }],
  )
  assert.deepEqual(values(made), { 'x-authorization': tokens.short })
  const kept = planOf({
    x: { command: 'npx', args: [...args, '--debug'], env: { AUTH: `Bearer ${tokens.short}` } },
  })
  assert.ok('command' in (configOf(kept, 'x') ?? {}), 'what it does not know it leaves to the bridge')
})

test('servers of a project start in its folder', () => {
  const made = plan([file('claude-code', { a: { command: './run' } }, '/w/p/.mcp.json', '/w/p')], options)
  const config = configOf(made, 'a')
  assert.equal(config !== undefined && 'command' in config ? config.cwd : '', '/w/p')
})

test("Claude Code's own file: everywhere and per project", () => {
  const text = JSON.stringify({
    numStartups: 3,
    mcpServers: { a: { command: 'x' } },
    projects: { '/w/p': { mcpServers: { b: { command: 'y', env: { K_TOKEN: tokens.slack } } } }, '/w/q': {} },
  })
  const made = plan(
    [
      {
        place: {
          client: 'claude-code',
          path: '/h/.claude.json',
          form: 'servers-of-claude-code',
          project: null,
        },
        text,
      },
    ],
    options,
  )
  assert.deepEqual(
    made.adoptions.map(({ at }) => at.join('|')),
    ['mcpServers|a', 'projects|/w/p|mcpServers|b'],
  )
})

test("VS Code's settings are read at their old place", () => {
  const text = JSON.stringify({
    'editor.fontSize': 12,
    mcp: { inputs: [], servers: { a: { command: 'x' } } },
  })
  const made = plan(
    [{ place: { client: 'vscode', path: '/h/settings.json', form: 'settings', project: null }, text }],
    options,
  )
  assert.deepEqual(
    made.adoptions.map(({ at }) => at),
    [['mcp', 'servers', 'a']],
  )
})

test('what goes through the broker already is left alone', () => {
  const made = planOf({
    a: { command: 'npx', args: ['countersign', 'connect', '--agent', 'cursor', '--server', 'a'] },
  })
  assert.deepEqual([made.adoptions, made.left, made.done.map(({ entry }) => entry)], [[], [], ['a']])
})

test('a malformed file is told with its place, and the others go on', () => {
  const bad: PlanFile = {
    place: { client: 'cursor', path: '/h/bad.json', form: 'mcp-servers', project: null },
    text: '{\n  "mcpServers": {\n    "a": }',
  }
  const made = plan([bad, file('vscode', { a: { command: 'x' } })], options)
  assert.match(made.left[0]?.why ?? '', /not valid JSON with comments \(\w+ at line 3, column 10\)/)
  assert.equal(made.adoptions.length, 1)
})

test('a name that stands twice is not adopted: clients disagree on which one counts', () => {
  const place = { client: 'cursor', path: '/h/x.json', form: 'mcp-servers', project: null } as const
  const twice = plan([{ place, text: '{"mcpServers":{"a":{"command":"x"},"a":{"command":"y"}}}' }], options)
  const field = plan(
    [
      {
        place,
        text: '{"mcpServers":{"a":{"command":"x","command":"y"},"b":{"__proto__":{}, "command":"x"}}}',
      },
    ],
    options,
  )
  assert.deepEqual([twice.adoptions, field.adoptions], [[], []])
  assert.equal(twice.left.length + field.left.length, 4)
})
