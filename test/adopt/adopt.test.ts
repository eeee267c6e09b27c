import assert from 'node:assert/strict'
import { chmod, lstat, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { parse } from 'jsonc-parser'
import { realFiles } from '../../src/adopt/file.ts'
import type { Files } from '../../src/adopt/file.ts'
import { leaks, tokens, world } from './world.ts'

const cursor = `{
  // the team's servers; the old token was ${tokens.slack}
  "mcpServers": {
    "github": {
      "command": "npx", // pinned
      "args": ["-y", "@modelcontextprotocol/server-github@2025.4.8"],
      "env": { "GITHUB_PERSONAL_ACCESS_TOKEN": "${tokens.github}", },
      "alwaysAllow": ["search_issues"],
    },
    "slack": { "command": "slack-mcp", "env": { "SLACK_BOT_TOKEN": "${tokens.slack}" }, "disabled": true },
    "legacy": { "type": "sse", "url": "https://old.example.test/sse" },
  },
  "futureSetting": { "kept": true, },
}
`
const desktop = `\ufeff{\r\n\t"globalShortcut": "",\r\n\t"mcpServers": {\r\n\t\t"GitHub": {\r\n\t\t\t"command": "npx",\r\n\t\t\t"args": ["-y", "@modelcontextprotocol/server-github@2025.4.8"],\r\n\t\t\t"env": {\r\n\t\t\t\t"GITHUB_PERSONAL_ACCESS_TOKEN": "${tokens.github}"\r\n\t\t\t}\r\n\t\t},\r\n\t\t"db": {\r\n\t\t\t"command": "server-postgres",\r\n\t\t\t"args": ["postgresql://app:${tokens.password}@localhost/app"]\r\n\t\t}\r\n\t}\r\n}\r\n`
const claude = JSON.stringify(
  {
    numStartups: 12,
    mcpServers: {
      linear: {
        type: 'http',
        url: 'https://mcp.example.test/mcp',
        headers: { Authorization: `Bearer ${tokens.linear}` },
      },
    },
    projects: {
      '/work/elsewhere': {
        history: [],
        mcpServers: { notes: { command: 'notes', args: ['--token', tokens.notion], env: {} } },
      },
    },
  },
  null,
  2,
).replace('/work/elsewhere', '/srv/elsewhere')
const vscode = `{\n\t"inputs": [{ "id": "k", "type": "promptString", "password": true }],\n\t"servers": {\n\t\t"own": { "type": "stdio", "command": "own", "env": { "API_KEY": "\${env:FROM_SHELL_TOKEN}" } },\n\t\t"asks": { "command": "x", "env": { "API_KEY": "\${input:k}" } }\n\t}\n}\n`

const names = {
  cursor: '.cursor/mcp.json',
  desktop: '.config/Claude/claude_desktop_config.json',
  claude: '.claude.json',
  vscode: '.config/Code/User/mcp.json',
} as const
const texts = {
  [names.cursor]: cursor,
  [names.desktop]: desktop,
  [names.claude]: claude,
  [names.vscode]: vscode,
}

async function furnished(t: Parameters<typeof world>[0], answers?: Parameters<typeof world>[1]) {
  const w = await world(t, answers)
  for (const [name, text] of Object.entries(texts)) await w.write(name, text)
  return w
}

const stateOf = async (w: Awaited<ReturnType<typeof world>>): Promise<{ readonly [name: string]: string }> =>
  Object.fromEntries(await Promise.all(Object.keys(texts).map(async (name) => [name, await w.text(name)])))

async function everyByte(folder: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const files = names.filter((name) => name.isFile())
  return (await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name), 'latin1')))).join(
    '\n',
  )
}

