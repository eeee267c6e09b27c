import { listen } from './hostile.ts'
import type { ServerResponse } from 'node:http'

export type Asked = {
  readonly id: unknown
  readonly method: string
  readonly params: { readonly [name: string]: unknown }
}

/**
 * A server below the SDK, for lies that the SDK does not let one tell: bytes that are no strict JSON, answers to others,
 * redirects, results without end. `lie` answers `tools/call`; everything else is honest (revision 2026-07-28).
 */
export async function startRaw(lie: (asked: Asked, response: ServerResponse) => void): Promise<{
  readonly url: string
  readonly asked: Asked[]
  close(): Promise<void>
}> {
  const asked: Asked[] = []
  const { url, stop } = await listen((request, response) => {
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(Buffer.from(chunk))
      const message: Asked = JSON.parse(
        Buffer.concat(chunks).toString('utf8') || '{"id":null,"method":"","params":{}}',
      )
      asked.push(message)
      if (message.method === 'tools/call') return lie(message, response)
      reply(response, message.id, honest(message.method))
    })()
  })
  return { url: `${url}/mcp`, asked, close: stop }
}

export function reply(response: ServerResponse, id: unknown, result: object): void {
  say(response, JSON.stringify({ jsonrpc: '2.0', id, result }))
}

export function say(response: ServerResponse, body: string): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(body)
}

const meta = { _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'raw', version: '1' } } }
function honest(method: string): object {
  switch (method) {
    case 'server/discover':
      return {
        resultType: 'complete',
        supportedVersions: ['2026-07-28'],
        capabilities: { tools: {} },
        ttlMs: 60_000,
        cacheScope: 'private',
        ...meta,
      }
    case 'tools/list':
      return {
        resultType: 'complete',
        ttlMs: 60_000,
        cacheScope: 'private',
        tools: [
          {
            name: 'get_report',
            description: 'Gives a report.',
            inputSchema: { type: 'object', properties: {} },
            annotations: { readOnlyHint: true },
          },
        ],
        ...meta,
      }
    default:
      return { resultType: 'complete', ...meta }
  }
}
