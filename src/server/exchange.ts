import {
  request as httpRequest,
  type Agent as HttpAgent,
  type ClientRequest,
  type IncomingMessage,
} from 'node:http'
import { request as httpsRequest, type Agent as HttpsAgent } from 'node:https'
import { blockedCode, type Destination } from './destination.ts'
import { notSent, unknown, type Headers, type NotSent, type Unknown } from './channel.ts'
import { gather } from '../lib/gather.ts'
import { readEvents } from './sse.ts'

export type Agents = { readonly http: HttpAgent; readonly https: HttpsAgent }

export type Wanted = {
  readonly destination: Destination
  readonly agents: Agents
  readonly method: 'POST' | 'GET' | 'DELETE'
  readonly headers: Headers
  readonly body: string
  readonly maxBytes: number
  readonly connectMs: number
  /** As soon as the head of the answer is there. */
  readonly onHead: (head: Head) => void
  /** An event of an event stream. `true`: enough, the rest is not wanted. */
  readonly onEvent: (data: Buffer) => boolean
  /** Of an event stream: the last id, and how long to wait before it is taken up again there. */
  readonly onId?: (id: string) => void
  readonly onRetry?: (ms: number) => void
  /** A stream without an end: each event is bounded, not the whole, and it takes no call's place among the connections. */
  readonly standing?: boolean
}

/** `session` is the legacy session that the server names. */
export type Head = { readonly status: number; readonly session: string | null }

/** `body` is null for an event stream: its events have been handed on. */
export type Response = { readonly kind: 'response'; readonly status: number; readonly body: Buffer | null }

export type Exchange = {
  /** Always resolves. A broken exchange is `not-sent` only where no byte can have left. */
  readonly end: Promise<Response | NotSent | Unknown>
  /** Closes the connection: in the modern revision that is how a call is cancelled. Says whether bytes had left. */
  readonly abort: () => boolean
}

/** One HTTP exchange: at most one request, no redirect followed, nothing tried again, everything bounded. */
export function exchange(wanted: Wanted): Exchange {
  const { destination, agents } = wanted
  const { promise, resolve } = Promise.withResolvers<Response | NotSent | Unknown>()
  const secure = destination.url.protocol === 'https:'
  const length = wanted.method === 'GET' ? {} : { 'Content-Length': String(Buffer.byteLength(wanted.body)) }
  const options = {
    ...destination.target,
    method: wanted.method,
    lookup: destination.lookup,
    headers: { ...wanted.headers, ...length },
    agent: wanted.standing ? false : secure ? agents.https : agents.http,
  }
  let request: ClientRequest
  try {
    request = secure ? httpsRequest(options) : httpRequest(options)
  } catch {
    // Node's own reason may hold the value, and the value may be lent.
    const problem = notSent('bad-configuration', 'a header has characters that HTTP does not allow')
    return { end: Promise.resolve(problem), abort: () => false }
  }
  const watch = watchSending(request, { secure, connectMs: wanted.connectMs })
  request.once('error', (error: NodeJS.ErrnoException) => resolve(failure(error, watch.sent())))
  request.once('response', (response) => receive(response, wanted, resolve))
  request.end(wanted.body)
  return {
    end: promise,
    abort() {
      const sent = watch.sent()
      request.destroy()
      return sent
    },
  }
}

/** When the connection stands, bytes may have left: from then on a failure proves nothing. */
function watchSending(
  request: ClientRequest,
  { secure, connectMs }: { readonly secure: boolean; readonly connectMs: number },
): { sent(): boolean } {
  let sent = false
  request.once('socket', (socket) => {
    if (!socket.connecting && request.reusedSocket) {
      sent = true
      return
    }
    const timer = setTimeout(() => socket.destroy(connectTimeout()), connectMs)
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer)
      sent = true
    })
    socket.once('close', () => clearTimeout(timer))
  })
  return { sent: () => sent }
}

const connectTimeout = () =>
  Object.assign(new Error('no connection within the time limit'), { code: 'ETIMEDOUT' })

const failure = (error: NodeJS.ErrnoException, sent: boolean): NotSent | Unknown => {
  const code = error.code ?? 'unknown error'
  if (code === blockedCode) return notSent('bad-configuration', error.message)
  return sent
    ? unknown('disconnected', `the connection broke before the answer was complete (${code})`)
    : notSent('unreachable', `the server cannot be reached (${code})`)
}

function receive(
  response: IncomingMessage,
  wanted: Wanted,
  resolve: (end: Response | Unknown) => void,
): void {
  const status = response.statusCode ?? 0
  const session = response.headers['mcp-session-id']
  const head = { kind: 'response' as const, status }
  // Visible ASCII only (MCP 2025-11-25, session management); anything else would not fit into our own header.
  const named = typeof session === 'string' && /^[\x21-\x7e]{1,512}$/.test(session)
  wanted.onHead({ status, session: named ? session : null })
  const tooLarge = () => {
    resolve(unknown('too-large', `the server's answer is larger than ${wanted.maxBytes} bytes`))
    response.destroy()
  }
  response.once('error', () =>
    resolve(unknown('disconnected', 'the connection broke before the answer was complete')),
  )
  response.once('close', () => {
    if (!response.complete)
      resolve(unknown('disconnected', 'the connection was closed before the answer was complete'))
  })
  if (Number(response.headers['content-length'] ?? 0) > wanted.maxBytes) return tooLarge()
  const type = (response.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  const stream = status === 200 && type === 'text/event-stream'
  if (stream) return follow(response, wanted, { tooLarge, resolve: () => resolve({ ...head, body: null }) })
  const body = gather(wanted.maxBytes)
  response.on('data', (chunk: Buffer) => {
    if (!body.add(chunk)) tooLarge()
  })
  response.once('end', () => resolve({ ...head, body: body.take() }))
}

/** An answer of events, until one of them is enough. */
function follow(
  response: IncomingMessage,
  wanted: Wanted,
  { tooLarge, resolve }: { readonly tooLarge: () => void; readonly resolve: () => void },
): void {
  const { onId, onRetry, standing = false } = wanted
  let size = 0
  let done = false
  const events = readEvents(wanted.maxBytes, {
    ...(onId === undefined ? {} : { onId }),
    ...(onRetry === undefined ? {} : { onRetry }),
    onData: (data) => {
      if (done || !wanted.onEvent(data)) return
      done = true
      resolve()
      response.destroy()
    },
  })
  response.on('data', (chunk: Buffer) => {
    if (done) return
    size += chunk.length
    // The stream that answers a call is bounded as a whole, not event by event.
    if ((size > wanted.maxBytes && !standing) || !events.push(chunk)) tooLarge()
  })
  response.once('end', resolve)
}
