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
const noiseFactor = 8

/** JSON-RPC over the pipes of one process. Ids are ours and never used twice; an answer counts once. */
export function openStdio(options: StdioOptions): StdioChannel {
  const { events, maxBytes } = options
  const pending = new Map<number, Pending>()
  let lastId = 0
  let noise = 0

  const settleAll = (reply: Reply) => {
    for (const each of [...pending.values()]) each.settle(reply)
  }
  const makeNoise = (bytes: number) => {
    noise += bytes
    if (noise <= maxBytes * noiseFactor) return
    settleAll(unknown('bad-answer', 'the server sends without end'))
    void server.kill()
  }
  const receive = (line: Buffer) => {
    const message = readMessage(line, maxBytes)
    const mine = message.kind === 'result' || message.kind === 'error' || message.kind === 'bad'
    const asked = mine && message.id !== null ? pending.get(message.id) : undefined
    if (asked !== undefined && mine) {
      noise = 0
      asked.settle(replyOf(message))
      return
    }
    makeNoise(line.length)
    unsolicited(message, line)
  }
  const unsolicited = (message: Message, line: Buffer) => {
    switch (message.kind) {
      case 'result':
      case 'error':
        return events.onDropped(
          message.id !== null && message.id <= lastId ? 'late-answer' : 'unknown-answer',
        )
      case 'bad': {
        events.onDropped('garbage')
        const [only] = pending.values()
        // A banner on stdout is common and harmless; a broken object may be the one answer that is awaited.
        if (pending.size === 1 && line[0] === openingBrace) only?.settle(replyOf(message))
        return
      }
      case 'notification':
        return hearNotification(message, { events, find: (token) => pending.get(token)?.ask })
      case 'request':
        return hearRequest(message, {
          events,
          candidates: [...pending.values()].map(({ ask }) => ask),
          reply: (reply) => void server.write(reply),
        })
    }
  }
  const server: ServerProcess = startProcess({
    ...options,
    maxLineBytes: maxBytes,
    onLine: receive,
    onOverflow(discarded) {
      settleAll(unknown('too-large', `the server sent a message of more than ${maxBytes} bytes`))
      if (discarded > maxBytes * noiseFactor) void server.kill()
    },
    onEnd(how) {
      settleAll(unknown('died', `the server's process is gone: ${how}`))
      options.onEnd(how)
    },
  })

  const ask = (wanted: Ask): Asked => {
    const id = ++lastId
    const { promise, resolve } = Promise.withResolvers<Reply>()
    const settle = (reply: Reply) => {
      pending.delete(id)
      resolve(reply)
    }
    const line = writeMessage({
      id,
      method: wanted.method,
      params: withToken(wanted.params, wanted.onProgress === undefined ? null : id),
    })
    pending.set(id, { ask: wanted, settle })
    const sent = server.write(line)
    if (!sent) settle(notSent('unreachable', "the server's process is gone or does not read"))
    return {
      reply: promise,
      stop(problem) {
        if (!pending.has(id)) return
        settle(stopped(sent, problem))
        tell('notifications/cancelled', { requestId: id, reason: problem })
      },
    }
  }
  const tell = (method: string, params: JsonObject) => void server.write(writeMessage({ method, params }))

  return {
    pid: server.pid,
    stderr: server.stderr,
    ask,
    tell: (method, params) => Promise.resolve(tell(method, params)),
    alive: server.alive,
    close() {
      // Whoever waits learns it now, not when a stubborn process has gone.
      settleAll(stopped(true, 'cancelled'))
      return server.kill()
    },
  }
}

const openingBrace = 0x7b

const replyOf = (message: Extract<Message, { readonly kind: 'result' | 'error' | 'bad' }>): Reply =>
  message.kind === 'bad'
    ? unknown('bad-answer', `the server's answer cannot be read: ${message.problem}`)
    : message
