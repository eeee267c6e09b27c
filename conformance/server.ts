import {
  WebStandardStreamableHTTPServerTransport,
  createMcpHandler,
  createRequestStateCodec,
  isInitializeRequest,
  isLegacyRequest,
} from '@modelcontextprotocol/server'
import { localhostHostValidation, localhostOriginValidation, toNodeHandler } from '@modelcontextprotocol/node'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { offer, type Change, type House, type Offered } from './offer.ts'
import { keepEvents } from './events.ts'
import { randomBytes, randomUUID } from 'node:crypto'

/** Which revisions are spoken: `legacy` stands for all before 2026-07-28. */
export type Eras = 'both' | 'modern' | 'legacy'

export type Everything = { readonly url: string; close(): Promise<void> }

/**
 * A server on the official SDK that offers what the scenarios of the MCP suite call. Clients of 2026-07-28 are served
 * request by request; older ones get sessions with streams that can be resumed. It listens on loopback only.
 */
export async function startEverything(eras: Eras = 'both'): Promise<Everything> {
  const sessions = createSessions()
  const house: House = {
    there: { tool: true, prompt: true },
    codec: createRequestStateCodec({ key: randomBytes(32) }),
    changed: (what) => {
      sessions.tell(what)
      notify(modern.notify, what)
    },
  }
  const modern = createMcpHandler(() => offer(house).server, { legacy: 'reject' })
  const fetch = async (request: Request): Promise<Response> => {
    const older = eras === 'legacy' || (eras === 'both' && (await isLegacyRequest(request)))
    return older ? sessions.serve(request, () => offer(house)) : modern.fetch(request)
  }
  const serve = toNodeHandler({ fetch })
  const guards = [localhostHostValidation(), localhostOriginValidation()]
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    if (!guards.every((guard) => guard(request, response))) return
    if (request.url !== '/mcp') return void response.writeHead(404).end()
    const { method = 'GET', url, headers } = request
    const whole = { method, url, headers, [Symbol.asyncIterator]: () => request[Symbol.asyncIterator]() }
    serve(whole, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('expected to listen on a TCP port')
  return {
    url: `http://127.0.0.1:${address.port}/mcp`,
    async close() {
      await modern.close()
      await sessions.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function notify(notifier: ReturnType<typeof createMcpHandler>['notify'], what: Change): void {
  switch (what.kind) {
    case 'tools':
      return notifier.toolsChanged()
    case 'prompts':
      return notifier.promptsChanged()
    case 'resource':
      return notifier.resourceUpdated(what.uri)
  }
}

type Session = { readonly offered: Offered; readonly transport: WebStandardStreamableHTTPServerTransport }

/** Sessions of revisions before 2026-07-28, each with a server object of its own. */
function createSessions(): {
  serve(request: Request, make: () => Offered): Promise<Response>
  tell(what: Change): void
  close(): Promise<void>
} {
  const sessions = new Map<string, Session>()
  const open = async (make: () => Offered): Promise<WebStandardStreamableHTTPServerTransport> => {
    const offered = make()
    const transport: WebStandardStreamableHTTPServerTransport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: keepEvents(),
      retryInterval: 200,
      onsessioninitialized: (id) => void sessions.set(id, { offered, transport }),
      onsessionclosed: (id) => void sessions.delete(id),
    })
    await offered.server.connect(transport)
    return transport
  }
  return {
    async serve(request, make) {
      const known = sessions.get(request.headers.get('mcp-session-id') ?? '')
      if (known !== undefined) return known.transport.handleRequest(request)
      if (request.headers.has('mcp-session-id')) return new Response(null, { status: 404 })
      const body: unknown = await request
        .clone()
        .json()
        .catch(() => null)
      if (!isInitializeRequest(body)) return new Response(null, { status: 400 })
      return (await open(make)).handleRequest(request)
    },
    tell: (what) => {
      for (const { offered } of sessions.values()) offered.tell(what)
    },
    async close() {
      for (const { transport } of sessions.values()) await transport.close()
    },
  }
}
