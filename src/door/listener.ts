import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { comeBack, createExchange, type Exchange } from './exchange.ts'
import { createCrowd, turnedAwayAtOnce } from './crowd.ts'
import { createShares } from './shares.ts'
import { createFlight, type Flight } from '../observe/flight.ts'
import { guard, type Guard } from './rebinding.ts'
import { watchUnread } from './unread.ts'

/** Milliseconds, bytes and counts. Each one bounds what a peer, or all of them together, can hold of this process. */
export type ListenerLimits = {
  readonly bodyBytes: number
  readonly headerBytes: number
  /** Longest time for a request's headers, and for the whole request, to arrive (slowloris). */
  readonly headersMs: number
  readonly requestMs: number
  /** How long an idle connection is kept. */
  readonly idleMs: number
  readonly connections: number
  /** Connections of one address. */
  readonly perRemote: number
  /** Requests under way on one connection. */
  readonly pipelined: number
  /** Bodies of requests under way: of all that proved who they are together, and of one of them. */
  readonly bodiesBytes: number
  readonly bodiesBytesEach: number
  /** Largest body of a stranger, and bodies of strangers together. */
  readonly strangerBodyBytes: number
  readonly strangersBytes: number
  /** Answers that were not read yet: all together, and to one. */
  readonly unreadBytes: number
  readonly unreadBytesEach: number
  /** How long a reader may take nothing of its answer. */
  readonly stalledMs: number
  /** How often an open stream gets a comment. */
  readonly keepAliveMs: number
  /** How long a close waits for answers under way. */
  readonly graceMs: number
}

const mebibyte = 1024 * 1024

export const listenerLimits: ListenerLimits = {
  bodyBytes: 4 * mebibyte,
  headerBytes: 16 * 1024,
  headersMs: 10_000,
  requestMs: 30_000,
  idleMs: 65_000,
  connections: 2_048,
  perRemote: 1_536,
  pipelined: 8,
  bodiesBytes: 128 * mebibyte,
  bodiesBytesEach: 32 * mebibyte,
  strangerBodyBytes: 64 * 1024,
  strangersBytes: 8 * mebibyte,
  unreadBytes: 256 * mebibyte,
  unreadBytesEach: 64 * mebibyte,
  stalledMs: 30_000,
  keepAliveMs: 15_000,
  graceMs: 5_000,
}

/** The operators' key is compared when the whole request is there, and what they send (policies) is larger. */
export const operatorLimits: Partial<ListenerLimits> = {
  connections: 256,
  perRemote: 256,
  strangerBodyBytes: 4 * mebibyte,
  strangersBytes: 32 * mebibyte,
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
  /** Answers what is asked before anything is checked; says whether it did. */
  readonly probes?: (exchange: Exchange) => boolean
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
const onlyOnce: ReadonlySet<string> = new Set([
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
])

/** One HTTP listener with the checks that come before any route. Makes no socket until `listen`. */
export function createListener(options: ListenerOptions): Listener {
  const limits = { ...listenerLimits, ...options.limits }
  const closing = new AbortController()
  const rules: Guard = {
    allowedHosts: [...(options.allowedHosts ?? []).map(lower), ...literal(options.host)],
    allowedOrigins: (options.allowedOrigins ?? []).map(lower),
    loopbackOrigins: options.loopbackOrigins ?? false,
  }
  const crowd = createCrowd(limits)
  const under = createFlight()
  const shared = { ...memoryOf(limits), closing: closing.signal }
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
      const begun = crowd.begin(req, res)
      if (begun === 'drop') return
      const { exchange, end } = createExchange(req, res, {
        ...limits,
        ...shared,
        onKnown: () => crowd.known(req),
      })
      if (begun === 'turn-away') return turnAway(exchange)
      // Those that come while it closes are only told to go: nobody waits for them.
      const landed = closing.signal.aborted ? () => undefined : under.began()
      void serve(exchange, { req, res, rules, options }).finally(() => {
        landed()
        end()
      })
    },
  )
  // Whoever comes beyond the limit is told so; beyond that, too, connections are closed as they come.
  server.maxConnections = limits.connections + turnedAwayAtOnce
  server.on('connection', (socket: Socket) => crowd.enter(socket))
  server.on('clientError', refuseBytes)
  return {
    listen: () => listen(server, options),
    close: () => close(server, { closing, under, graceMs: limits.graceMs }),
  }
}

/** What all requests of a listener share. */
const memoryOf = (limits: ListenerLimits) => ({
  bodies: createShares({
    total: limits.bodiesBytes,
    each: limits.bodiesBytesEach,
    least: limits.bodyBytes,
  }),
  strangers: createShares({ total: limits.strangersBytes, each: limits.strangersBytes, least: 0 }),
  unread: watchUnread({
    total: limits.unreadBytes,
    each: limits.unreadBytesEach,
    stalledMs: limits.stalledMs,
  }),
})

const turnAway = (exchange: Exchange): void =>
  refuse(exchange, 503, 'too many connections are open; try again in a moment', {
    ...comeBack,
    Connection: 'close',
  })

/** Two mirrored arguments are joined to one value here, and a gateway in between may have read the first alone. */
function twiceIn({ rawHeaders }: IncomingMessage): string | undefined {
  const seen = new Set<string>()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase()
    if (seen.has(name) && (onlyOnce.has(name) || name.startsWith('mcp-param-'))) return name
    seen.add(name)
  }
  return undefined
}

type Serving = {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly rules: Guard
  readonly options: ListenerOptions
}

async function serve(exchange: Exchange, { req, res, rules, options }: Serving): Promise<void> {
  try {
    if (options.probes?.(exchange) === true) return
    if (exchange.closing.aborted) return refuse(exchange, 503, stopping, comeBack)
    const twice = twiceIn(req)
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
    else if (isStoreDown(fault))
      refuse(exchange, 503, 'nothing can be recorded now; try again later', comeBack)
    else refuse(exchange, 500, 'something failed in the broker; try again, and tell the operator if it stays')
    options.onFault?.(fault)
  }
}

const stopping = 'the broker is stopping; another one may be there in a moment'

/** A full queue or disk: the caller may come back. */
const isStoreDown = (fault: unknown): boolean => fault instanceof Error && fault.name === 'StoreUnavailable'

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

const sweepMs = 50
/** For the last bytes of answers that took all of the grace. */
const flushMs = 500

type Closing = { readonly closing: AbortController; readonly under: Flight; readonly graceMs: number }

async function close(server: Server, { closing, under, graceMs }: Closing): Promise<void> {
  closing.abort(new Error('the broker is closing'))
  if (!server.listening) return
  const until = performance.now() + graceMs
  // As long as answers are under way it stays there, so that whoever comes is told to come back and not cut off.
  await under.landed(graceMs)
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const left = Math.max(flushMs, until - performance.now())
  const cut = setTimeout(() => server.closeAllConnections(), left)
  // A connection whose last answer was begun before the close is idle only after it.
  const sweep = setInterval(() => server.closeIdleConnections(), sweepMs)
  await closed
  clearInterval(sweep)
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
