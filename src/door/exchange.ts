import type { IncomingMessage, ServerResponse } from 'node:http'
import type { JsonObject } from '../lib/json.ts'

/** One request and its answer, as routes see them. Everything about sockets stays behind it. */
export type Exchange = {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** Address of the peer, for counting; never an identity. */
  readonly remote: string
  /** Null when absent. Names in lower case. A header that may come once came once: duplicates were refused. */
  readonly header: (name: string) => string | null
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
  | { readonly ok: false; readonly status: 400 | 413 | 415; readonly problem: string }

/** Server-sent events (WHATWG HTML 9.2), one JSON value each. Kept alive by comments. */
export type EventStream = {
  send(message: JsonObject): void
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

export type ExchangeSettings = {
  readonly bodyBytes: number
  readonly keepAliveMs: number
  readonly closing: AbortSignal
}

/** Wraps one request of `node:http`. */
export function createExchange(
  req: IncomingMessage,
  res: ServerResponse,
  settings: ExchangeSettings,
): Exchange {
  const url = targetOf(req.url ?? '/')
  const caller = new AbortController()
  res.once('close', () => {
    if (!res.writableFinished) caller.abort(new Error('the caller has gone'))
  })
  return {
    method: req.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    remote: req.socket.remoteAddress ?? '',
    header: (name) => single(req.headers[name]),
    body: (type) => readBody(req, type, settings.bodyBytes),
    gone: caller.signal,
    closing: settings.closing,
    answer: (status, body, headers = {}) => {
      const text = body === null ? '' : JSON.stringify(body)
      send(res, {
        status,
        body: text,
        headers: { ...(body === null ? {} : { 'Content-Type': 'application/json' }), ...headers },
      })
    },
    bytes: (status, body, headers) => send(res, { status, body, headers }),
    stream: (headers = {}) => startStream(res, headers, settings),
    get started() {
      return res.headersSent
    },
  }
}

/**
 * The request target (RFC 9112 section 3.2): a path, or a whole URL as proxies send it. Never throws: this runs before
 * any check, in a callback of `node:http`, where a throw ends the broker; a page's `<img>` could send `//`.
 */
function targetOf(target: string): URL {
  const url = target.startsWith('/') ? `http://invalid${target}` : target
  return URL.parse(url) ?? new URL('http://invalid/')
}

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

async function readBody(req: IncomingMessage, type: string, limit: number): Promise<Body> {
  const given = single(req.headers['content-type'])
  if (given === null || essence(given) !== type) {
    return {
      ok: false,
      status: 415,
      problem: `expected \`Content-Type: ${type}\`, found \`${(given ?? 'none').slice(0, 80)}\``,
    }
  }
  if (single(req.headers['content-encoding']) !== null) {
    return { ok: false, status: 415, problem: 'expected a body without `Content-Encoding`; send it plain' }
  }
  const tooLarge = {
    ok: false,
    status: 413,
    problem: `expected a body of at most ${limit} bytes; send less at once`,
  } as const
  if (Number(req.headers['content-length'] ?? 0) > limit) {
    setTimeout(() => req.destroy(), drainMs).unref()
    return tooLarge
  }
  const read = await collect(req, limit)
  switch (read) {
    case 'too large':
      return tooLarge
    case 'broken':
      return { ok: false, status: 400, problem: 'the body broke off; send it whole' }
    default:
      return { ok: true, bytes: read }
  }
}

/** How long the rest of a body that is too large is read and thrown away, so that the answer can reach its sender. */
const drainMs = 2_000

/** Not by async iteration: leaving that early cuts the connection, and nobody would learn why. */
function collect(req: IncomingMessage, limit: number): Promise<Uint8Array | 'too large' | 'broken'> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    const done = (read: Uint8Array | 'too large' | 'broken') => {
      req.off('data', take)
      resolve(read)
    }
    const take = (chunk: Buffer) => {
      size += chunk.length
      if (size <= limit) return void chunks.push(chunk)
      done('too large')
      req.resume()
      setTimeout(() => req.destroy(), drainMs).unref()
    }
    req.on('data', take)
    req.once('end', () => done(Buffer.concat(chunks)))
    req.once('close', () => done('broken'))
    req.once('error', () => done('broken'))
  })
}

function startStream(res: ServerResponse, headers: Headers, settings: ExchangeSettings): EventStream {
  res.writeHead(200, {
    ...always,
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-cache, no-transform',
    'X-Accel-Buffering': 'no',
    ...headers,
  })
  res.flushHeaders()
  const isOpen = () => !res.writableEnded && !res.destroyed
  const write = (frame: string) => {
    if (!isOpen()) return
    if (res.writableLength + frame.length > unreadBytes) res.destroy()
    else res.write(frame)
  }
  const timer = setInterval(() => write(': keep-alive\n\n'), settings.keepAliveMs)
  timer.unref()
  res.once('close', () => clearInterval(timer))
  return {
    send: (message) => write(`event: message\ndata: ${JSON.stringify(message)}\n\n`),
    comment: (text) => write(`: ${text.replaceAll(/[\r\n]/g, ' ')}\n\n`),
    end: () => {
      clearInterval(timer)
      if (isOpen()) res.end()
    },
    get open() {
      return isOpen()
    },
  }
}
