import type { IncomingMessage, ServerResponse } from 'node:http'
import { gather } from '../lib/gather.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Shares, Taken } from './shares.ts'
import type { Unread } from './unread.ts'

/** One request and its answer, as routes see them. Everything about sockets stays behind it. */
export type Exchange = {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** Address of the peer, for counting; never an identity. */
  readonly remote: string
  /** Null when absent. Names in lower case. A header that may come once came once: duplicates were refused. */
  readonly header: (name: string) => string | null
  /**
   * Its sender has proven to be `who`. Before that it is a stranger, of whom little is read and whose connection makes
   * room for others: call it as soon as it is known, and before the body.
   */
  known(who: string): void
  /** Reads the whole body once. `type` is the media type that the route takes. */
  body(type: string): Promise<Body>
  /** Aborts when the caller has gone before its answer was complete. */
  readonly gone: AbortSignal
  /** Aborts when the listener closes: what merely waits should end now; what works has a moment left. */
  readonly closing: AbortSignal
  /** Ends the exchange. A null body sends none. */
  answer(status: number, body: JsonObject | null, headers?: Headers): void
  /** Ends the exchange with bytes that are not JSON. */
  bytes(status: number, body: Uint8Array | string, headers: Headers): void
  /** Starts a stream of server-sent events. */
  stream(headers?: Headers): EventStream
  readonly started: boolean
}

export type Headers = { readonly [name: string]: string }

export type Body =
  | { readonly ok: true; readonly bytes: Uint8Array }
  /** `headers` belong to the answer: when to come back, where that helps. */
  | {
      readonly ok: false
      readonly status: 400 | 413 | 415 | 429 | 503
      readonly problem: string
      readonly headers: Headers
    }

/** Server-sent events (WHATWG HTML 9.2), one JSON value each. Kept alive by comments. */
export type EventStream = {
  /** `id`: where a client that lost the stream can go on. */
  send(message: JsonObject, id?: string): void
  /** Tells an id and how long to wait before going on there, and nothing else. Milliseconds. */
  prime(id: string, retryMs: number): void
  comment(text: string): void
  end(): void
  readonly open: boolean
}

/** Sent with every answer: nothing of it may be cached, sniffed or framed. */
const always: Headers = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
}

/** A reader this far behind has stopped reading: a bounded buffer is worth more than its stream. */
const unreadBytes = 16 * 1024 * 1024

/** What is sent with 429 and 503: the caller may come back, and when. Seconds (RFC 9110 section 10.2.3). */
export const comeBack: Headers = { 'Retry-After': '1' }

export type ExchangeSettings = {
  readonly bodyBytes: number
  /** Largest body of somebody who has proven nothing. */
  readonly strangerBodyBytes: number
  readonly keepAliveMs: number
  readonly stalledMs: number
  readonly closing: AbortSignal
  /** What bodies of all requests together may hold, and those of strangers. */
  readonly bodies: Shares
  readonly strangers: Shares
  readonly unread: Unread
  readonly onKnown: () => void
}

