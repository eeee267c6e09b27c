import { createServer } from 'node:http'
import { execFile } from 'node:child_process'
import { inspector, sdk1, sdk2, type Meet, type Met, type Where } from './clients.ts'
import { installInspector, installPython } from './install.ts'
import { firstDifference } from './differ.ts'
import { promisify } from 'node:util'
import { join, resolve } from 'node:path'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { startWorld, type World } from './world.ts'
import { tmpdir } from 'node:os'

/** Clients and servers that nobody here wrote, with and without the broker between them: both must look alike. */

export type Real = {
  readonly versions: { readonly [name: string]: string }
  /** `client with server`. */
  readonly passed: readonly string[]
  readonly failed: readonly { readonly name: string; readonly problem: string }[]
  readonly skipped: readonly { readonly name: string; readonly reason: string }[]
}

type Server = {
  readonly command: string
  readonly args: readonly string[]
  /** Tools that it offers only to some clients; the broker is another client than the one that is compared with it. */
  readonly varying?: RegExp
  /** Calls whose answers are the same each time. */
  readonly calls: readonly { readonly tool: string; readonly args: { readonly [name: string]: unknown } }[]
}
type Servers = { readonly [name: string]: Server }

const stepMs = 120_000
const modules = resolve(import.meta.dirname, '../node_modules')
const installed = [
  '@modelcontextprotocol/server-everything',
  '@modelcontextprotocol/server-filesystem',
  '@modelcontextprotocol/sdk',
  '@modelcontextprotocol/client',
]

