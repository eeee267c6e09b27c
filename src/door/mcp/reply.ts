import { createRate } from '../../identity/rate.ts'
import { errorMessage, type WireAnswer } from '../wire.ts'
import type { EventStream, Exchange, Headers } from '../exchange.ts'
import type { Kept } from './journal.ts'
import type { JsonObject } from '../../lib/json.ts'
import type { LogLine } from '../../server/answer.ts'
import type { RequestId } from './protocol.ts'

/**
 * The answer to one JSON-RPC request: plain JSON as long as nothing has to be said before it, a stream of server-sent
 * events from the first interim message on.
 */
export type Reply = {
  /** Numbers only (I3). They must grow (MCP, progress): what does not is left out. */
  progress(progress: { readonly progress: number; readonly total?: number }): void
  /** A line that a server logged. Only once it is settled (I3); nothing when the client takes no stream. */
  log(line: LogLine): void
  /** The call is held for a person: a sign of life, with progress when the client asked for it. */
  waiting(): void
  /** A message of the broker's to the client. False when the client takes no stream. */
  interim(message: JsonObject): boolean
  /** Begins the stream now, and has all that is said on it kept. Nothing when the client takes no stream. */
  keep(begin: (stream: EventStream) => Kept): void
  answer(answer: WireAnswer): void
  readonly id: RequestId
}

export type ReplyOptions = {
  readonly id: RequestId
  readonly token: RequestId | null
  readonly headers?: Headers
  /** Shapes a result for its era. */
  readonly finish: (result: JsonObject) => JsonObject
}

/** Progress ticks while waiting are this small, so that a server's own numbers come after them. */
const tick = 1e-6

/** Numbers that a server may pass on to a client; of a flood those in between are left out. */
export const progressPace = { perMinute: 1_200, burst: 64 } as const

export function createReply(exchange: Exchange, { id, token, headers = {}, finish }: ReplyOptions): Reply {
  const streams = accepts(exchange.header('accept'), 'text/event-stream')
  let stream: EventStream | null = null
  let kept: Kept | null = null
  let last = -1
  const pace = createRate({ ...progressPace, keys: 1 })
  const open = (): EventStream | null => {
    if (stream === null && streams && !exchange.started && !exchange.gone.aborted)
      stream = exchange.stream(headers)
    return stream
  }
  const send = (message: JsonObject): void => {
    const opened = open()
    if (kept !== null) kept.send(message)
    else opened?.send(message)
  }
  const notify = (params: JsonObject) => {
    if (token === null) return
    send({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: token, ...params },
    })
  }
  return {
    id,
    progress: ({ progress, total }) => {
      if (!Number.isFinite(progress) || progress <= last || !pace.take('')) return
      last = progress
      notify({ progress, ...(total !== undefined && Number.isFinite(total) ? { total } : {}) })
    },
    waiting: () => {
      open()?.comment('waiting for a person')
      last = last < 0 ? tick : last + tick
      notify({ progress: last, message: 'waiting for a person to approve the call' })
    },
    log: ({ level, logger, data }) => {
      const params = { level, ...(logger === undefined ? {} : { logger }), data }
      send({ jsonrpc: '2.0', method: 'notifications/message', params })
    },
    interim: (message) => {
      send(message)
      // Who lost the connection may come back for what was said on it.
      return kept !== null || stream?.open === true
    },
    keep: (begin) => {
      const opened = open()
      if (opened !== null) kept = begin(opened)
    },
    answer: (answer) => {
      const message =
        answer.kind === 'result'
          ? { jsonrpc: '2.0', id, result: finish(answer.result) }
          : errorMessage(id, answer)
      if (stream !== null) {
        send(message)
        return (kept ?? stream).end()
      }
      if (answer.kind === 'result') exchange.answer(200, message, headers)
      else exchange.answer(answer.status, message, { ...headers, ...answer.headers })
    },
  }
}

const json = 'application/json'
const events = 'text/event-stream'
/** What the revisions of MCP tell clients to send, letter by letter. */
const asAsked = `${json}, ${events}`

/** Whether an `Accept` header takes a media type. No header takes all (RFC 9110 section 12.5.1). */
export function accepts(header: string | null, type: string): boolean {
  if (header === null || (header === asAsked && (type === json || type === events))) return true
  const [main] = type.split('/')
  return header
    .toLowerCase()
    .split(',')
    .map((range) => range.split(';'))
    .some(
      ([range, ...parameters]) =>
        [type, `${main}/*`, '*/*'].includes((range ?? '').trim()) &&
        !parameters.some((p) => /^\s*q=0(\.0*)?\s*$/.test(p)),
    )
}
