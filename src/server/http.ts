import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Era } from '../registry/tool.ts'
import type { JsonObject } from '../lib/json.ts'
import { stopped, notSent, unknown, type Ask, type Asked, type Channel, type Events, type Headers, type NotSent, type Reply, type Unknown } from './channel.ts' // prettier-ignore
import type { Destination } from './destination.ts'
import { exchange, type Agents, type Exchange, type Response } from './exchange.ts'
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
export const openHttp = (options: HttpOptions): HttpChannel => new Address(options)

class Address implements HttpChannel {
  readonly #options: HttpOptions
  readonly #running = new Set<Asked>()
  #lastId = 0
  #session: string | null = null
  #era: Era = 'modern'
  #version: string | null = null
  #open = true

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
    const sending = this.#request(id, wanted, onEvent)
    const asked: Asked = {
      reply: promise,
      stop: (problem) => {
        if (settled) return
        const sent = sending.abort()
        settle(stopped(sent, problem))
        // A legacy server takes a closed stream for a broken one, and goes on.
        if (!sent || this.#era !== 'legacy') return
        void this.tell('notifications/cancelled', { requestId: id, reason: problem }, wanted.headers)
      },
    }
    this.#running.add(asked)
    const finish = async (): Promise<void> => {
      const end = await sending.end
      if (settled) return
      if (end.kind !== 'response') settle(end)
      else if (this.#open) settle(readResponse(end, id, this.#options))
      else settle(notSent('unreachable', `${ended}; call again`))
    }
    void finish()
    return asked
  }

  tell(method: string, params: JsonObject, headers: Headers): Promise<void> {
    return this.#brief('POST', writeMessage({ method, params }), this.#headers(method, params, { headers }))
  }

  async close(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    for (const asked of this.#running) asked.stop('cancelled')
    if (this.#session !== null) await this.#brief('DELETE', '', this.#legacyHeaders())
  }

  #request(id: number, wanted: Ask, onEvent: (data: Buffer) => boolean): Exchange {
    const params = withToken(wanted.params, wanted.onProgress === undefined ? null : id)
    return exchange({
      ...this.#options,
      method: 'POST',
      headers: this.#headers(wanted.method, params, wanted),
      body: writeMessage({ id, method: wanted.method, params }),
      onEvent,
      onHead: ({ status, session }) => {
        if (session !== null && wanted.method === 'initialize') this.#session = session
        if (status === 404 && this.#session !== null) this.#open = false
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
        hearNotification(message, { events, find: (token) => (token === id ? wanted : undefined) })
        return null
      case 'request':
        hearRequest(message, {
          events,
          candidates: [wanted],
          // What is refused at once needs the credential of this very call.
          reply: (line, headers) =>
            void this.#brief(
              'POST',
              line,
              this.#headers('', {}, { headers: { ...wanted.headers, ...headers } }),
            ),
        })
        return null
    }
  }

  #headers(method: string, params: JsonObject, wanted: Pick<Ask, 'headers' | 'inputSchema'>): Headers {
    return {
      ...wanted.headers,
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      ...(this.#era === 'modern'
        ? { 'MCP-Protocol-Version': modernVersion, ...mirrorHeaders(method, params, wanted.inputSchema) }
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

const ended = 'the server has ended the session'

/** Statuses by which a server says that it has not begun (RFC 9110 section 15.5). Not 408 and 409: there it may have. */
const beforeProcessing: ReadonlySet<number> = new Set([
  400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 421, 429, 431,
])

function readResponse(response: Response, id: number, { maxBytes, events }: HttpOptions): Reply {
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
