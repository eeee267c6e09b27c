import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createExchange, type Exchange } from './exchange.ts'
import { guard, type Guard } from './rebinding.ts'

/** Milliseconds, bytes and counts. Each one bounds what a single peer can hold of this process. */
export type ListenerLimits = {
  readonly bodyBytes: number
  readonly headerBytes: number
  /** Longest time for a request's headers, and for the whole request, to arrive (slowloris). */
  readonly headersMs: number
  readonly requestMs: number
  /** How long an idle connection is kept. */
  readonly idleMs: number
  readonly connections: number
  /** How often an open stream gets a comment. */
  readonly keepAliveMs: number
  /** How long a close waits for answers under way. */
  readonly graceMs: number
}

export const listenerLimits: ListenerLimits = {
  bodyBytes: 4 * 1024 * 1024,
  headerBytes: 16 * 1024,
  headersMs: 10_000,
  requestMs: 30_000,
  idleMs: 65_000,
  connections: 1024,
  keepAliveMs: 15_000,
  graceMs: 5_000,
}

export type ListenerOptions = {
  /** Said in errors, for example `agents`. */
  readonly name: string
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Answers every exchange. A throw is answered with 500 and given to `onFault`. */
  readonly routes: (exchange: Exchange) => Promise<void>
  readonly allowedHosts?: readonly string[]
  readonly allowedOrigins?: readonly string[]
  readonly loopbackOrigins?: boolean
  readonly limits?: Partial<ListenerLimits>
  readonly onFault?: (fault: unknown) => void
}

export type Listening = { readonly host: string; readonly port: number; readonly url: string }

export type Listener = {
  /** Rejects when the address cannot be taken. */
  listen(): Promise<Listening>
  /** Takes no more requests, ends what waits (`Exchange.closing`), gives answers under way a moment, then cuts. */
  close(): Promise<void>
}

/** These decide who is asked and who asks: a second one would be read differently by a proxy in front of us. */
const onlyOnce: readonly string[] = [
  'host',
  'origin',
  'authorization',
  'content-type',
  'content-length',
  'cookie',
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
  'mcp-session-id',
]

/** One HTTP listener with the checks that come before any route. Makes no socket until `listen`. */
export function createListener(options: ListenerOptions): Listener {
  const limits = { ...listenerLimits, ...options.limits }
  const closing = new AbortController()
  const rules: Guard = {
    allowedHosts: [...(options.allowedHosts ?? []).map(lower), ...literal(options.host)],
    allowedOrigins: (options.allowedOrigins ?? []).map(lower),
    loopbackOrigins: options.loopbackOrigins ?? false,
  }
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: Math.max(100, Math.min(limits.headersMs / 2, 5_000)),
      keepAliveTimeout: limits.idleMs,
      requireHostHeader: false,
    },
    (req, res) => {
      const exchange = createExchange(req, res, { ...limits, closing: closing.signal })
      void serve(exchange, { req, res, rules, options })
    },
  )
  server.maxConnections = limits.connections
  server.on('clientError', refuseBytes)
  return {
    listen: () => listen(server, options),
    close: () => close(server, closing, limits.graceMs),
  }
}

type Serving = {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly rules: Guard
  readonly options: ListenerOptions
}

async function serve(exchange: Exchange, { req, res, rules, options }: Serving): Promise<void> {
  try {
    const twice = onlyOnce.find((name) => (req.headersDistinct[name]?.length ?? 0) > 1)
    if (twice !== undefined) return refuse(exchange, 400, `expected one \`${twice}\` header, found several`)
    const guarded = guard(rules, req.headers.host, req.headers.origin)
    if (!guarded.ok) return refuse(exchange, 403, guarded.problem)
    await options.routes(exchange)
    if (!exchange.started)
      refuse(
        exchange,
        404,
        `nothing is served at \`${exchange.path.slice(0, 100)}\` of the ${options.name} listener`,
      )
  } catch (fault) {
    // Answered before anyone is told, and nothing of the fault is said: its words may hold what the caller may not know.
    if (exchange.started) res.destroy()
    else refuse(exchange, 500, 'something failed in the broker; try again, and tell the operator if it stays')
    options.onFault?.(fault)
  }
}

/** The shape of every error that no protocol above HTTP has a form for. */
export function refuse(
  exchange: Exchange,
  status: number,
  problem: string,
  headers: { readonly [name: string]: string } = {},
): void {
  exchange.answer(status, { error: { message: problem } }, headers)
}

const byCode: { readonly [code: string]: readonly [string, string] } = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'expected smaller headers'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request took too long to arrive; send it at once'],
}

/** What is no HTTP gets an answer, too, and the connection is closed. */
function refuseBytes(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const [status, problem] = byCode[error.code ?? ''] ?? ['400 Bad Request', 'expected an HTTP/1.1 request']
  const body = JSON.stringify({ error: { message: problem } })
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}

function listen(server: Server, { host, port }: ListenerOptions): Promise<Listening> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      const bound = portOf(server.address())
      resolve({ host, port: bound, url: `http://${reached(host)}:${bound}` })
    })
  })
}

const portOf = (address: AddressInfo | string | null): number =>
  address === null || typeof address === 'string' ? 0 : address.port

async function close(server: Server, closing: AbortController, graceMs: number): Promise<void> {
  closing.abort(new Error('the broker is closing'))
  if (!server.listening) return
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const cut = setTimeout(() => server.closeAllConnections(), graceMs)
  await closed
  clearTimeout(cut)
}

/** Where this machine reaches it: a wildcard is where to listen, and no `Host` that is served. */
const reached = (host: string): string =>
  host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host

const lower = (text: string): string => text.toLowerCase()

/** A name that was bound on purpose is served; a wildcard names nobody. */
const literal = (host: string): readonly string[] =>
  host === '0.0.0.0' || host === '::'
    ? []
    : [host.includes(':') ? `[${host}]`.toLowerCase() : host.toLowerCase()]
