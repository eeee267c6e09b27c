import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { cli } from '../cli/run.ts'
import { Client } from '@modelcontextprotocol/client'
import { createHash } from 'node:crypto'
import { dirname, join, relative, resolve } from 'node:path'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { packagePath } from '../world.ts'
import { parse } from 'jsonc-parser'
import { spawn, type ChildProcess } from 'node:child_process'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { tmpdir } from 'node:os'
import { tokens } from './world.ts'

/**
 * A person's machine with four clients: adopt, serve, and then what each client would do with what stands in its own
 * configuration. Real programs throughout; the tokens are made up when the test runs. In order.
 */

const node = process.execPath
const main = resolve(import.meta.dirname, '../../src/cli/main.ts')
const tokened = resolve(import.meta.dirname, 'fixtures/tokened.ts')
const filesystem = packagePath('@modelcontextprotocol/server-filesystem/dist/index.js')
const everything = packagePath('@modelcontextprotocol/server-everything/dist/index.js')
const digest = (text: string): string => createHash('sha256').update(text).digest('hex')

let user = ''
let serving: ChildProcess | null = null
const homeBefore = process.env['HOME']
const originals = new Map<string, Buffer>()
const at = (path: string): string => join(user, path)

/** Where each client keeps its servers, by the client's name. */
const files = {
  'claude-code': '.claude.json',
  'claude-desktop': '.config/Claude/claude_desktop_config.json',
  cursor: '.cursor/mcp.json',
  vscode: '.config/Code/User/mcp.json',
} as const

const json = JSON.stringify

function texts(): { readonly [path: string]: string } {
  const folder = json(at('documents'))
  return {
    [files['claude-code']]: `{
  "numStartups": 12,
  "oauthAccount": { "accountUuid": "0b1c", "emailAddress": "owner@example.com" },
  "mcpServers": {
    "files": { "type": "stdio", "command": ${json(node)}, "args": [${json(filesystem)}, ${folder}], "env": {} }
  },
  "projects": {
    ${json(at('project'))}: {
      "allowedTools": [],
      "history": [{ "display": "what is in the service?" }],
      "mcpServers": {
        "service": {
          "type": "stdio",
          "command": ${json(node)},
          "args": [${json(tokened)}],
          "env": { "SERVICE_TOKEN": ${json(tokens.github)}, "REGION": "north" },
          "unknownField": { "kept": [1, 2.50, null] }
        }
      },
      "hasTrustDialogAccepted": true
    }
  }
}
`,
    [files['claude-desktop']]: `{
\t"globalShortcut": "Ctrl+Space",
\t// the demonstration
\t"mcpServers": {
\t\t"everything": {
\t\t\t"command": ${json(node)},
\t\t\t"args": [${json(everything)}, "stdio"],
\t\t},
\t},
}
`,
    [files.cursor]: [
      '{',
      '  "mcpServers": {',
      `    // key of last year: ${tokens.linear}`,
      '    "service": {',
      `      "command": ${json(node)},`,
      `      "args": [${json(tokened)}, "--api-key", ${json(tokens.linear)}], // do not share`,
      `      "env": { "SERVICE_TOKEN": ${json(tokens.slack)} },`,
      '    },',
      '  },',
      '}',
      '',
    ].join('\r\n'),
    [files.vscode]: `{
  "inputs": [],
  "servers": {
    /* the same folder as in the other client */
    "docs": { "type": "stdio", "command": ${json(node)}, "args": [${json(filesystem)}, ${folder}] },
    "prompted": { "type": "http", "url": "https://mcp.example.com/mcp", "headers": { "Authorization": "Bearer \${input:key}" } }
  }
}`,
  }
}

/** The configuration of the broker: only that its ports are free ones. */
const brokerConfig =
  '{ "home": ".countersign", "operator": "owner", "listen": { "agents": "127.0.0.1:0", "operators": "127.0.0.1:0" } }'

const config = (): readonly string[] => ['--config', at('countersign.jsonc')]

/** In this process, with the person's home folder; nobody is at a terminal. */
const countersign = (...args: string[]) => cli([...args, ...config()])

