import type { JsonObject } from '../lib/json.ts'
import type { InputKind, LogLine, ServerAnswer } from './answer.ts'

export type NotSent = Extract<ServerAnswer, { readonly kind: 'not-sent' }>
export type Unknown = Extract<ServerAnswer, { readonly kind: 'unknown' }>

export const notSent = (problem: NotSent['problem'], detail: string): NotSent => ({
  kind: 'not-sent',
  problem,
  detail,
})
export const unknown = (problem: Unknown['problem'], detail: string): Unknown => ({
  kind: 'unknown',
  problem,
  detail,
})

/** What became of one request on the wire, before it is read as an answer of the protocol. */
export type Reply =
  | { readonly kind: 'result'; readonly result: JsonObject }
  | {
      readonly kind: 'error'
      readonly code: number
      readonly message: string
      readonly data: JsonObject | null
    }
  | NotSent
  | Unknown

/** A legacy server asks something of the client while a call is under way. Answered once; later answers are dropped. */
export type Question = {
  readonly method: string
  readonly params: JsonObject
  respond(result: JsonObject, headers: Headers): void
  refuse(): void
}

/** Header name → value, revealed for one request. */
export type Headers = { readonly [name: string]: string }

/** One request. Time and the caller's cancel are the asker's business: it calls `stop`. */
export type Ask = {
  readonly method: string
  readonly params: JsonObject
  /** Lent for this request alone; only HTTP uses them. */
  readonly headers: Headers
  /** Of a tool: modern HTTP mirrors some arguments into headers. */
  readonly inputSchema?: JsonObject
  readonly onProgress?: (progress: { readonly progress: number; readonly total?: number }) => void
  /** What a legacy server may ask while it works on this; nothing when left out. */
  readonly inputs?: readonly InputKind[]
  /** It asked for something else that MCP knows. */
  readonly onRefused?: (kind: InputKind) => void
  readonly onQuestion?: (question: Question) => void
  readonly onLog?: (line: LogLine) => void
  /** Of `subscriptions/listen`: which resources the server will tell of, then one that has changed. */
  readonly onAcknowledged?: (uris: readonly string[]) => void
  readonly onUpdated?: (uri: string) => void
}

export type Asked = {
  /** Always resolves, exactly once. */
  readonly reply: Promise<Reply>
  /** Gives up: tells the server and resolves as `unknown`, or as `not-sent` where nothing had left. Idempotent. */
  readonly stop: (problem: 'timeout' | 'cancelled') => void
}

export type Family = 'tools' | 'prompts' | 'resources'

/** What a channel tells whoever owns it. */
export type Events = {
  readonly onListChanged: (family: Family) => void
  /** A legacy server says that a resource has changed. */
  readonly onUpdated: (uri: string) => void
  readonly onDropped: (what: Dropped) => void
}

/** What servers send that goes nowhere; counted for the operator. */
export type Dropped =
  | 'log' | 'late-answer' | 'unknown-answer' | 'garbage' | 'refused-request' | 'other-notification' // prettier-ignore

/** One way to one server: a process, a legacy session, or an address. */
export type Channel = {
  ask(ask: Ask): Asked
  /** A notification. Failures are dropped: nothing hangs on one. */
  tell(method: string, params: JsonObject, headers: Headers): Promise<void>
  alive(): boolean
  /** Resolves when it is not alive any more. */
  readonly ended: Promise<void>
  /** Ends it and what belongs to it. Idempotent; resolves when nothing of it is left. */
  close(): Promise<void>
}

export type Patience = { readonly ms: number; readonly signal?: AbortSignal }

/** Waits for a reply no longer than `ms` and no longer than the caller wants it; past that, it is given up. */
export async function within(asked: Asked, patience: Patience): Promise<Reply> {
  const reply = await withinOr(asked, patience, new Promise(() => {}))
  return reply ?? unknown('timeout', 'no answer within the time limit')
}

/** The same, until `interrupt` resolves: then `null`, and the request goes on without anyone waiting. */
export async function withinOr(
  asked: Asked,
  { ms, signal }: Patience,
  interrupt: Promise<null>,
): Promise<Reply | null> {
  const timer = setTimeout(() => asked.stop('timeout'), ms)
  const cancel = () => asked.stop('cancelled')
  if (signal?.aborted === true) cancel()
  signal?.addEventListener('abort', cancel, { once: true })
  try {
    return await Promise.race([asked.reply, interrupt])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', cancel)
  }
}

/** What `stop` resolves with. */
export const stopped = (sent: boolean, problem: 'timeout' | 'cancelled'): NotSent | Unknown => {
  const detail = problem === 'timeout' ? 'no answer within the time limit' : 'stopped before an answer came'
  if (sent) return unknown(problem, detail)
  return notSent(problem === 'timeout' ? 'unreachable' : 'cancelled', detail)
}

/** What `work` gives, or `not-sent` as soon as the caller has gone; `work` goes on for others. */
export async function orCancelled<T>(work: Promise<T>, signal: AbortSignal): Promise<T | NotSent> {
  const { promise, resolve } = Promise.withResolvers<NotSent>()
  const cancel = () => resolve(notSent('cancelled', 'cancelled before it was sent'))
  if (signal.aborted) cancel()
  signal.addEventListener('abort', cancel, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}
