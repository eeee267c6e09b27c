import { isJsonObject, type JsonObject } from '../lib/json.ts'
import type { Ask, Events, Family, Headers } from './channel.ts'
import { writeMessage, type Message } from './rpc.ts'

type Notification = Extract<Message, { readonly kind: 'notification' }>
type Request = Extract<Message, { readonly kind: 'request' }>

const families: { readonly [method: string]: Family } = {
  'notifications/tools/list_changed': 'tools',
  'notifications/prompts/list_changed': 'prompts',
  'notifications/resources/list_changed': 'resources',
}

/** Of all that a server tells unasked only two things are heard: numbers of progress, and that a list has changed. */
export function hearNotification(
  notification: Notification,
  { events, find }: { readonly events: Events; readonly find: (token: number) => Ask | undefined },
): void {
  const { method, params } = notification
  const family = Object.hasOwn(families, method) ? families[method] : undefined
  if (family !== undefined) return events.onListChanged(family)
  if (method === 'notifications/message') return events.onDropped('log')
  if (method !== 'notifications/progress') return events.onDropped('other-notification')
  const { progressToken, progress, total } = params
  const ask = typeof progressToken === 'number' ? find(progressToken) : undefined
  if (ask?.onProgress === undefined || typeof progress !== 'number')
    return events.onDropped('other-notification')
  // The `message` beside the numbers is text of the server's: it stays here (I3).
  ask.onProgress(typeof total === 'number' ? { progress, total } : { progress })
}

/**
 * A legacy server asks us something. `ping` is answered. `elicitation/create` goes to the one call that can have
 * caused it: when several are under way nobody can tell whose it is, and asking for the wrong one would show a person
 * something that they did not start. All else is refused: we never offered it.
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
  if (request.method !== 'elicitation/create') return refuse(-32601, 'this client does not offer that')
  const { params } = request
  if (!isForm(params)) return refuse(-32602, 'only elicitation in form mode is offered')
  const able = candidates.filter((ask) => ask.onElicitation !== undefined)
  const [only] = able
  if (able.length !== 1 || only?.onElicitation === undefined) {
    return refuse(-32603, 'expected exactly one call under way that this can belong to')
  }
  let answered = false
  const answer = (line: string, headers: Headers) => {
    if (!answered) reply(line, headers)
    answered = true
  }
  only.onElicitation({
    params,
    respond: (result, headers) => answer(writeMessage({ id: request.id, result }), headers),
    refuse: () => answer(writeMessage({ id: request.id, result: { action: 'cancel' } }), {}),
  })
}

/** A form and nothing else: a URL could lead a person anywhere, and was never offered. */
export const isForm = (params: JsonObject): boolean =>
  (params.mode === undefined || params.mode === 'form') &&
  typeof params.message === 'string' &&
  isJsonObject(params.requestedSchema)
