import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'

export type Forwarder = { readonly url: string; close(): Promise<void> }

/**
 * Stands in front of a broker for clients that know no tokens: adds the agent's, maps `/mcp` to an endpoint of the
 * broker, and changes nothing else; `Host` and `Origin` reach the broker as the client sent them.
 */
export async function startForwarder(target: {
  /** The broker's endpoint, for example `http://127.0.0.1:7316/mcp/everything`. */
  readonly url: URL
  readonly token: () => Promise<string>
}): Promise<Forwarder> {
  const server = createServer((request, response) => {
    forward(request, response, target).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('expected to listen on a TCP port')
  return {
    url: `http://127.0.0.1:${address.port}/mcp`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function forward(
  request: IncomingMessage,
  response: ServerResponse,
  { url, token }: { readonly url: URL; readonly token: () => Promise<string> },
): Promise<void> {
  if (request.url !== '/mcp') return void response.writeHead(404).end()
  const headers = [...request.rawHeaders, 'Authorization', `Bearer ${await token()}`]
  const onward = httpRequest(url, { method: request.method, headers, agent: false })
  onward.once('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
    // An event stream must start before its first event.
    response.flushHeaders()
    answer.pipe(response)
    answer.once('error', () => response.destroy())
  })
  onward.once('error', () => response.destroy())
  // A client that goes away must be seen to go away: in 2026-07-28 that is how a call is cancelled.
  response.once('close', () => onward.destroy())
  request.pipe(onward)
}
