import { AccessProblem, member } from './access.ts'
import { answers, idOf, oneLine, parse, readMessage, type Id, type Message } from './message.ts'
import { createMirrors } from './headers.ts'
import { isStream, Transport, type Sent, type TransportParts } from './transport.ts'
import { serverEvents } from './stream.ts'

export type BridgeParts = Omit<TransportParts, 'mirrors'> & { readonly log: (text: string) => void }

const codes = { parse: -32700, internal: -32603 } as const
const mostUnderWay = 256
const notRunning = 'the broker does not run; start it: countersign serve'
const broke = 'the connection to the broker broke; whether the call was made is unknown'

/**
 * Carries messages between a client on stdio and the broker's endpoint. It decides nothing: what a client sends goes on
 * as the text that came, so that the broker judges every byte of it.
 */
export class Bridge {
  readonly #parts: BridgeParts
  readonly #mirrors = createMirrors()
  readonly #transport: Transport
  readonly #underWay = new Map<Id, { readonly stop: AbortController; readonly modern: boolean }>()
  readonly #running = new Set<Promise<void>>()
  /** A session is ready when the broker knows that the client is; what comes after waits for that, as it would be early. */
  #ready: Promise<void> = Promise.resolve()

  constructor(parts: BridgeParts) {
    this.#parts = parts
    this.#transport = new Transport({ ...parts, mirrors: this.#mirrors })
  }

  /** Takes one message of the client. Never throws and never waits for the answer. */
  take(line: string): void {
    const mine: Promise<void> = this.#carry(line).finally(() => this.#running.delete(mine))
    this.#running.add(mine)
  }

  /** Resolves when nothing is under way any more. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.race(this.#running)
  }

  /** Drops what is under way and ends the session. Never throws. */
  async close(): Promise<void> {
    const closed = this.#transport.close()
    await Promise.allSettled(this.#running)
    await closed
  }

  #carry(line: string): Promise<void> {
    const message = readMessage(line)
    if (message === null) return this.#complain(null, 'expected one JSON-RPC message a line', codes.parse)
    if (message.method === 'notifications/cancelled') return this.#cancel(message)
    if (message.method === 'notifications/initialized') return (this.#ready = this.#initialized(message))
    if (message.method === null || message.id === null) return this.#pass(message).then(() => undefined)
    if (this.#underWay.size >= mostUnderWay) {
      return this.#complain(message.id, `expected at most ${mostUnderWay} requests at once`)
    }
    return this.#request(message, message.id)
  }

  async #request(message: Message, id: Id): Promise<void> {
    const stop = new AbortController()
    this.#underWay.set(id, { stop, modern: message.revision !== null })
    const signal = AbortSignal.any([stop.signal, this.#transport.closing])
    try {
      if (message.revision === null) await this.#ready
      await this.#answer(message, id, await this.#transport.send(message, signal))
    } catch (problem) {
      // Whoever cancelled waits for nothing; everyone else hears that no answer will come.
      if (!signal.aborted) await this.#complain(id, worded(problem))
    } finally {
      if (this.#underWay.get(id)?.stop === stop) this.#underWay.delete(id)
    }
  }

  async #answer(message: Message, id: Id, sent: Sent): Promise<void> {
    const { response } = sent
    if (!isStream(response) || response.body === null) return this.#whole(message, id, sent)
    let answered = false
    for await (const { data } of serverEvents(response.body)) {
      if (data === '') continue
      const value = parse(data)
      if (answers(value, id)) {
        answered = true
        this.#learn(message, sent, value)
      }
      await this.#parts.write(oneLine(data))
    }
    if (!answered) await this.#complain(id, broke)
  }

  /** An answer that is no stream. An error that names no request is still the answer to this one. */
  async #whole(message: Message, id: Id, sent: Sent): Promise<void> {
    const text = await sent.response.text()
    const value = parse(text)
    if (answers(value, id)) {
      this.#learn(message, sent, value)
      return this.#parts.write(oneLine(text))
    }
    const error = member(value, 'error')
    if (typeof member(error, 'code') === 'number')
      return this.#parts.write(JSON.stringify({ jsonrpc: '2.0', id, error }))
    const said = member(error, 'message')
    const { status } = sent.response
    await this.#complain(id, typeof said === 'string' ? said : `the broker answered with status ${status}`)
  }

  #learn(message: Message, sent: Sent, value: unknown): void {
    const result = member(value, 'result')
    if (result === undefined) return
    if (message.method === 'tools/list') this.#mirrors.learn(result)
    if (message.method === 'initialize') this.#transport.begin(member(message.value, 'params'), sent, result)
  }

  async #initialized(message: Message): Promise<void> {
    if (await this.#pass(message)) await this.#transport.listen()
  }

  /** Notifications, and answers to the broker's own questions. True when the broker took it. */
  async #pass(message: Message): Promise<boolean> {
    try {
      const { response } = await this.#transport.send(message, this.#transport.closing)
      await response.body?.cancel()
      return response.ok
    } catch (problem) {
      if (!this.#transport.closing.aborted) this.#parts.log(worded(problem))
      return false
    }
  }

  /** Without sessions, closing the stream is how a request is cancelled; with them, a message is. */
  async #cancel(message: Message): Promise<void> {
    const id = idOf(member(member(message.value, 'params'), 'requestId'))
    const found = id === null ? undefined : this.#underWay.get(id)
    if (found?.modern !== true) await this.#pass(message)
    found?.stop.abort()
  }

  #complain(id: Id | null, message: string, code: number = codes.internal): Promise<void> {
    return this.#parts.write(JSON.stringify({ jsonrpc: '2.0', id, error: { code, message } }))
  }
}

/** For the person in front of the client: what happened and what to do. */
function worded(problem: unknown): string {
  if (problem instanceof AccessProblem) return problem.message
  const hint = member(problem, 'hint')
  if (problem instanceof Error && typeof hint === 'string') return `${problem.message}; ${hint}`
  const cause = problem instanceof Error ? problem.cause : undefined
  return codeOf(cause) === 'ECONNREFUSED' ? notRunning : broke
}

const codeOf = (cause: unknown): unknown =>
  cause instanceof Error && 'code' in cause ? cause.code : undefined