test('without --yes nothing is changed, nothing is started and no value is printed', async (t) => {
  const w = await furnished(t)
  const { code, out, err } = await w.run([])
  assert.equal(code, 0)
  assert.deepEqual(await stateOf(w), texts)
  assert.deepEqual([w.started, [...w.servers.keys()], [...w.secrets.keys()]], [[], [], []])
  assert.deepEqual(await readdir(w.home).catch(() => 'none'), 'none')
  assert.deepEqual(leaks(out + err), [])
  assert.match(
    out,
    /github-personal-access-token .*\.cursor\/mcp\.json github env\.GITHUB_PERSONAL_ACCESS_TOKEN/,
  )
  assert.match(out, /connect --agent cursor --server github/)
  assert.match(out, /legacy +it uses HTTP with SSE/)
  assert.match(out, /To do it: countersign adopt --yes/)
})

test('with --yes every token moves, each client keeps its names, and nothing else in the files changes', async (t) => {
  const w = await furnished(t)
  const { code, out, err } = await w.run(['--yes'])
  assert.deepEqual([code, leaks(out + err)], [0, []])
  const after = await stateOf(w)
  for (const text of Object.values(after)) assert.deepEqual(leaks(text), [])
  assert.deepEqual([...w.servers.keys()].sort(), ['db', 'github', 'linear', 'notes', 'own', 'slack'])
  assert.deepEqual([...w.agents].sort(), ['claude-code', 'claude-desktop', 'cursor', 'vscode'])
  assert.equal(w.secrets.get('github-personal-access-token'), tokens.github)
  assert.deepEqual(
    new Set(w.secrets.values()),
    new Set([tokens.github, tokens.slack, tokens.password, tokens.linear, tokens.notion, tokens.plain]),
  )
  assert.ok(!w.started.includes('slack'), 'what is switched off in the client is not started')
  const expected = cursor
    .replace(`the old token was ${tokens.slack}`, 'the old token was [moved to the sealed store]')
    .replace('"npx"', '"/usr/bin/node"')
    .replace(
      '["-y", "@modelcontextprotocol/server-github@2025.4.8"]',
      '["/opt/countersign/cli.js", "connect", "--agent", "cursor", "--server", "github"]',
    )
    .replace(`{ "GITHUB_PERSONAL_ACCESS_TOKEN": "${tokens.github}", }`, '{}')
    .replace(
      '"command": "slack-mcp", "env": { "SLACK_BOT_TOKEN": "' + tokens.slack + '" }',
      '"command": "/usr/bin/node", "args": ["/opt/countersign/cli.js", "connect", "--agent", "cursor", "--server", "slack"], "env": {}',
    )
  assert.equal(after[names.cursor], expected)
  const entry = parse(after[names.desktop]?.slice(1) ?? '').mcpServers.GitHub
  assert.deepEqual(entry, {
    command: '/usr/bin/node',
    args: ['/opt/countersign/cli.js', 'connect', '--agent', 'claude-desktop', '--server', 'github'],
    env: {},
  })
  assert.doesNotThrow(
    () => JSON.parse(after[names.desktop]?.slice(1) ?? ''),
    'Claude Desktop reads strict JSON',
  )
  assert.deepEqual(leaks(await everyByte(w.home)), [], 'the backups are sealed')
})

test('the log of what each client reaches afterwards: the same names as before', async (t) => {
  const w = await furnished(t)
  await w.run(['--yes'])
  const reached = async (name: string, at: readonly string[]) => {
    const root = parse((await w.text(name)).replace(/^\ufeff/, ''), [], { allowTrailingComma: true })
    const table = at.reduce((inner: Record<string, never>, key) => inner[key] ?? {}, root)
    return Object.keys(table)
  }
  assert.deepEqual(await reached(names.cursor, ['mcpServers']), ['github', 'slack', 'legacy'])
  assert.deepEqual(await reached(names.claude, ['projects', '/srv/elsewhere', 'mcpServers']), ['notes'])
  assert.deepEqual(await reached(names.vscode, ['servers']), ['own', 'asks'])
})

