import { isJsonObject, type JsonObject } from '../lib/json.ts'
import type { InputKind } from './answer.ts'
import type { Ask, Events, Family, Headers } from './channel.ts'
import { readLogLine } from './log.ts'
import { metaKeys } from './protocol.ts'
import { writeMessage, type Message } from './rpc.ts'

type Notification = Extract<Message, { readonly kind: 'notification' }>
type Request = Extract<Message, { readonly kind: 'request' }>

const families: { readonly [method: string]: Family } = {
  'notifications/tools/list_changed': 'tools',
  'notifications/prompts/list_changed': 'prompts',
  'notifications/resources/list_changed': 'resources',
}

export type Hearing = {
  readonly events: Events
  /** By the id of the request, which is its progress token and its subscription's id as well. */
  readonly find: (id: number) => Ask | undefined
  /** Requests under way to which something without a name could belong. */
  readonly candidates: readonly Ask[]
}

/**
 * What a server tells unasked. Heard are numbers of progress, that a list or a watched resource has changed, and log
 * lines, which are kept until the answer that they belong to; nothing of it goes on from here (I3).
 */
export function hearNotification({ method, params }: Notification, hearing: Hearing): void {
  const { events } = hearing
  const family = Object.hasOwn(families, method) ? families[method] : undefined
  if (family !== undefined) return events.onListChanged(family)
  switch (method) {
    case 'notifications/progress':
      return hearProgress(params, hearing)
    case 'notifications/message':
      return hearLog(params, hearing)
    case 'notifications/resources/updated':
      return hearUpdate(params, hearing)
    case 'notifications/subscriptions/acknowledged':
      return subscriptionOf(params, hearing)?.onAcknowledged?.(urisOf(params))
    default:
      return events.onDropped('other-notification')
  }
}

/** When several calls are under way nobody can tell whose line it is, and it could leave with the wrong one's labels. */
function hearLog(params: JsonObject, { events, candidates }: Hearing): void {
  const able = candidates.filter(({ onLog }) => onLog !== undefined)
  const line = able.length === 1 ? readLogLine(params) : null
  if (line === null) return events.onDropped('log')
  able[0]?.onLog?.(line)
}

function hearUpdate(params: JsonObject, hearing: Hearing): void {
  const { uri } = params
  if (typeof uri !== 'string') return hearing.events.onDropped('other-notification')
  const listening = subscriptionOf(params, hearing)?.onUpdated
  if (listening === undefined) hearing.events.onUpdated(uri)
  else listening(uri)
}

function subscriptionOf({ _meta }: JsonObject, { find }: Hearing): Ask | undefined {
  const id = isJsonObject(_meta) ? _meta[metaKeys.subscription] : undefined
  return typeof id === 'number' ? find(id) : undefined
}

function urisOf({ notifications }: JsonObject): readonly string[] {
  const uris = isJsonObject(notifications) ? notifications.resourceSubscriptions : undefined
  return Array.isArray(uris) ? uris.filter((uri) => typeof uri === 'string') : []
}

function hearProgress(params: JsonObject, { events, find }: Hearing): void {
  const { progressToken, progress, total } = params
  const ask = typeof progressToken === 'number' ? find(progressToken) : undefined
  if (ask?.onProgress === undefined || typeof progress !== 'number')
    return events.onDropped('other-notification')
  // The `message` beside the numbers is text of the server's: it stays here (I3).
  ask.onProgress(typeof total === 'number' ? { progress, total } : { progress })
}

/**
 * A legacy server asks us something. `ping` is answered. What its client was said to take goes to the one call that can
 * have caused it: when several are under way nobody can tell whose it is, and asking for the wrong one would show a
 * person something that they did not start. All else is refused: it was never offered, or the client that waits for
 * this very call cannot give it.
 */
export function hearRequest(
  request: Request,
  context: {
    readonly events: Events
    readonly candidates: readonly Ask[]
    readonly reply: (line: string, headers: Headers) => void
  },
): void {
  const { events, candidates, reply } = context
  const refuse = (code: number, message: string) => {
    events.onDropped('refused-request')
    reply(writeMessage({ id: request.id, error: { code, message } }), {})
  }
  if (request.method === 'ping') return reply(writeMessage({ id: request.id, result: {} }), {})
  const { method, params } = request
  const kind = kindOf(method, params)
  if (kind === null) return refuse(-32601, 'this client does not offer that')
  const able = candidates.filter(({ onQuestion }) => onQuestion !== undefined)
  const [only] = able
  if (able.length !== 1 || only?.onQuestion === undefined) {
    return refuse(-32603, 'expected exactly one call under way that this can belong to')
  }
  if (only.inputs?.includes(kind) !== true) {
    only.onRefused?.(kind)
    return refuse(-32601, 'this client does not offer that')
  }
  let answered = false
  const answer = (line: string, headers: Headers) => {
    if (!answered) reply(line, headers)
    answered = true
  }
  only.onQuestion({
    method,
    params,
    respond: (result, headers) => answer(writeMessage({ id: request.id, result }), headers),
    refuse: () => answer(writeMessage({ id: request.id, ...refusalOf(kind) }), {}),
  })
}

/** Only a form has a way to say that nobody answered. */
const refusalOf = (kind: InputKind): { readonly result: JsonObject } | { readonly error: JsonObject } =>
  kind === 'form' || kind === 'url'
    ? { result: { action: 'cancel' } }
    : { error: { code: -32603, message: 'the client did not answer' } }

/** What is asked for, or null when MCP knows no such question. */
export function kindOf(method: unknown, params: JsonObject): InputKind | null {
  switch (method) {
    case 'elicitation/create':
      if (typeof params.message !== 'string') return null
      if (params.mode === 'url') return typeof params.url === 'string' ? 'url' : null
      return (params.mode === undefined || params.mode === 'form') && isJsonObject(params.requestedSchema)
        ? 'form'
        : null
    case 'sampling/createMessage':
      return Array.isArray(params.messages) ? 'sampling' : null
    case 'roots/list':
      return 'roots'
    default:
      return null
  }
}
