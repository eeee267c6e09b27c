import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Era } from '../registry/tool.ts'
import type { JsonObject } from '../lib/json.ts'
import { stopped, notSent, unknown, type Ask, type Asked, type Channel, type Events, type Headers, type NotSent, type Reply, type Unknown } from './channel.ts' // prettier-ignore
import type { Destination } from './destination.ts'
import { exchange, type Agents, type Exchange, type Head, type Response, type Wanted } from './exchange.ts'
import { hearNotification, hearRequest } from './hear.ts'
import { mirrorHeaders } from './mirror.ts'
import { modernVersion, withToken } from './protocol.ts'
import { readMessage, writeMessage } from './rpc.ts'

export type HttpOptions = {
  readonly destination: Destination
  readonly agents: Agents
  readonly maxBytes: number
  readonly connectMs: number
  readonly events: Events
}

export type HttpChannel = Channel & {
  /** Which era is spoken from now on; `version` is the legacy header's, once negotiated. */
  speak(era: Era, version: string | null): void
}

/** Shorter than the five seconds after which many servers close an idle connection: what is sent into such a close
 * may or may not have arrived, and nothing is ever sent twice. */
const idleSocketMs = 4_000
const maxSockets = 128
const briefMs = 1_000

type Heed = Pick<Wanted, 'onHead' | 'onEvent'>

export function createAgents(): Agents & { destroy(): void } {
  const options = { keepAlive: true, timeout: idleSocketMs, maxSockets, maxFreeSockets: 16 }
  const http = new HttpAgent(options)
  const https = new HttpsAgent(options)
  return {
    http,
    https,
    destroy() {
      http.destroy()
      https.destroy()
    },
  }
}

/** MCP over streamable HTTP. Modern: nothing is kept between requests. Legacy: one session, ended by `close`. */
export function openHttp(options: HttpOptions): HttpChannel {
  const { events, maxBytes } = options
  const running = new Set<Asked>()
  let lastId = 0
  let session: string | null = null
  let era: Era = 'modern'
  let version: string | null = null
  let open = true

  const headersFor = (
    method: string,
    params: JsonObject,
    wanted: Pick<Ask, 'headers' | 'inputSchema'>,
  ): Headers => ({
    ...wanted.headers,
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
    ...(era === 'modern'
      ? { 'MCP-Protocol-Version': modernVersion, ...mirrorHeaders(method, params, wanted.inputSchema) }
      : version === null
        ? {}
        : { 'MCP-Protocol-Version': version }),
    ...(session === null ? {} : { 'Mcp-Session-Id': session }),
  })
  const send = (method: 'POST' | 'DELETE', body: string, headers: Headers, heed: Partial<Heed> = {}) =>
    exchange({ ...options, method, headers, body, onHead: () => {}, onEvent: () => true, ...heed })
  /** What nobody waits for an answer to; a server that never answers it does not hold us. */
  const brief = async (sending: Exchange): Promise<void> => {
    const timer = setTimeout(sending.abort, briefMs)
    await sending.end
    clearTimeout(timer)
  }
  const post = (line: string, headers: Headers) => brief(send('POST', line, headersFor('', {}, { headers })))

  const ask = (wanted: Ask): Asked => {
    if (!open) return { reply: Promise.resolve(notSent('unreachable', 'the session has ended')), stop() {} }
    const id = ++lastId
    const params = withToken(wanted.params, wanted.onProgress === undefined ? null : id)
    const { promise, resolve } = Promise.withResolvers<Reply>()
    const state = { settled: false }
    const settle = (reply: Reply) => {
      state.settled = true
      running.delete(asked)
      resolve(reply)
    }
    const receive = (data: Buffer): boolean => {
      if (data.length === 0 || state.settled) return state.settled
      const reply = take(data, { id, ask: wanted, post, options })
      if (reply !== null) settle(reply)
      return reply !== null
    }
    const onHead = ({ status, session: named }: Head) => {
      if (named !== null && wanted.method === 'initialize') session = named
      if (status === 404 && session !== null) open = false
    }
    const line = writeMessage({ id, method: wanted.method, params })
    const sending = send('POST', line, headersFor(wanted.method, params, wanted), {
      onEvent: receive,
      onHead,
    })
    const asked: Asked = {
      reply: promise,
      stop(problem) {
        if (state.settled) return
        const sent = sending.abort()
        settle(stopped(sent, problem))
        // A legacy server takes a closed stream for a broken one, and goes on.
        if (sent && era === 'legacy')
          void tell('notifications/cancelled', { requestId: id, reason: problem }, wanted.headers)
      },
    }
    running.add(asked)
    void sending.end.then((end) => {
      if (state.settled) return
      if (end.kind !== 'response') return settle(end)
      if (!open) return settle(notSent('unreachable', 'the server has ended the session; call again'))
      settle(readResponse(end, { id, maxBytes, events }))
    })
    return asked
  }
  const tell = (method: string, params: JsonObject, headers: Headers) =>
    brief(send('POST', writeMessage({ method, params }), headersFor(method, params, { headers })))
  return {
    ask,
    tell,
    alive: () => open,
    speak(spoken, negotiated) {
      era = spoken
      version = negotiated
    },
    async close() {
      if (!open) return
      open = false
      for (const asked of [...running]) asked.stop('cancelled')
      if (session === null) return
      const headers = {
        'Mcp-Session-Id': session,
        ...(version === null ? {} : { 'MCP-Protocol-Version': version }),
      }
      await brief(send('DELETE', '', headers))
    },
  }
}