test('--undo puts every byte, mode and link back and takes the servers and secrets out again', async (t) => {
  const w = await furnished(t)
  const real = await w.write('dotfiles/cursor.json', cursor)
  await chmod(real, 0o640)
  const link = w.path(names.cursor)
  await rm(link)
  await symlink(real, link)
  await w.run(['--yes'])
  assert.ok((await lstat(link)).isSymbolicLink(), 'a link stays a link')
  assert.deepEqual(leaks(await readFile(real, 'utf8')), [])
  assert.equal((await stat(real)).mode & 0o777, 0o640)
  const { code } = await w.run(['--undo'])
  assert.equal(code, 0)
  assert.deepEqual(await stateOf(w), texts)
  assert.ok((await lstat(link)).isSymbolicLink())
  assert.equal((await stat(real)).mode & 0o777, 0o640)
  assert.deepEqual([[...w.servers], [...w.secrets]], [[], []])
  const again = await w.run(['--undo'])
  assert.deepEqual([again.code, /nothing to undo/.test(again.err)], [1, true])
})

test('adopting twice changes nothing the second time', async (t) => {
  const w = await furnished(t)
  await w.run(['--yes'])
  const first = await stateOf(w)
  const { code, out } = await w.run(['--yes'])
  assert.equal(code, 0)
  assert.deepEqual(await stateOf(w), first)
  assert.match(out, /Through the broker already/)
})

test('a file that was edited since is not undone without --force, and then keeps the edits', async (t) => {
  const w = await furnished(t)
  await w.run(['--yes'])
  const edited = (await w.text(names.claude)).replace('"numStartups": 12', '"numStartups": 13')
  await w.write(names.claude, edited)
  const adopted = await stateOf(w)
  const refused = await w.run(['--undo'])
  assert.equal(refused.code, 1)
  assert.match(refused.err, /edited since.*\.claude\.json.*nothing was changed/)
  assert.deepEqual(await stateOf(w), adopted)
  const forced = await w.run(['--undo', '--force'])
  assert.equal(forced.code, 0)
  assert.deepEqual(await stateOf(w), {
    ...texts,
    [names.claude]: claude.replace('"numStartups": 12', '"numStartups": 13'),
  })
})

test('a file that changes between plan and write is left as it became, and all others go back', async (t) => {
  const w = await furnished(t)
  let writes = 0
  const files: Files = {
    read: realFiles.read,
    async replace(file, bytes) {
      writes += 1
      if (writes === 3) await writeFile(file.target, '{"somebody": "else"}')
      return realFiles.replace(file, bytes)
    },
  }
  const { code, err } = await w.run(['--yes'], { files })
  assert.equal(code, 1)
  assert.match(err, /changed since it was read[^]*hint: everything is as it was/)
  const after = Object.values(await stateOf(w))
  assert.equal(after.filter((text) => text === '{"somebody": "else"}').length, 1)
  assert.equal(after.filter((text) => Object.values<string>(texts).includes(text)).length, 3)
  assert.deepEqual([[...w.servers], [...w.secrets]], [[], []])
})

test('whichever write fails, everything is as it was', async (t) => {
  for (let failing = 1; failing <= 4; failing += 1) {
    const w = await furnished(t)
    let writes = 0
    const files: Files = {
      read: realFiles.read,
      replace: async (file, bytes) =>
        (writes += 1) === failing ? Promise.reject(new Error('disk full')) : realFiles.replace(file, bytes),
    }
    const { code } = await w.run(['--yes'], { files })
    assert.equal(code, 1)
    assert.deepEqual(await stateOf(w), texts)
    assert.deepEqual([[...w.servers], [...w.secrets]], [[], []])
  }
})

test('when the broker refuses a secret or a server no file is touched', async (t) => {
  for (const port of ['setSecret', 'addServer', 'addAgent'] as const) {
    const w = await furnished(t)
    w.ports[port] = async () => ({ ok: false, detail: 'the store is full' })
    const { code, err } = await w.run(['--yes'])
    assert.deepEqual([code, /the store is full/.test(err)], [1, true])
    assert.deepEqual(await stateOf(w), texts)
    assert.deepEqual([[...w.servers], [...w.secrets]], [[], []])
  }
})

