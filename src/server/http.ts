import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Era } from '../registry/tool.ts'
import type { JsonObject } from '../lib/json.ts'
import { stopped, notSent, unknown, type Ask, type Asked, type Channel, type Events, type Headers, type NotSent, type Reply, type Unknown } from './channel.ts' // prettier-ignore
import type { Destination } from './destination.ts'
import { exchange, type Agents, type Exchange, type Response } from './exchange.ts'
import { hearNotification, hearRequest } from './hear.ts'
import { createMirrors, mirrorHeaders } from './mirror.ts'
import { modernVersion, traceHeaders, withToken } from './protocol.ts'
import { readMessage, writeMessage } from './rpc.ts'
import { leaveTrail, type Marks, type Trail } from './trail.ts'

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
  /** Opens the stream of a legacy session that belongs to no request, for as long as the session lives. */
  stand(): Promise<void>
}

/** Shorter than the five seconds after which many servers close an idle connection: what is sent into such a close
 * may or may not have arrived, and nothing is ever sent twice. */
const idleSocketMs = 4_000
const maxSockets = 128
const briefMs = 1_000
const firstPauseMs = 500
const longestPauseMs = 60_000

export function createAgents(): Agents & { destroy(): void } {
  const options = { keepAlive: true, timeout: idleSocketMs, maxSockets, maxFreeSockets: maxSockets }
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
export const openHttp = (options: HttpOptions): HttpChannel => new Address(options)

class Address implements HttpChannel {
  readonly #options: HttpOptions
  readonly #running = new Map<Asked, Ask>()
  readonly #mirrors = createMirrors()
  readonly #end = Promise.withResolvers<void>()
  readonly ended = this.#end.promise
  #lastId = 0
  #session: string | null = null
  #era: Era = 'modern'
  #version: string | null = null
  #open = true
  #standing: Exchange | null = null

  constructor(options: HttpOptions) {
    this.#options = options
  }

  alive(): boolean {
    return this.#open
  }

  speak(era: Era, version: string | null): void {
    this.#era = era
    this.#version = version
  }

  ask(wanted: Ask): Asked {
    if (!this.#open) return { reply: Promise.resolve(notSent('unreachable', ended)), stop() {} }
    const id = ++this.#lastId
    const { promise, resolve } = Promise.withResolvers<Reply>()
    let settled = false
    const settle = (reply: Reply) => {
      settled = true
      this.#running.delete(asked)
      resolve(reply)
    }
    const onEvent = (data: Buffer): boolean => {
      const reply = data.length === 0 || settled ? null : this.#read(data, id, wanted)
      if (reply !== null) settle(reply)
      return settled
    }
    const trail = leaveTrail()
    const sending = { now: this.#request(id, wanted, { ...trail.marks, onEvent }) }
    const asked: Asked = {
      reply: promise,
      stop: (problem) => {
        if (settled) return
        const sent = sending.now.abort() || trail.taken()
        settle(stopped(sent, problem))
        // A legacy server takes a closed stream for a broken one, and goes on.
        if (!sent || this.#era !== 'legacy') return
        void this.tell('notifications/cancelled', { requestId: id, reason: problem }, wanted.headers)
      },
    }
    this.#running.set(asked, wanted)
    const finish = async (): Promise<void> => {
      const end = await this.#upToAnswer(sending, {
        trail,
        over: () => settled,
        follow: (lastId) => this.#follow(wanted.headers, { ...trail.marks, onEvent, lastId }),
      })
      if (settled) return
      // Whatever became of what was asked for afterwards, the request itself was sent.
      if (trail.taken()) settle(end.kind === 'unknown' ? end : lost)
      else if (end.kind !== 'response') settle(end)
      else if (end.status !== 404 || this.#open)
        settle(readResponse(end, { id, method: wanted.method }, this.#options))
      // It says so of the session; a call may have ended with it, and what may have acted is not called unsent.
      else settle(acts(wanted.method) ? endedMeanwhile : notSent('unreachable', `${ended}; call again`))
    }
    void finish()
    return asked
  }

  /** MCP 2025-11-25, resumability: the request is not sent again, only what answers it is asked for. */
  async #upToAnswer(
    sending: { now: Exchange },
    { trail, over, follow }: Following,
  ): Promise<Awaited<Exchange['end']>> {
    for (;;) {
      const end = await sending.now.end
      const goesOn = () => !over() && this.#open && this.#era === 'legacy'
      if (!goesOn() || !isBroken(end) || !trail.leads()) return end
      await trail.wait()
      if (!goesOn()) return end
      sending.now = follow(trail.take())
    }
  }

  tell(method: string, params: JsonObject, headers: Headers): Promise<void> {
    return this.#brief('POST', writeMessage({ method, params }), this.#headers(method, params, { headers }))
  }

  /**
   * The stream of a legacy session on which a server tells what belongs to no request (MCP 2025-11-25, listening for
   * messages). Only a help, as `watchLists` is: a server that has none answers 405, and nothing is missed but time.
   */
  async stand(): Promise<void> {
    const trail = leaveTrail()
    const onEvent = (data: Buffer): boolean => {
      if (data.length > 0) this.#hear(data)
      return !this.#open
    }
    for (let pause = firstPauseMs; this.#open; pause = Math.min(longestPauseMs, pause * 2)) {
      const since = performance.now()
      this.#standing = this.#follow({}, { ...trail.marks, onEvent, lastId: trail.last(), standing: true })
      const end = await this.#standing.end
      if (end.kind === 'response' && (end.status !== 200 || end.body !== null)) return
      if (performance.now() - since > longestPauseMs) pause = firstPauseMs
      await sleep(pause, undefined, { ref: false })
    }
  }

  async close(): Promise<void> {
    if (!this.#open) return
    this.#shut()
    for (const asked of this.#running.keys()) asked.stop('cancelled')
    if (this.#session !== null) await this.#brief('DELETE', '', this.#legacyHeaders())
  }

  #shut(): void {
    this.#open = false
    this.#standing?.abort()
    this.#end.resolve()
  }

  #request(id: number, wanted: Ask, marks: Marks): Exchange {
    const params = withToken(wanted.params, wanted.onProgress === undefined ? null : id)
    return exchange({
      ...this.#options,
      ...marks,
      method: 'POST',
      headers: this.#headers(wanted.method, params, wanted),
      body: writeMessage({ id, method: wanted.method, params }),
      standing: wanted.method === 'subscriptions/listen',
      onHead: ({ status, session }) => {
        if (session !== null && wanted.method === 'initialize') this.#session = session
        if (status === 404 && this.#session !== null) this.#shut()
      },
    })
  }

  /** Takes up a stream of the session behind the event with that id; without one, the stream that belongs to no request. */
  #follow(
    headers: Headers,
    { lastId, ...marks }: Marks & { readonly lastId: string | null; readonly standing?: boolean },
  ): Exchange {
    return exchange({
      ...this.#options,
      ...marks,
      method: 'GET',
      headers: {
        ...headers,
        Accept: 'text/event-stream',
        ...this.#legacyHeaders(),
        ...(lastId === null ? {} : { 'Last-Event-ID': lastId }),
      },
      body: '',
      onHead: ({ status }) => {
        if (status === 404 && this.#session !== null) this.#shut()
      },
    })
  }

  /** One event of the stream that answers a request. `null`: not the answer. */
  #read(data: Buffer, id: number, wanted: Ask): Reply | null {
    const { events, maxBytes } = this.#options
    const message = readMessage(data, maxBytes)
    switch (message.kind) {
      case 'bad':
        return unknown('bad-answer', `the server's answer cannot be read: ${message.problem}`)
      case 'result':
      case 'error':
        if (message.id === id) return message
        events.onDropped('unknown-answer')
        return null
      case 'notification':
        hearNotification(message, {
          events,
          find: (token) => (token === id ? wanted : undefined),
          candidates: [wanted],
        })
        return null
      case 'request':
        hearRequest(message, {
          events,
          candidates: [wanted],
          // What is refused at once needs the credential of this very call.
          reply: (line, headers) => this.#respond(line, { ...wanted.headers, ...headers }),
        })
        return null
    }
  }

  /** One event of the stream that belongs to no request: whose it is can be told only while one call is under way. */
  #hear(data: Buffer): void {
    const { events, maxBytes } = this.#options
    const message = readMessage(data, maxBytes)
    const candidates = [...this.#running.values()]
    if (message.kind === 'notification')
      hearNotification(message, { events, find: () => undefined, candidates })
    else if (message.kind === 'request')
      hearRequest(message, { events, candidates, reply: (line) => this.#respond(line, {}) })
    else events.onDropped(message.kind === 'bad' ? 'garbage' : 'unknown-answer')
  }

  #respond(line: string, headers: Headers): void {
    void this.#brief('POST', line, this.#headers('', {}, { headers }))
  }

  #headers(method: string, params: JsonObject, wanted: Pick<Ask, 'headers' | 'inputSchema'>): Headers {
    return {
      ...wanted.headers,
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      ...traceHeaders(params),
      ...(this.#era === 'modern'
        ? {
            'MCP-Protocol-Version': modernVersion,
            ...mirrorHeaders(method, params, { schema: wanted.inputSchema, mirrors: this.#mirrors }),
          }
        : this.#legacyHeaders()),
    }
  }

  #legacyHeaders(): Headers {
    return {
      ...(this.#version === null ? {} : { 'MCP-Protocol-Version': this.#version }),
      ...(this.#session === null ? {} : { 'Mcp-Session-Id': this.#session }),
    }
  }

  /** What nobody waits for an answer to; a server that never answers it does not hold us. */
  async #brief(method: 'POST' | 'DELETE', body: string, headers: Headers): Promise<void> {
    const sending = exchange({
      ...this.#options,
      method,
      headers,
      body,
      onHead: () => {},
      onEvent: () => true,
    })
    const timer = setTimeout(sending.abort, briefMs)
    await sending.end
    clearTimeout(timer)
  }
}

type Following = {
  readonly trail: Trail
  readonly over: () => boolean
  readonly follow: (lastId: string | null) => Exchange
}

/** The stream ended, in whatever way, before the answer was there. */
const isBroken = (end: Response | NotSent | Unknown): boolean =>
  end.kind === 'response'
    ? end.status === 200 && end.body === null
    : end.kind === 'unknown' && end.problem === 'disconnected'

/** All else reads: whether that was done twice is nobody's harm, and a server is asked by it which era it speaks. */
const acts = (method: string): boolean => method === 'tools/call'

const ended = 'the server has ended the session'
const endedMeanwhile = unknown('disconnected', `${ended}, and did not say what became of the call`)
const lost = unknown('disconnected', 'the stream broke, and could not be taken up again')

/** Statuses by which a server says that it has not begun (RFC 9110 section 15.5). Not 408 and 409: there it may have. */
const beforeProcessing: ReadonlySet<number> = new Set([
  400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 421, 429, 431,
])

function readResponse(
  response: Response,
  { id, method }: { readonly id: number; readonly method: string },
  { maxBytes, events }: HttpOptions,
): Reply {
  const { status, body } = response
  if (body === null) return unknown('disconnected', 'the stream ended without an answer')
  const message = body.length === 0 ? null : readMessage(body, maxBytes)
  // An error that could not be tied to a request (unreadable id, refused header) comes with `null` as its id.
  if (message?.kind === 'error' && (message.id === id || (message.id === null && status >= 400)))
    return message
  // Whoever answers in JSON-RPC has read the request, and may have acted on it, whatever the status claims.
  const answers = message?.kind === 'result' || message?.kind === 'error'
  if (status >= 300) return answers && acts(method) ? strange(status) : refusedStatus(status)
  if (message?.kind === 'result' && message.id === id) return message
  if (answers) events.onDropped('unknown-answer')
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
  return strange(status)
}

const strange = (status: number): Unknown => unknown('bad-answer', `the server answered with HTTP ${status}`)
