import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
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

function start(args: readonly string[]): ChildProcess {
  const config = ['--config', at('countersign.jsonc')]
  const { CLAUDE_CONFIG_DIR: _, XDG_CONFIG_HOME: __, ...environment } = process.env
  return spawn(node, [main, ...args, ...config], {
    cwd: user,
    env: { ...environment, HOME: user, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function countersign(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = start(args)
  let out = ''
  let err = ''
  child.stdout?.on('data', (chunk: Buffer) => void (out += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => void (err += chunk.toString()))
  const code = await new Promise<number | null>((done) => child.once('close', done))
  return { code, out, err }
}

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
  const client = new Client({ name: 'a-client', version: '1' })
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

const toolNames = async (client: Client): Promise<readonly string[]> =>
  (await client.listTools()).tools.map(({ name }) => name).toSorted()

async function called(client: Client, name: string, args: { [name: string]: unknown } = {}): Promise<string> {
  const { content } = await client.callTool({ name, arguments: args })
  const [first] = Array.isArray(content) ? content : []
  return isRecord(first) ? String(first['text']) : ''
}

/** What each client had before it was adopted. */
const reached = new Map<string, readonly string[]>()
const launches = [
  [files['claude-code'], 'files'],
  [files['claude-code'], 'service'],
  [files['claude-desktop'], 'everything'],
  [files.cursor, 'service'],
  [files.vscode, 'docs'],
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
  await Promise.all(
    launches.map(async ([path, name]) =>
      reached.set(`${path} ${name}`, await launched(path, name, toolNames)),
    ),
  )
})
after(async () => {
  serving?.kill('SIGTERM')
  if (serving !== null && serving.exitCode === null) await new Promise((done) => serving?.once('close', done))
  await rm(user, { recursive: true, force: true })
})

const leaksIn = (text: string): readonly string[] =>
  Object.values(tokens).filter((token) => text.includes(token))

describe('a machine with four clients', () => {
  test('the plan says what would move, and changes nothing', async () => {
    const { code, out, err } = await countersign('adopt')
    assert.equal(code, 0, err)
    for (const name of ['files', 'service', 'everything', 'prompted']) assert.match(out, new RegExp(name))
    assert.match(out, /Nothing was changed\. To do it: countersign adopt --yes/)
    assert.deepEqual(leaksIn(out + err), [])
    for (const [path, bytes] of originals) assert.deepEqual(await readFile(at(path)), bytes, path)
  })

  test('--yes adopts them: no token is left in any file, nothing else in them changes', async () => {
    const { code, out, err } = await countersign('adopt', '--yes')
    assert.equal(code, 0, out + err)
    assert.deepEqual(leaksIn(out + err), [])
    for (const path of Object.values(files)) {
      const text = await readFile(at(path), 'utf8')
      assert.deepEqual(leaksIn(text), [], path)
      assert.match(text, /"connect"/, path)
    }
    const code_ = await readFile(at(files['claude-code']), 'utf8')
    assert.match(code_, /"numStartups": 12,\n {2}"oauthAccount"/)
    assert.match(code_, /"unknownField": \{ "kept": \[1, 2\.50, null\] \}/)
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
    const child = start(['serve', '--json'])
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

  for (const [path, name] of launches) {
    test(`${path}: ${name} offers the same tools under the same names`, async () => {
      assert.deepEqual(await launched(path, name, toolNames), reached.get(`${path} ${name}`))
    })
  }

  test('a read works from each client that has the folder', async () => {
    const read = (client: Client) => called(client, 'read_text_file', { path: at('documents/letter.txt') })
    assert.equal(await launched(files['claude-code'], 'files', read), 'a letter\n')
    assert.equal(await launched(files.vscode, 'docs', read), 'a letter\n')
  })

  test('each server got the very token that its client had, from the sealed store', async () => {
    const tell = async (client: Client): Promise<unknown> => JSON.parse(await called(client, 'get_tokens'))
    assert.deepEqual(await launched(files['claude-code'], 'service', tell), {
      environment: digest(tokens.github),
      argument: 'none',
      plain: 'north',
    })
    assert.deepEqual(await launched(files.cursor, 'service', tell), {
      environment: digest(tokens.slack),
      argument: digest(tokens.linear),
      plain: 'none',
    })
  })

  test('what the clients did is in the log, by client', async () => {
    const { out } = await countersign('audit', 'recent', '--kind', 'intent')
    for (const client of ['claude-code', 'cursor', 'vscode'])
      assert.match(out, new RegExp(`intent +${client} `))
    assert.deepEqual(leaksIn(out), [])
  })

  test('adopting again finds nothing left to do', async () => {
    const { code, out } = await countersign('adopt')
    assert.equal(code, 0)
    assert.match(out, /Through the broker already/)
    assert.match(out, /Nothing to adopt/)
  })

  test('--undo puts every byte back, and the clients reach their servers without the broker', async () => {
    serving?.kill('SIGTERM')
    if (serving !== null) await new Promise((done) => serving?.once('close', done))
    const { code, err } = await countersign('adopt', '--undo')
    assert.equal(code, 0, err)
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