export async function runReal(told: (line: string) => void): Promise<Real> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-real-'))
  try {
    return await runIn(folder, told)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function runIn(folder: string, told: (line: string) => void): Promise<Real> {
  const skipped: Real['skipped'][number][] = []
  const versions: { [name: string]: string } = {}
  for (const name of installed) {
    const { version }: { version: string } = JSON.parse(
      await readFile(join(modules, name, 'package.json'), 'utf8'),
    )
    versions[name] = version
  }
  const page = await servePage()
  try {
    const work = join(folder, 'work')
    await mkdir(work)
    let servers: Servers = await nodeServers(work)
    told('installing the Python reference servers')
    const python = await installPython(join(folder, 'python'))
    if ('missing' in python) skipped.push({ name: 'the Python reference servers', reason: python.missing })
    else {
      Object.assign(versions, python.versions)
      servers = { ...servers, ...(await pythonServersIn(python.bin, work, page.url)) }
    }
    const meets: { [client: string]: Meet } = {
      'SDK 1.x': sdk1,
      'SDK 2.x modern': sdk2('auto'),
      'SDK 2.x legacy': sdk2('legacy'),
    }
    told('installing MCP Inspector')
    const inspecting = await installInspector(await emptyFolder(folder, 'inspector'))
    if ('missing' in inspecting) skipped.push({ name: 'MCP Inspector', reason: inspecting.missing })
    else {
      Object.assign(versions, inspecting.versions)
      meets['MCP Inspector'] = inspector(inspecting.program, join(folder, 'home'))
    }
    return { versions, skipped, ...(await compareAll(servers, meets, told)) }
  } finally {
    await page.close()
  }
}

async function emptyFolder(folder: string, name: string): Promise<string> {
  const path = join(folder, name)
  await mkdir(path)
  return path
}

async function nodeServers(work: string): Promise<Servers> {
  const files = await emptyFolder(work, 'files')
  const readme = join(files, 'readme.txt')
  await writeFile(readme, 'one line\nand another\n')
  await writeFile(join(files, 'written.txt'), 'before\n')
  const program = (name: string) => join(modules, '@modelcontextprotocol', name, 'dist/index.js')
  return {
    everything: {
      command: process.execPath,
      args: [program('server-everything'), 'stdio'],
      varying: /^(?:get-roots-list|trigger-(?:elicitation|sampling|url).*)$/,
      calls: [
        { tool: 'echo', args: { message: 'through and through' } },
        { tool: 'get-sum', args: { a: 2, b: 3 } },
        { tool: 'get-tiny-image', args: {} },
        { tool: 'get-structured-content', args: { location: 'New York' } },
      ],
    },
    filesystem: {
      command: process.execPath,
      args: [program('server-filesystem'), files],
      calls: [
        { tool: 'list_directory', args: { path: files } },
        { tool: 'read_text_file', args: { path: readme } },
        { tool: 'write_file', args: { path: join(files, 'written.txt'), content: 'written' } },
        { tool: 'search_files', args: { path: files, pattern: '*.txt' } },
      ],
    },
  }
}

const execute = promisify(execFile)

async function pythonServersIn(bin: string, work: string, page: string): Promise<Servers> {
  const repository = await emptyFolder(work, 'repository')
  const git = (...args: string[]) =>
    execute('git', ['-c', 'user.name=nobody', '-c', 'user.email=nobody@example.com', ...args], {
      cwd: repository,
    })
  await git('init', '--quiet')
  await writeFile(join(repository, 'file.txt'), 'first\n')
  await git('add', '.')
  await git('commit', '--quiet', '-m', 'first')
  return {
    git: {
      command: join(bin, 'mcp-server-git'),
      args: ['--repository', repository],
      calls: [
        { tool: 'git_status', args: { repo_path: repository } },
        { tool: 'git_log', args: { repo_path: repository, max_count: 1 } },
      ],
    },
    fetch: {
      command: join(bin, 'mcp-server-fetch'),
      args: ['--ignore-robots-txt', '--allow-private-ips'],
      calls: [{ tool: 'fetch', args: { url: page } }],
    },
    time: {
      command: join(bin, 'mcp-server-time'),
      args: ['--local-timezone', 'Europe/Vienna'],
      calls: [
        {
          tool: 'convert_time',
          args: { source_timezone: 'Europe/Vienna', time: '16:30', target_timezone: 'Asia/Tokyo' },
        },
      ],
    },
  }
}

/** A page for the server that fetches pages. */
async function servePage(): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html' })
    response.end('<html><body><h1>A page</h1><p>With a paragraph.</p></body></html>')
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('expected to listen on a TCP port')
  return {
    url: `http://127.0.0.1:${address.port}/`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

async function compareAll(
  servers: Servers,
  meets: { readonly [client: string]: Meet },
  told: (line: string) => void,
): Promise<Pick<Real, 'passed' | 'failed'>> {
  const passed: string[] = []
  const failed: Real['failed'][number][] = []
  const configs = Object.fromEntries(
    Object.entries(servers).map(([name, { command, args }]) => [name, { command, args: [...args] }]),
  )
  told('starting a broker with all of them behind it')
  const world = await startWorld({ servers: configs, unreviewable: 'skip' })
  try {
    for (const [server, offered] of Object.entries(servers)) {
      for (const [client, meet] of Object.entries(meets)) {
        const name = `${client} with ${server}`
        told(name)
        const problem = await compareOne({ world, server, offered, meet }).catch(words)
        if (problem === null) passed.push(name)
        else failed.push({ name, problem })
      }
    }
  } finally {
    await world.close()
  }
  return { passed, failed }
}

const words = (problem: unknown): string =>
  problem instanceof Error ? problem.message.slice(0, 500) : 'something that is no error'

type One = {
  readonly world: World
  readonly server: string
  readonly offered: Server
  readonly meet: Meet
}

/** What differs, in words; null when nothing does. */
async function compareOne({ world, server, offered, meet }: One): Promise<string | null> {
  const { command, args } = offered
  const behind = new URL(`/mcp/${server}`, world.broker.urls.agents)
  const direct = await look(meet, { command, args }, offered)
  const through = await look(meet, { url: behind, token: await world.token() }, offered)
  return firstDifference(direct, through)
}

type Seen = { readonly tools: object; readonly answers: object }

async function look(meet: Meet, where: Where, offered: Server): Promise<Seen> {
  const met = await inTime(meet(where))
  try {
    return await seen(met, offered)
  } finally {
    await met.close()
  }
}

async function seen(met: Met, { calls, varying }: Server): Promise<Seen> {
  const tools = (await inTime(met.list()))
    .map(definitionOf)
    .filter(({ name }) => !isOwn(name) && !(typeof name === 'string' && varying?.test(name)))
  const answers: { [tool: string]: unknown } = {}
  for (const { tool, args } of calls) answers[tool] = withoutMeta(await inTime(met.call(tool, args)))
  return { tools: Object.fromEntries(tools.map((tool) => [String(tool.name), tool])), answers }
}

const isOwn = (name: unknown): boolean => typeof name === 'string' && name.startsWith('countersign_')

/** What a model is shown of a tool. */
function definitionOf(tool: unknown): { readonly [member: string]: unknown } {
  const members = ['name', 'title', 'description', 'inputSchema', 'outputSchema', 'annotations']
  const entries = typeof tool === 'object' && tool !== null ? Object.entries(tool) : []
  return Object.fromEntries(entries.filter(([member]) => members.includes(member)))
}

/** `_meta` is the broker's own: it carries the call's id and nothing of the server's. */
function withoutMeta(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMeta)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([member]) => member !== '_meta')
      .map(([member, inner]) => [member, withoutMeta(inner)]),
  )
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${stepMs} ms`)), stepMs)
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
