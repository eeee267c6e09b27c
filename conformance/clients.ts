import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { Client as Client2, StreamableHTTPClientTransport as Http2 } from '@modelcontextprotocol/client'
import { StdioClientTransport as Stdio1 } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StdioClientTransport as Stdio2 } from '@modelcontextprotocol/client/stdio'
import { StreamableHTTPClientTransport as Http1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Where a client finds a server: behind the broker, or as a program of its own. */
export type Where =
  | { readonly url: URL; readonly token: string }
  | { readonly command: string; readonly args: readonly string[] }

/** A client that nobody here wrote, connected. Answers are what it makes of them. */
export type Met = {
  list(): Promise<readonly unknown[]>
  call(tool: string, args: { readonly [name: string]: unknown }): Promise<unknown>
  close(): Promise<void>
}

export type Meet = (where: Where) => Promise<Met>

const info = { name: 'conformance', version: '1.0.0' }
const bearer = (token: string) => ({ requestInit: { headers: { authorization: `Bearer ${token}` } } })

export const sdk1: Meet = async (where) => {
  const client = new Client1(info)
  await ('url' in where
    ? client.connect(new Http1(where.url, bearer(where.token)))
    : client.connect(new Stdio1({ command: where.command, args: [...where.args], stderr: 'ignore' })))
  return {
    list: async () => (await client.listTools()).tools,
    call: (name, args) => client.callTool({ name, arguments: { ...args } }),
    close: () => client.close(),
  }
}

export const sdk2 =
  (mode: 'auto' | 'legacy'): Meet =>
  async (where) => {
    const client = new Client2(info, { versionNegotiation: { mode } })
    const transport =
      'url' in where
        ? new Http2(where.url, bearer(where.token))
        : new Stdio2({ command: where.command, args: [...where.args], stderr: 'ignore' })
    await client.connect(transport)
    return {
      list: async () => (await client.listTools()).tools,
      call: (name, args) => client.callTool({ name, arguments: { ...args } }),
      close: () => client.close(),
    }
  }

const execute = promisify(execFile)
const inspectorMs = 60_000

/** The Inspector's command line: one process for each request. */
export const inspector =
  (program: string, home: string): Meet =>
  async (where) => {
    await mkdir(home, { recursive: true })
    const target =
      'url' in where
        ? [where.url.href, '--transport', 'http', '--header', `Authorization: Bearer ${where.token}`]
        : [where.command, ...where.args]
    const run = async (...args: string[]): Promise<unknown> => {
      const { stdout } = await execute(
        process.execPath,
        [program, '--cli', ...target, ...args, '--format', 'json'],
        {
          timeout: inspectorMs,
          env: { ...process.env, HOME: home, MCP_CATALOG_PATH: join(home, 'catalog.json') },
        },
      )
      return JSON.parse(stdout)
    }
    return {
      list: async () => toolsOf(await run('--method', 'tools/list')),
      call: (name, args) =>
        run('--method', 'tools/call', '--tool-name', name, '--tool-args-json', JSON.stringify(args)),
      close: async () => undefined,
    }
  }

/** Its format wraps what the server said, differently from version to version. */
function toolsOf(printed: unknown): readonly unknown[] {
  if (typeof printed !== 'object' || printed === null) return []
  const { tools, result }: { tools?: unknown; result?: unknown } = printed
  if (Array.isArray(tools)) return tools
  return result === undefined ? [] : toolsOf(result)
}
