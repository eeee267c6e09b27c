import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { configSchema } from '../src/config/schema.ts'
import { createAccesses } from '../src/cli/bridge/access.ts'
import { createAgentKey, loadAgentKey } from '../src/identity/key.ts'
import { join, resolve } from 'node:path'
import { mkdtemp, rm } from 'node:fs/promises'
import { startBroker, type Broker } from '../src/broker.ts'
import { startPlayground } from '../examples/servers/playground.ts'
import { tmpdir } from 'node:os'
import type { Ask } from '../src/approval/ask.ts'
import type { Clock } from '../src/lib/clock.ts'
import type { Effect, Review } from '../src/registry/tool.ts'
import type { JsonObject } from '../src/lib/json.ts'
import type { z } from 'zod'

/** A whole broker with real servers behind it, in a folder of its own, for tests that play through the real path. */
export type World = {
  readonly broker: Broker
  readonly home: string
  /** A folder that the filesystem server may use, when there is one. */
  readonly files: string
  readonly playground: Awaited<ReturnType<typeof startPlayground>>
  /** What the broker reported as faults; empty at the end of an honest test. */
  readonly faults: readonly unknown[]
  /** A real MCP client of an agent. Closed with the world. */
  client(options?: {
    readonly agent?: string
    readonly server?: string
    readonly era?: 'modern' | 'legacy'
  }): Promise<Client>
  /** A task's access token of an agent, and the task. */
  token(agent?: string): Promise<string>
  /** A raw call over HTTP (revision 2026-07-28). */
  post(
    body: JsonObject | string,
    options?: {
      readonly token?: string
      readonly path?: string
      readonly headers?: { readonly [name: string]: string }
    },
  ): Promise<{ status: number; body: JsonObject }>
  /** Accepts everything in quarantine, as a reviewer who looked would. */
  reviewAll(overrides?: {
    readonly [tool: string]: Partial<
      Pick<Review, 'environment' | 'confidentiality' | 'integrity' | 'targets' | 'bears' | 'results'>
    > & { readonly effects?: readonly Effect[] }
  }): Promise<void>
  /** Waits for the next pending ask. */
  nextAsk(): Promise<Ask>
  /** Answers as the person at the terminal. */
  answer(
    ask: Ask,
    answer: 'approve' | 'refuse',
    proof?: 'terminal' | 'passphrase' | 'passkey',
    by?: string,
  ): Promise<{ readonly ok: boolean }>
  /** Entries of the log, oldest first. */
  entries(): Promise<readonly JsonObject[]>
  close(): Promise<void>
}

export type WorldOptions = {
  readonly servers?: z.input<typeof configSchema>['servers']
  readonly agents?: z.input<typeof configSchema>['agents']
  readonly config?: Partial<z.input<typeof configSchema>>
  readonly clock?: Clock
  /** Hears the lines of the structured log. */
  readonly onLog?: (line: string) => void
  /** Leave tools in quarantine. */
  readonly unreviewed?: boolean
}

export const packagePath = (name: string): string => resolve(import.meta.dirname, '../node_modules', name)

export const filesystemServer = (folder: string) => ({
  command: process.execPath,
  args: [packagePath('@modelcontextprotocol/server-filesystem/dist/index.js'), folder],
})

export async function world(options: WorldOptions = {}): Promise<World> {
  const root = await mkdtemp(join(tmpdir(), 'countersign-world-'))
  const files = join(root, 'files')
  const { mkdir } = await import('node:fs/promises')
  await mkdir(files)
  const playground = await startPlayground({ port: 0 })
  const faults: unknown[] = []
  const config = configSchema.parse({
    home: join(root, 'home'),
    operator: 'operator',
    servers: options.servers ?? { playground: { url: playground.url } },
    agents: options.agents ?? { agent: {} },
    ...options.config,
    audit: { checkpointMs: 100, ...options.config?.audit },
  })
  const broker = await startBroker(
    { config, file: null, base: root, digest: 'sha256:test' },
    {
      ports: { agents: 0, operators: 0 },
      onFault: (fault) => void faults.push(fault),
      ...(options.clock ? { clock: options.clock } : {}),
      ...(options.onLog ? { onLog: options.onLog } : {}),
    },
  ).catch(async (problem: unknown) => {
    await playground.close()
    await rm(root, { recursive: true, force: true })
    throw problem
  })
  const ends: (() => Promise<unknown>)[] = []
  const token = async (agent = 'agent'): Promise<string> => {
    const key = await loadAgentKey(config.home, agent).catch(() => createAgentKey(config.home, agent))
    const access = createAccesses({ agent, key, base: async () => broker.urls.agents })
    return (await access.get()).token
  }
  const self: World = {
    broker,
    home: config.home,
    files,
    playground,
    faults,
    token,
    async client({ agent = 'agent', server, era = 'modern' } = {}) {
      const bearer = await token(agent)
      const client = new Client(
        { name: 'test', version: '1' },
        {
          capabilities: { elicitation: {} },
          versionNegotiation: { mode: era === 'modern' ? 'auto' : 'legacy' },
        },
      )
      const url = new URL(server === undefined ? '/mcp' : `/mcp/${server}`, broker.urls.agents)
      await client.connect(
        new StreamableHTTPClientTransport(url, {
          requestInit: { headers: { authorization: `Bearer ${bearer}` } },
        }),
      )
      ends.push(() => client.close())
      return client
    },
    async post(body, { token: bearer, path = '/mcp', headers = {} } = {}) {
      const method = typeof body === 'string' ? 'tools/call' : String(body['method'])
      const params = typeof body === 'string' ? {} : body['params']
      const name =
        typeof params === 'object' && params !== null && 'name' in params ? String(params['name']) : undefined
      const response = await fetch(new URL(path, broker.urls.agents), {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': method,
          ...(name === undefined ? {} : { 'mcp-name': name }),
          ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
          ...headers,
        },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      })
      const text = await response.text()
      const data =
        text.startsWith('event:') || text.startsWith(':') ? (/^data: (.*)$/m.exec(text)?.[1] ?? '{}') : text
      return { status: response.status, body: JSON.parse(data === '' ? '{}' : data) }
    },
    async reviewAll(overrides = {}) {
      const { registry } = broker.core
      for (const tool of registry.tools({ state: 'quarantined' })) {
        const by = { name: 'operator', proof: 'terminal' }
        const reviewed = await registry.review({
          id: tool.id,
          digest: tool.digest,
          overrides: overrides[tool.id] ?? {},
          by,
        })
        if (!reviewed.ok) throw new Error(reviewed.detail)
      }
    },
    async nextAsk() {
      const until = Date.now() + 10_000
      while (Date.now() < until) {
        const [ask] = await broker.core.approvals.pending()
        if (ask !== undefined) return ask
        await new Promise((after) => setTimeout(after, 20))
      }
      throw new Error('no ask came')
    },
    answer: (ask, answer, proof = 'terminal', by = 'operator') =>
      broker.core.approvals.answer(ask.id, { answer, reason: 'test', by: { name: by, proof }, proof }),
    async entries() {
      const answer = await broker.api({
        method: 'GET',
        path: '/v1/audit/recent',
        query: { limit: '500' },
        level: 'terminal',
      })
      const { entries } = answer.body
      return Array.isArray(entries) ? entries.map((one) => one.entry).toReversed() : []
    },
    async close() {
      for (const end of ends) await end().catch(() => undefined)
      await broker.close()
      await playground.close()
      await rm(root, { recursive: true, force: true })
    },
  }
  await broker.listed
  if (options.unreviewed !== true) await self.reviewAll()
  return self
}