type Context = {
  readonly id: number
  readonly ask: Ask
  readonly post: (line: string, headers: Headers) => Promise<void>
  readonly options: HttpOptions
}

/** One event of the stream that answers `ask`. `null`: not the answer. */
function take(data: Buffer, { id, ask, post, options }: Context): Reply | null {
  const { events, maxBytes } = options
  const message = readMessage(data, maxBytes)
  switch (message.kind) {
    case 'bad':
      return unknown('bad-answer', `the server's answer cannot be read: ${message.problem}`)
    case 'result':
      if (message.id === id) return message
      events.onDropped('unknown-answer')
      return null
    case 'error':
      if (message.id === id) return message
      events.onDropped('unknown-answer')
      return null
    case 'notification':
      hearNotification(message, { events, find: (token) => (token === id ? ask : undefined) })
      return null
    case 'request':
      hearRequest(message, {
        events,
        candidates: [ask],
        // What is refused at once needs the credential of this very call.
        reply: (line, headers) => void post(line, { ...ask.headers, ...headers }),
      })
      return null
  }
}

/** Statuses by which a server says that it has not begun (RFC 9110 section 15.5). Not 408 and 409: there it may have. */
const beforeProcessing: ReadonlySet<number> = new Set([
  400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 421, 429, 431,
])

function readResponse(
  response: Response,
  { id, maxBytes, events }: { readonly id: number; readonly maxBytes: number; readonly events: Events },
): Reply {
  const { status, body } = response
  if (body === null) return unknown('disconnected', 'the stream ended without an answer')
  const message = body.length === 0 ? null : readMessage(body, maxBytes)
  // An error that could not be tied to a request (unreadable id, refused header) comes with `null` as its id.
  if (message?.kind === 'error' && (message.id === id || (message.id === null && status >= 400)))
    return message
  if (status >= 300) return refusedStatus(status)
  if (message?.kind === 'result' && message.id === id) return message
  if (message?.kind === 'result' || message?.kind === 'error') events.onDropped('unknown-answer')
  const why = message?.kind === 'bad' ? message.problem : 'expected the answer to the request'
  return unknown('bad-answer', `the server's answer cannot be read: ${why}`)
}

function refusedStatus(status: number): NotSent | Unknown {
  if (status === 307 || status === 308 || status === 301 || status === 302)
    return notSent(
      'bad-configuration',
      `the server redirects (HTTP ${status}); configure the address it should be`,
    )
  if (beforeProcessing.has(status))
    return notSent('unreachable', `the server refused the request (HTTP ${status})`)
  return unknown('bad-answer', `the server answered with HTTP ${status}`)
}
