import type { JsonObject } from '../lib/json.ts'
import {
  stopped,
  notSent,
  unknown,
  type Ask,
  type Asked,
  type Channel,
  type Events,
  type Reply,
} from './channel.ts'
import { startProcess, type ServerProcess } from './process.ts'
import { readMessage, writeMessage, type Message } from './rpc.ts'
import { withToken } from './protocol.ts'
import { hearNotification, hearRequest } from './hear.ts'

export type StdioOptions = {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string | null
  readonly environment: { readonly [name: string]: string }
  readonly maxBytes: number
  readonly graceMs: number
  readonly events: Events
  readonly onEnd: (how: string) => void
}

export type StdioChannel = Channel & {
  readonly pid: number | null
  stderr(): string
}

type Pending = { readonly ask: Ask; settle(reply: Reply): void }

/** So many bytes that no answer accounts for, as a multiple of the largest answer, and the server is ended. */
export const noiseFactor = 8
/** Bytes of that sort that are read in a second: whoever floods waits in its own pipe and takes no time from others. */
export const noisePerSecond = 1024 * 1024

/** JSON-RPC over the pipes of one process. Ids are ours and never used twice; an answer counts once. */
export const openStdio = (options: StdioOptions): StdioChannel => new Pipes(options)

class Pipes implements StdioChannel {
  readonly #options: StdioOptions
  readonly #server: ServerProcess
  readonly #pending = new Map<number, Pending>()
  readonly #end = Promise.withResolvers<void>()
  readonly ended = this.#end.promise
  #lastId = 0
  #noise = 0
  #second = { since: 0, noise: 0 }

  constructor(options: StdioOptions) {
    this.#options = options
    const { maxBytes } = options
    this.#server = startProcess({
      ...options,
      maxLineBytes: maxBytes,
      onLine: (line) => this.#receive(line),
      onOverflow: (discarded) => {
        this.#settleAll(unknown('too-large', `the server sent a message of more than ${maxBytes} bytes`))
        if (discarded > maxBytes * noiseFactor) void this.#server.kill()
      },
      onEnd: (how) => {
        this.#settleAll(unknown('died', `the server's process is gone: ${how}`))
        this.#end.resolve()
        options.onEnd(how)
      },
    })
  }

  get pid(): number | null {
    return this.#server.pid
  }

  stderr(): string {
    return this.#server.stderr()
  }

  alive(): boolean {
    return this.#server.alive()
  }

  ask(wanted: Ask): Asked {
    const id = ++this.#lastId
    const { promise, resolve } = Promise.withResolvers<Reply>()
    const settle = (reply: Reply) => {
      this.#pending.delete(id)
      resolve(reply)
    }
    // What is asked now has nothing to do with that message, and must not be settled with those that may have.
    if (this.#server.isOverflowing())
      return {
        reply: Promise.resolve(notSent('busy', 'the server is sending more than is taken')),
        stop() {},
      }
    const params = withToken(wanted.params, wanted.onProgress === undefined ? null : id)
    this.#pending.set(id, { ask: wanted, settle })
    const sent = this.#server.write(writeMessage({ id, method: wanted.method, params }))
    if (!sent) settle(notSent('unreachable', "the server's process is gone or does not read"))
    return {
      reply: promise,
      stop: (problem) => {
        if (!this.#pending.has(id)) return
        settle(stopped(sent, problem))
        void this.tell('notifications/cancelled', { requestId: id, reason: problem })
      },
    }
  }

  async tell(method: string, params: JsonObject): Promise<void> {
    this.#server.write(writeMessage({ method, params }))
  }

  close(): Promise<void> {
    // Whoever waits learns it now, not when a stubborn process has gone.
    this.#settleAll(stopped(true, 'cancelled'))
    return this.#server.kill()
  }

  #receive(line: Buffer): void {
    const message = readMessage(line, this.#options.maxBytes)
    if (message.kind === 'result' || message.kind === 'error' || message.kind === 'bad') {
      const asked = message.id === null ? undefined : this.#pending.get(message.id)
      if (asked !== undefined) {
        this.#noise = 0
        return asked.settle(replyOf(message))
      }
    }
    this.#noise += line.length
    this.#slow(line.length)
    if (this.#noise > this.#options.maxBytes * noiseFactor) {
      this.#settleAll(unknown('bad-answer', 'the server sends without end'))
      void this.#server.kill()
    } else this.#unsolicited(message, line)
  }

  #slow(bytes: number): void {
    const now = performance.now()
    if (now - this.#second.since >= 1_000) this.#second = { since: now, noise: 0 }
    this.#second.noise += bytes
    if (this.#second.noise > noisePerSecond) this.#server.rest(1_000 - (now - this.#second.since))
  }

  #unsolicited(message: Message, line: Buffer): void {
    const { events } = this.#options
    switch (message.kind) {
      case 'result':
      case 'error': {
        const late = message.id !== null && message.id <= this.#lastId
        return events.onDropped(late ? 'late-answer' : 'unknown-answer')
      }
      case 'bad': {
        events.onDropped('garbage')
        const [only] = this.#pending.values()
        // A banner on stdout is common and harmless; a broken object may be the one answer that is awaited.
        if (this.#pending.size === 1 && line[0] === openingBrace) only?.settle(replyOf(message))
        return
      }
      case 'notification':
        return hearNotification(message, {
          events,
          find: (id) => this.#pending.get(id)?.ask,
          candidates: [...this.#pending.values()].map(({ ask }) => ask),
        })
      case 'request':
        return hearRequest(message, {
          events,
          candidates: [...this.#pending.values()].map(({ ask }) => ask),
          reply: (reply) => void this.#server.write(reply),
        })
    }
  }

  #settleAll(reply: Reply): void {
    for (const each of this.#pending.values()) each.settle(reply)
  }
}

const openingBrace = 0x7b

const replyOf = (message: Extract<Message, { readonly kind: 'result' | 'error' | 'bad' }>): Reply =>
  message.kind === 'bad'
    ? unknown('bad-answer', `the server's answer cannot be read: ${message.problem}`)
    : message
