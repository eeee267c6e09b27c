import { AccessProblem, member, type Access, type Accesses } from './access.ts'
import { makeMessage, oneLine, parse, type Message } from './message.ts'
import { mirrored, type Mirrors } from './headers.ts'
import { outdated, sessionHeaders, type Session } from './session.ts'
import { serverEvents } from './stream.ts'

export type TransportParts = {
  readonly accesses: Accesses
  /** The endpoint, asked anew for every request: a broker that was started again may listen elsewhere. */
  readonly endpoint: () => Promise<URL>
  /** Writes one message for the client; resolves when there is room for more. */
  readonly write: (line: string) => Promise<void>
  readonly mirrors: Mirrors
}

/** What came back, and under which access it was sent. */
export type Sent = { readonly response: Response; readonly access: Access }

/** `opened` fires once, at the first attempt; `last` is the id to go on from. */
type Stream = { last: string | null; pause: number; readonly opened: AbortController }

type Headers = { readonly [name: string]: string }

const both = 'application/json, text/event-stream'

/** Streamable HTTP towards the broker, in both eras: tokens, mirrored headers, and the session where there is one. */
export class Transport {
  readonly #parts: TransportParts
  readonly #closing = new AbortController()
  readonly #streams = new Set<Promise<void>>()
  #session: Session | null = null
  #restarting: Promise<void> | null = null

  constructor(parts: TransportParts) {
    this.#parts = parts
  }

  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** Sends once; again only where the broker has said that it did nothing: 401, or 404 for a session that it has lost. */
  async send(message: Message, signal: AbortSignal): Promise<Sent> {
    const access = await this.#parts.accesses.get()
    const response = await this.#attempt(message, access, signal)
    if (response.status === 401) {
      await response.body?.cancel()
      const renewed = await this.#parts.accesses.renew(access)
      return { access: renewed, response: await this.#attempt(message, renewed, signal) }
    }
    const lost = this.#sessionFor(message)
    if (response.status === 404 && lost !== null) {
      await response.body?.cancel()
      await this.#restart(lost, access)
      return { access, response: await this.#attempt(message, access, signal) }
    }
    return { access, response }
  }

  /** The client has begun a session: its `initialize` was answered with `result`. */
  begin(params: unknown, { response, access }: Sent, result: unknown): Session {
    this.#session?.stream.abort()
    const version = member(result, 'protocolVersion')
    const session: Session = {
      initialize: { params },
      id: response.headers.get('mcp-session-id'),
      version: typeof version === 'string' ? version : '2025-11-25',
      generation: access.generation,
      stream: new AbortController(),
    }
    this.#session = session
    return session
  }

  /**
   * Opens the stream on which the broker sends what belongs to no request. Resolves when it is open, or cannot be
   * opened, or has taken a second: what is sent before would be lost to the client.
   */
  async listen(): Promise<void> {
    const session = this.#session
    if (session === null) return
    const opened = new AbortController()
    const mine: Promise<void> = this.#listen(session, opened).finally(() => this.#streams.delete(mine))
    this.#streams.add(mine)
    await sleep(1000, AbortSignal.any([opened.signal, this.closing]))
  }

  /** Drops what is under way and ends the session. Never throws. */
  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.allSettled(this.#streams)
    const session = this.#session
    if (session === null || session.id === null) return
    try {
      const access = await this.#parts.accesses.get()
      const headers = { ...sessionHeaders(session), ...bearer(access) }
      const signal = AbortSignal.timeout(1000)
      const response = await fetch(await this.#parts.endpoint(), {
        method: 'DELETE',
        headers,
        redirect: 'error',
        signal,
      })
      await response.body?.cancel()
    } catch {
      // A broker that is down has no session of ours.
    }
  }

  #sessionFor(message: Message): Session | null {
    return message.revision === null && message.method !== 'initialize' ? this.#session : null
  }