/** Wraps one request of `node:http`. `end` is to be called when nothing works on it any more. */
export function createExchange(
  req: IncomingMessage,
  res: ServerResponse,
  settings: ExchangeSettings,
): { readonly exchange: Exchange; end(): void } {
  const url = targetOf(req.url ?? '/')
  const caller = new AbortController()
  const sender: Sender = { who: null, held: null }
  res.once('close', () => {
    if (!res.writableFinished) caller.abort(new Error('the caller has gone'))
  })
  const exchange: Exchange = {
    method: req.method ?? 'GET',
    path: url.pathname,
    get query() {
      return url.searchParams
    },
    remote: req.socket.remoteAddress ?? '',
    header: (name) => single(req.headers[name]),
    known: (who) => {
      sender.who = who
      settings.onKnown()
    },
    body: (type) => readBody(req, type, { settings, sender }),
    gone: caller.signal,
    closing: settings.closing,
    answer: (status, body, headers = {}) => {
      const text = body === null ? '' : JSON.stringify(body)
      exchange.bytes(status, text, {
        ...(body === null ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      })
    },
    bytes: (status, body, headers) => {
      // Whoever would send more on this connection goes elsewhere.
      const last = settings.closing.aborted ? { Connection: 'close' } : {}
      send(res, { status, body, headers: { ...headers, ...last } })
      settings.unread.wrote(res, sender.who)
    },
    stream: (headers = {}) => startStream(res, headers, { settings, sender }),
    get started() {
      return res.headersSent
    },
  }
  return { exchange, end: () => sender.held?.release() }
}

/** Who sends, as far as that is proven, and what of the shared memory its body holds. */
type Sender = { who: string | null; held: Taken | null }
type Serving = { readonly settings: ExchangeSettings; readonly sender: Sender }

/**
 * The request target (RFC 9112 section 3.2): a path, or a whole URL as proxies send it. Never throws: this runs before
 * any check, in a callback of `node:http`, where a throw ends the broker; a page's `<img>` could send `//`.
 */
function targetOf(target: string): Pick<URL, 'pathname' | 'searchParams'> {
  if (plainPath.test(target))
    return {
      pathname: target,
      get searchParams() {
        return new URLSearchParams()
      },
    }
  const url = target.startsWith('/') ? `http://invalid${target}` : target
  return URL.parse(url) ?? new URL('http://invalid/')
}

/** Paths that stay as they are in a URL: no dot segments, no escapes, no query. All of ours are such. */
const plainPath = /^(?:\/[A-Za-z0-9_-]+)+$/

const single = (value: string | string[] | undefined): string | null =>
  value === undefined ? null : typeof value === 'string' ? value : value.join(', ')

function send(
  res: ServerResponse,
  answer: { readonly status: number; readonly body: string | Uint8Array; readonly headers: Headers },
): void {
  if (res.headersSent || res.destroyed) return
  const length = { 'Content-Length': Buffer.byteLength(answer.body) }
  res.writeHead(answer.status, { ...always, ...answer.headers, ...length })
  res.end(answer.body)
}

/** RFC 9110 section 8.3: the essence of a media type, without its parameters. */
const essence = (value: string): string => (value.split(';', 1)[0] ?? '').trim().toLowerCase()

type BadBody = Extract<Body, { readonly ok: false }>
const bad = (status: BadBody['status'], problem: string, headers: Headers = {}): BadBody => ({
  ok: false,
  status,
  problem,
  headers,
})

async function readBody(req: IncomingMessage, type: string, { settings, sender }: Serving): Promise<Body> {
  const given = single(req.headers['content-type'])
  if (given === null || essence(given) !== type)
    return bad(415, `expected \`Content-Type: ${type}\`, found \`${(given ?? 'none').slice(0, 80)}\``)
  if (single(req.headers['content-encoding']) !== null)
    return bad(415, 'expected a body without `Content-Encoding`; send it plain')
  const { who } = sender
  const limit = who === null ? Math.min(settings.strangerBodyBytes, settings.bodyBytes) : settings.bodyBytes
  const tooLarge = bad(413, `expected a body of at most ${limit} bytes; send less at once`)
  if (Number(req.headers['content-length'] ?? 0) > limit) {
    drain(req)
    return tooLarge
  }
  const taken = who === null ? settings.strangers.take('', 0) : settings.bodies.take(who, 0)
  if (typeof taken === 'string') return noRoom
  sender.held = taken
  const read = await collect(req, limit, taken)
  switch (read) {
    case 'too large':
      return tooLarge
    case 'no room':
      return noRoom
    case 'broken':
      return bad(400, 'the body broke off; send it whole')
    default:
      return { ok: true, bytes: read }
  }
}

const noRoom = bad(503, 'too many requests are being read at once; try again in a moment', comeBack)

/** How long the rest of a body that is not wanted is read and thrown away, so that the answer can reach its sender. */
const drainMs = 2_000

function drain(req: IncomingMessage): void {
  req.resume()
  setTimeout(() => req.destroy(), drainMs).unref()
}

/** Not by async iteration: leaving that early cuts the connection, and nobody would learn why. */
function collect(
  req: IncomingMessage,
  limit: number,
  taken: Taken,
): Promise<Uint8Array | 'too large' | 'no room' | 'broken'> {
  return new Promise((resolve) => {
    const body = gather(limit)
    const done = (read: Uint8Array | 'too large' | 'no room' | 'broken') => {
      req.off('data', take)
      resolve(read)
    }
    const take = (chunk: Buffer) => {
      if (!taken.more(chunk.length)) done('no room')
      else if (!body.add(chunk)) done('too large')
      else return
      taken.release()
      drain(req)
    }
    req.on('data', take)
    req.once('end', () => done(body.take()))
    req.once('close', () => done('broken'))
    req.once('error', () => done('broken'))
  })
}

/** A stream stands still between two messages: several times as long as an answer that was sent whole. */
const streamPatience = 4

function startStream(res: ServerResponse, headers: Headers, { settings, sender }: Serving): EventStream {
  res.writeHead(200, {
    ...always,
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-cache, no-transform',
    'X-Accel-Buffering': 'no',
    ...headers,
  })
  res.flushHeaders()
  const isOpen = () => !res.writableEnded && !res.destroyed
  let unreadSince: number | null = null
  const write = (frame: string) => {
    if (!isOpen()) return
    if (res.writableLength === 0) unreadSince = null
    const isStalled =
      unreadSince !== null && performance.now() - unreadSince > settings.stalledMs * streamPatience
    if (isStalled || res.writableLength + frame.length > unreadBytes) return void res.destroy()
    res.write(frame)
    if (res.writableLength > 0) unreadSince ??= performance.now()
    settings.unread.wrote(res, sender.who)
  }
  const timer = setInterval(() => write(': keep-alive\n\n'), settings.keepAliveMs)
  timer.unref()
  res.once('close', () => clearInterval(timer))
  return {
    send: (message, id) =>
      write(`${id === undefined ? '' : `id: ${id}\n`}event: message\ndata: ${JSON.stringify(message)}\n\n`),
    prime: (id, retryMs) => write(`id: ${id}\nretry: ${retryMs}\ndata: \n\n`),
    comment: (text) => write(`: ${text.replaceAll(/[\r\n]/g, ' ')}\n\n`),
    end: () => {
      clearInterval(timer)
      if (!isOpen()) return
      res.end()
      settings.unread.wrote(res, sender.who)
    },
    get open() {
      return isOpen()
    },
  }
}
