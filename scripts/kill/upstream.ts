import { createServer, type IncomingMessage } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { isJsonObject, type Json, type JsonObject } from '../../src/lib/json.ts'

/**
 * A server that counts what reaches it, by the `key` of the arguments. As little as an MCP server of revision 2026-07-28
 * can be; it counts when it has read a request, before it answers, as a tool acts before it answers.
 */
export type Upstream = {
  readonly url: string
  seen(): Seen
  /** Answers what was held: calls whose key begins with `held` arrive, are counted, and wait for this. */
  release(): void
  close(): Promise<void>
}

/** How often each key arrived. */
export type Seen = { readonly [key: string]: number }

export const toolNames = ['read', 'note', 'write', 'wipe'] as const
export type ToolName = (typeof toolNames)[number]

/** What a call that was carried out is answered with: nothing else says `did`. */
export const didText = (key: string): string => `did ${key}`

const definition = (name: ToolName) => ({
  name,
  description: `Does ${name}.`,
  inputSchema: {
    type: 'object',
    properties: { key: { type: 'string' }, text: { type: 'string' } },
    required: ['key'],
    additionalProperties: false,
  },
})

const complete = {
  resultType: 'complete',
  _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'counting', version: '1.0.0' } },
} as const

export async function startUpstream({
  slowestMs = 0,
}: { readonly slowestMs?: number } = {}): Promise<Upstream> {
  const counts = new Map<string, number>()
  const held = Promise.withResolvers<void>()
  const slow = async (key: string): Promise<void> => {
    if (key.startsWith('held')) await held.promise
    else if (slowestMs > 0) await wait(Math.random() * slowestMs)
  }
  const http = createServer((request, response) => {
    const respond = async (): Promise<void> => {
      const body = JSON.stringify(await answer(request, counts, slow))
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(body)
    }
    respond().catch(() => response.destroy())
  })
  http.keepAliveTimeout = 60_000
  const port = await new Promise<number>((resolve, reject) => {
    http.once('error', reject)
    http.listen(0, '127.0.0.1', () => {
      const address = http.address()
      if (address === null || typeof address === 'string') reject(new Error('expected a port'))
      else resolve(address.port)
    })
  })
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    seen: () => Object.fromEntries(counts),
    release: held.resolve,
    close: async () => {
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    },
  }
}

async function answer(
  request: IncomingMessage,
  counts: Map<string, number>,
  slow: (key: string) => Promise<void>,
): Promise<Json> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const message: unknown = JSON.parse(Buffer.concat(chunks).toString())
  if (!isJsonObject(message)) throw new TypeError('expected a message')
  const { id = null, method, params = {} } = message
  return { jsonrpc: '2.0', id, result: await resultOf(method, isJsonObject(params) ? params : {}) }

  async function resultOf(of: Json | undefined, given: JsonObject): Promise<JsonObject> {
    if (of === 'tools/list') {
      return { ...complete, tools: toolNames.map(definition), ttlMs: 300_000, cacheScope: 'private' }
    }
    if (of !== 'tools/call') {
      return { ...complete, supportedVersions: ['2026-07-28'], capabilities: { tools: {} } }
    }
    const key = isJsonObject(given['arguments']) ? String(given['arguments']['key']) : ''
    counts.set(key, (counts.get(key) ?? 0) + 1)
    await slow(key)
    return { ...complete, content: [{ type: 'text', text: didText(key) }] }
  }
}

/** As a process of its own, which outlives brokers: says where it is, and what it saw whenever it is asked. */
if (import.meta.main && process.send !== undefined) {
  const upstream = await startUpstream({ slowestMs: Number(process.argv[2] ?? 0) })
  const tell = (message: object): void => void process.send?.(message)
  process.on('message', () => tell({ seen: upstream.seen() }))
  process.on('disconnect', () => process.exit())
  tell({ url: upstream.url })
}
