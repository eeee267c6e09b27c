import { createServer } from 'node:http'
import { answering, usage } from '../child.ts'
import { listenOn } from './listen.ts'

/**
 * The one upstream of a run: as little as an MCP server of revision 2026-07-28 can be. It reads the body as JSON, and
 * answers calls with a prepared text: whatever a proxy in front of it costs is the proxy's.
 */
const tools = Number(process.argv[2] ?? 100)
const pageSize = 2_000

const definition = (index: number) => ({
  name: `tool_${index}`,
  description: `Does the thing number ${index} and says what came of it.`,
  inputSchema: {
    type: 'object',
    properties: {
      path: { type: 'string' },
      content: { type: 'string' },
      lines: { type: 'integer', minimum: 0 },
      tags: { type: 'array', items: { type: 'string' } },
    },
    required: ['path'],
    additionalProperties: false,
  },
  annotations: { readOnlyHint: true },
})

const server = { 'io.modelcontextprotocol/serverInfo': { name: 'bench', version: '1.0.0' } }
const complete = { resultType: 'complete', _meta: server }
const text = 'A line of plain text, as tools answer with. '.repeat(12)
const called = JSON.stringify({ ...complete, content: [{ type: 'text', text }] })

const discovered = JSON.stringify({
  ...complete,
  supportedVersions: ['2026-07-28'],
  capabilities: { tools: { listChanged: true } },
})

function listed(cursor: unknown): string {
  const from = typeof cursor === 'string' ? Number(cursor) : 0
  const to = Math.min(tools, from + pageSize)
  const page = Array.from({ length: to - from }, (_, index) => definition(from + index))
  const more = to < tools ? { nextCursor: String(to) } : {}
  return JSON.stringify({ ...complete, tools: page, ttlMs: 300_000, cacheScope: 'private', ...more })
}

function resultOf(method: unknown, params: { readonly cursor?: unknown } | undefined): string {
  switch (method) {
    case 'tools/call':
      return called
    case 'tools/list':
      return listed(params?.cursor)
    default:
      return discovered
  }
}

const http = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const message = JSON.parse(Buffer.concat(chunks).toString())
    const body = `{"jsonrpc":"2.0","id":${JSON.stringify(message.id)},"result":${resultOf(message.method, message.params)}}`
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
    response.end(body)
  })
})
http.keepAliveTimeout = 60_000
const port = await listenOn(http, 0)
answering({ port: () => port, usage })