  async #attempt(message: Message, access: Access, signal: AbortSignal): Promise<Response> {
    if (message.revision === null) await this.#restarting
    const session = this.#sessionFor(message)
    if (outdated(session, access)) await this.#restart(session, access)
    const era =
      message.revision === null
        ? sessionHeaders(this.#sessionFor(message))
        : mirrored(message.value, message.revision, this.#parts.mirrors)
    return this.#post(message.text, { ...era, ...bearer(access) }, signal)
  }

  async #post(body: string, headers: Headers, signal: AbortSignal): Promise<Response> {
    const url = await this.#parts.endpoint()
    return fetch(url, {
      method: 'POST',
      redirect: 'error',
      signal,
      body,
      headers: { ...headers, 'content-type': 'application/json', accept: both },
    })
  }

  /** Begins the session again, unseen by the client, with what the client said when it began it. */
  #restart(lost: Session, access: Access): Promise<void> {
    if (this.#session !== lost) return this.#restarting ?? Promise.resolve()
    this.#restarting ??= this.#beginAgain(lost, access).finally(() => (this.#restarting = null))
    return this.#restarting
  }

  async #beginAgain(lost: Session, access: Access): Promise<void> {
    const { params } = lost.initialize
    const initialize = makeMessage({ id: 'countersign-restart', method: 'initialize', params })
    const response = await this.#post(initialize.text, bearer(access), this.closing)
    const result = await resultOf(response)
    if (result === undefined) {
      throw new AccessProblem(`the session was lost and could not be begun again (status ${response.status})`)
    }
    const session = this.begin(params, { response, access }, result)
    const initialized = makeMessage({ method: 'notifications/initialized' })
    const told = await this.#post(
      initialized.text,
      { ...sessionHeaders(session), ...bearer(access) },
      this.closing,
    )
    await told.body?.cancel()
    await this.listen()
    // Another task may offer other tools.
    for (const list of ['tools', 'prompts', 'resources']) {
      const capability = member(member(result, 'capabilities'), list)
      if (member(capability, 'listChanged') !== true) continue
      await this.#parts.write(makeMessage({ method: `notifications/${list}/list_changed` }).text)
    }
  }

  async #listen(session: Session, opened: AbortController): Promise<void> {
    const signal = AbortSignal.any([session.stream.signal, this.closing])
    const state: Stream = { last: null, pause: 1000, opened }
    while (!signal.aborted) {
      try {
        if (!(await this.#listenOnce(session, state, signal))) return opened.abort()
      } catch {
        // A broker that is down, or a stream that broke: tried again until the session ends.
      }
      opened.abort()
      await sleep(state.pause, signal)
      state.pause = Math.min(30_000, state.pause * 2)
    }
  }

  /** False when there is no use in trying again. */
  async #listenOnce(session: Session, state: Stream, signal: AbortSignal): Promise<boolean> {
    const access = await this.#parts.accesses.get()
    if (outdated(session, access)) return false
    const resume = state.last === null ? {} : { 'last-event-id': state.last }
    const headers = { ...sessionHeaders(session), ...bearer(access), ...resume, accept: 'text/event-stream' }
    const response = await fetch(await this.#parts.endpoint(), { headers, signal, redirect: 'error' })
    if (response.status === 401) {
      await response.body?.cancel()
      await this.#parts.accesses.renew(access)
      return true
    }
    if (!response.ok || response.body === null || !isStream(response)) {
      await response.body?.cancel()
      return false
    }
    state.opened.abort()
    for await (const event of serverEvents(response.body)) {
      state.pause = 1000
      state.last = event.id ?? state.last
      if (event.data !== '') await this.#parts.write(oneLine(event.data))
    }
    return true
  }
}

const bearer = (access: Access): Headers => ({ authorization: `Bearer ${access.token}` })

export const isStream = (response: Response): boolean =>
  (response.headers.get('content-type') ?? '').startsWith('text/event-stream')

async function resultOf(response: Response): Promise<unknown> {
  if (!isStream(response) || response.body === null) return member(parse(await response.text()), 'result')
  for await (const event of serverEvents(response.body)) {
    const result = member(parse(event.data), 'result')
    if (result !== undefined) return result
  }
  return undefined
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  const wake = (): void => {
    clearTimeout(timer)
    resolve()
  }
  signal.addEventListener('abort', wake, { once: true })
  if (signal.aborted) wake()
  return promise.finally(() => signal.removeEventListener('abort', wake))
}