test('a process that died in the middle is undone like one that did not', async (t) => {
  const w = await furnished(t)
  let writes = 0
  const { promise: third, resolve: reached } = Promise.withResolvers<void>()
  const never: Files = {
    read: realFiles.read,
    async replace(file, bytes) {
      writes += 1
      if (writes < 3) return realFiles.replace(file, bytes)
      reached()
      return new Promise<void>(() => undefined)
    },
  }
  void w.run(['--yes'], { files: never })
  await third
  assert.notDeepEqual(await stateOf(w), texts)
  assert.equal((await w.run(['--undo'])).code, 0)
  assert.deepEqual(await stateOf(w), texts)
})

test('a server that does not answer through the broker keeps its old entry', async (t) => {
  const w = await furnished(t, (name) =>
    name === 'github'
      ? { ok: false, detail: 'needs a login' }
      : { ok: true, tools: [{ name: 'send', effects: ['write', 'egress'] }] },
  )
  const { code, out } = await w.run(['--yes'])
  assert.equal(code, 0)
  assert.match(out, /github +it did not list its tools.*needs a login/)
  assert.match(out, /linear +send +write, egress/)
  assert.ok((await w.text(names.cursor)).includes(tokens.github))
  assert.deepEqual(
    [w.servers.has('github'), w.secrets.has('github-personal-access-token'), w.servers.has('linear')],
    [false, false, true],
  )
})

test('--probe starts servers for the plan, --no-probe starts none for --yes', async (t) => {
  const w = await furnished(t)
  assert.match((await w.run(['--probe'])).out, /db +get +read/)
  assert.deepEqual(w.started.sort(), ['db', 'github', 'linear', 'notes', 'own'])
  w.started.splice(0)
  await w.run(['--yes', '--no-probe'])
  assert.deepEqual(w.started, [])
})

test("a project's configuration is found and named, and adopted only when asked for", async (t) => {
  const w = await world(t)
  const project = await w.write(
    'code/cloned/.mcp.json',
    '{"mcpServers":{"evil":{"command":"evil","env":{"A_TOKEN":"abc12345"}}}}',
  )
  await w.write('.claude.json', JSON.stringify({ projects: { [dirname(project)]: {} } }))
  const found = await w.run(['--yes'])
  assert.match(
    found.out,
    /Found in projects, not adopted\n.*cloned\/\.mcp\.json +1 server +adopt with --project/,
  )
  assert.deepEqual([w.started, [...w.servers]], [[], []])
  assert.ok((await w.text('code/cloned/.mcp.json')).includes('abc12345'))
  await w.run(['--yes', '--project', dirname(project)])
  assert.deepEqual([...w.servers.keys()], ['evil'])
  assert.ok(!(await w.text('code/cloned/.mcp.json')).includes('abc12345'))
})

test("a project's file that is a link out of the project is not followed", async (t) => {
  const w = await world(t)
  const outside = await w.write(
    'outside.json',
    '{"mcpServers":{"x":{"command":"x","env":{"A_TOKEN":"abc12345"}}}}',
  )
  await mkdir(w.path('cloned'))
  await symlink(outside, w.path('cloned/.mcp.json'))
  const { out } = await w.run(['--yes', '--project', w.path('cloned')])
  assert.match(out, /it is a link out of its project/)
  assert.ok((await readFile(outside, 'utf8')).includes('abc12345'))
})

test('a read-only file and a malformed one are told, and the others go on', async (t) => {
  const w = await furnished(t)
  await chmod(w.path(names.desktop), 0o400)
  await w.write(names.vscode, '{ "servers": { "a": { "command": } }')
  const { code, out } = await w.run(['--yes'])
  assert.equal(code, 0)
  assert.match(out, /claude_desktop_config\.json +\(file\) +it is read-only; make it writable/)
  assert.match(out, /Code\/User\/mcp\.json +\(file\) +is not valid JSON with comments/)
  assert.equal(await w.text(names.desktop), desktop)
  assert.deepEqual(leaks(await w.text(names.cursor)), [])
})