const isRecord = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === 'object' && value !== null
const member = (value: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>((inner, name) => (isRecord(inner) ? inner[name] : undefined), value)

/** The entries of a client as it reads them: name → command. Only those that it launches. */
async function entries(
  path: string,
): Promise<Map<string, { command: string; args: string[]; env: { [name: string]: string } }>> {
  const value: unknown = parse(await readFile(at(path), 'utf8'), [], { allowTrailingComma: true })
  const tables = [
    member(value, 'mcpServers'),
    member(value, 'servers'),
    member(value, 'projects', at('project'), 'mcpServers'),
  ]
  const found = new Map<string, { command: string; args: string[]; env: { [name: string]: string } }>()
  for (const [name, entry] of tables.flatMap((table) => Object.entries(table ?? {}))) {
    const command = member(entry, 'command')
    const args = member(entry, 'args')
    if (typeof command !== 'string' || !Array.isArray(args)) continue
    const env = Object.fromEntries(
      Object.entries(member(entry, 'env') ?? {}).map(([key, text]) => [key, String(text)]),
    )
    found.set(name, { command, args: args.map(String), env })
  }
  return found
}

/** Does what the client does: starts exactly the command of its entry and speaks MCP with it. */
async function launched<Result>(
  path: string,
  name: string,
  use: (client: Client) => Promise<Result>,
): Promise<Result> {
  const entry = (await entries(path)).get(name)
  assert.ok(entry, `${name} in ${path}`)
  const client = new Client({ name: 'a-client', version: '1' }, { capabilities: { elicitation: {} } })
  const { command, args, env } = entry
  await client.connect(
    new StdioClientTransport({
      command,
      args,
      env: { HOME: user, PATH: process.env['PATH'] ?? '', ...env },
      stderr: 'ignore',
    }),
  )
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

/** Without the broker's own tools, which stand beside a server's. */
const toolNames = async (client: Client): Promise<readonly string[]> =>
  (await client.listTools()).tools
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('countersign_'))
    .toSorted()

async function called(client: Client, name: string, args: { [name: string]: unknown } = {}): Promise<string> {
  const { content } = await client.callTool({ name, arguments: args })
  const [first] = content
  return first?.type === 'text' ? first.text : ''
}

/** What each client had before it was adopted. */
const reached = new Map<string, readonly string[]>()
const letter = (client: Client) => called(client, 'read_text_file', { path: at('documents/letter.txt') })
const got = async (client: Client): Promise<unknown> => JSON.parse(await called(client, 'get_tokens'))

/** Where each server stands, a call that it should answer, and what it should say. */
const launches = [
  {
    path: files['claude-code'],
    name: 'service',
    make: got,
    says: { environment: digest(tokens.github), argument: 'none', plain: 'north' },
  },
  // After `get_tokens`, which reads secrets: a task that has read a letter is asked about those.
  { path: files['claude-code'], name: 'files', make: letter, says: 'a letter\n' },
  {
    path: files['claude-desktop'],
    name: 'everything',
    make: (client: Client) => called(client, 'get-sum', { a: 2, b: 3 }),
    says: /5/,
  },
  {
    path: files.cursor,
    name: 'service',
    make: got,
    says: { environment: digest(tokens.slack), argument: digest(tokens.linear), plain: 'none' },
  },
  { path: files.vscode, name: 'docs', make: letter, says: 'a letter\n' },
] as const

const everyFile = async (folder: string): Promise<readonly string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

before(async () => {
  user = await mkdtemp(join(tmpdir(), 'countersign-machine-'))
  await mkdir(at('documents'))
  await mkdir(at('project'))
  await writeFile(at('documents/letter.txt'), 'a letter\n')
  await writeFile(at('countersign.jsonc'), brokerConfig)
  for (const [path, text] of Object.entries(texts())) {
    await mkdir(dirname(at(path)), { recursive: true })
    await writeFile(at(path), text)
    originals.set(path, Buffer.from(text))
  }
  process.env['HOME'] = user
  await Promise.all(
    launches.map(async ({ path, name }) =>
      reached.set(`${path} ${name}`, await launched(path, name, toolNames)),
    ),
  )
})
after(async () => {
  process.env['HOME'] = homeBefore
  await stopped()
  await rm(user, { recursive: true, force: true })
})

/** Ends the broker as Ctrl-C does. */
async function stopped(): Promise<void> {
  const child = serving
  serving = null
  if (child === null || child.exitCode !== null) return
  const closed = new Promise((done) => child.once('close', done))
  child.kill('SIGTERM')
  await closed
}

const leaksIn = (text: string): readonly string[] =>
  Object.values(tokens).filter((token) => text.includes(token))

describe('a machine with four clients', () => {
  test('the plan says what would move, and changes nothing', async () => {
    const { exit, out, err } = await countersign('adopt')
    assert.equal(exit, 0, err)
    for (const name of ['files', 'service', 'everything', 'prompted']) assert.match(out, new RegExp(name))
    assert.match(out, /Nothing was changed\. To do it: countersign adopt --yes/)
    assert.deepEqual(leaksIn(out + err), [])
    for (const [path, bytes] of originals) assert.deepEqual(await readFile(at(path)), bytes, path)
  })

  test('--yes adopts them: no token is left in any file, nothing else in them changes', async () => {
    const { exit, out, err } = await countersign('adopt', '--yes')
    assert.equal(exit, 0, out + err)
    assert.deepEqual(leaksIn(out + err), [])
    for (const path of Object.values(files)) {
      const text = await readFile(at(path), 'utf8')
      assert.deepEqual(leaksIn(text), [], path)
      assert.match(text, /"connect"/, path)
    }
    const claude = await readFile(at(files['claude-code']), 'utf8')
    assert.match(claude, /"numStartups": 12,\n {2}"oauthAccount"/)
    assert.match(claude, /"unknownField": \{ "kept": \[1, 2\.50, null\] \}/)
    const cursor = await readFile(at(files.cursor), 'utf8')
    assert.match(cursor, /\/\/ do not share\r\n/)
    assert.equal(cursor.replaceAll('\r\n', '').includes('\n'), false)
    assert.match(await readFile(at(files['claude-desktop']), 'utf8'), /\t\/\/ the demonstration\n/)
    const vscode = await readFile(at(files.vscode), 'utf8')
    assert.match(vscode, /\/\* the same folder as in the other client \*\//)
    assert.match(vscode, /"Bearer \$\{input:key\}"/)
  })

  test("no file of the machine holds a token in the open, the broker's own included", async () => {
    for (const path of await everyFile(user)) {
      const bytes = await readFile(path)
      for (const token of Object.values(tokens)) assert.ok(!bytes.includes(token), relative(user, path))
    }
  })

  test('the broker runs on what was adopted', async () => {
    const child = spawn(node, [main, 'serve', '--json', ...config()], {
      cwd: user,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    serving = child
    const first = await new Promise<string>((done, failed) => {
      let out = ''
      child.stdout?.on('data', (chunk: Buffer) => {
        out += chunk.toString()
        if (out.includes('\n')) done(out.slice(0, out.indexOf('\n')))
      })
      child.once('close', () => failed(new Error(`serve ended: ${out}`)))
    })
    assert.deepEqual(member(JSON.parse(first), 'problems'), {})
  })

  for (const { path, name, make, says } of launches) {
    test(`${path}: ${name} offers the same tools as before, and answers a call with what it needs`, async () => {
      const { names, said } = await launched(path, name, async (client) => ({
        names: await toolNames(client),
        said: await make(client),
      }))
      assert.deepEqual(names, reached.get(`${path} ${name}`))
      if (says instanceof RegExp) assert.match(String(said), says)
      else assert.deepEqual(said, says)
    })
  }

  test('what the clients did is in the log, by client', async () => {
    const { out } = await countersign('audit', 'recent', '--kind', 'intent')
    for (const client of ['claude-code', 'cursor', 'vscode'])
      assert.match(out, new RegExp(`intent +${client} `))
    assert.deepEqual(leaksIn(out), [])
  })

  test('adopting again finds nothing left to do', async () => {
    const { exit, out } = await countersign('adopt')
    assert.equal(exit, 0)
    assert.match(out, /Through the broker already/)
    assert.match(out, /Nothing to adopt/)
  })

  test('--undo puts every byte back, and the clients reach their servers without the broker', async () => {
    await stopped()
    const { exit, err } = await countersign('adopt', '--undo')
    assert.equal(exit, 0, err)
    for (const [path, bytes] of originals) assert.deepEqual(await readFile(at(path)), bytes, path)
    const { out } = await countersign('server', 'list', '--json')
    assert.deepEqual(
      [...out.matchAll(/"state": "(\w+)"/g)].filter(([, state]) => state === 'active'),
      [],
    )
    assert.deepEqual(
      await launched(files.cursor, 'service', toolNames),
      reached.get(`${files.cursor} service`),
    )
  })
})