test('only the named client is touched, and an unknown one is wrong usage', async (t) => {
  const w = await furnished(t)
  await w.run(['--yes', '--client', 'vscode'])
  assert.deepEqual(await stateOf(w), { ...texts, [names.vscode]: await w.text(names.vscode) })
  assert.deepEqual([...w.agents], ['vscode'])
  const { code, err } = await w.run(['--client', 'emacs'])
  assert.deepEqual([code, /`emacs` is no client[^]*hint: use one of claude-code/.test(err)], [2, true])
  assert.equal((await w.run(['--nonsense'])).code, 2)
})

test('a copy of a token elsewhere in the file is not touched and told', async (t) => {
  const w = await world(t)
  await w.write(
    '.claude.json',
    JSON.stringify({
      env: { GITHUB_TOKEN: tokens.github },
      mcpServers: { github: { command: 'x', env: { GITHUB_TOKEN: tokens.github } } },
    }),
  )
  const { code, out } = await w.run(['--yes'])
  assert.equal(code, 0)
  assert.match(
    out,
    /warning: 1 more of the value of `github-token` in .*\.claude\.json outside the adopted servers/,
  )
  assert.equal((await w.text('.claude.json')).split(tokens.github).length, 2)
})

test('--json gives the same facts and no value', async (t) => {
  const w = await furnished(t)
  const { out } = await w.run(['--yes', '--json'])
  const value = JSON.parse(out)
  assert.deepEqual(leaks(out), [])
  assert.equal(value.plan.adoptions.length, 7)
  assert.deepEqual(value.plan.tools.github, { started: true, tools: [{ name: 'get', effects: ['read'] }] })
  assert.equal(value.applied.files.length, 4)
  const undone = JSON.parse((await w.run(['--undo', '--json'])).out)
  assert.equal(undone.undone.restored.length, 4)
})

test('names and texts from configurations cannot paint on the terminal', async (t) => {
  const w = await world(t)
  await w.write(
    '.cursor/mcp.json',
    JSON.stringify({
      mcpServers: { 'x\u001b[2J\u202e': { command: 'a\u001b[1A' }, y: { type: '\u001b[0m', url: 'x' } },
    }),
  )
  const { out, err } = await w.run(['--yes'])
  for (const painted of ['\u001b', '\u202e']) assert.ok(!(out + err).includes(painted))
})

test('adopt then undo gives the same bytes, whatever the file looks like', async (t) => {
  const w = await world(t)
  const space = fc.constantFrom('', ' ', '\n', '\r\n\t', ' /* note */ ', ' // note\n')
  const entry = fc.record(
    {
      command: fc.constantFrom('run', 'a b'),
      args: fc.array(fc.constantFrom('-v', '--token=abc12345', 'ü')),
      env: fc.dictionary(fc.constantFrom('A_TOKEN', 'LEVEL'), fc.constantFrom('abc12345', 'debug')),
      other: fc.jsonValue({ maxDepth: 1 }),
    },
    { requiredKeys: ['command'] },
  )
  const model = fc.record({
    lead: fc.constantFrom('', '\ufeff'),
    entries: fc.dictionary(
      fc.string({ minLength: 1, maxLength: 8 }).filter((name) => name !== '__proto__'),
      entry,
      { maxKeys: 4 },
    ),
    spaces: fc.array(space, { minLength: 4, maxLength: 4 }),
    indent: fc.constantFrom(undefined, 2, '\t'),
    trailing: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(
      model,
      async ({ lead, entries, spaces: [a = '', b = '', c = '', d = ''], indent, trailing }) => {
        const text = `${lead}${a}{${b}"mcpServers":${c}${JSON.stringify(entries, null, indent)}${trailing ? ',' : ''}${d}}${a}`
        await w.write('.cursor/mcp.json', text)
        const adopted = await w.run(['--yes', '--no-probe'])
        assert.equal(adopted.code, 0, adopted.err)
        const after = await w.text('.cursor/mcp.json')
        if (after !== text) assert.equal((await w.run(['--undo'])).code, 0)
        assert.equal(await w.text('.cursor/mcp.json'), text)
        assert.deepEqual([[...w.servers], [...w.secrets]], [[], []])
      },
    ),
    { numRuns: 60 },
  )
})
