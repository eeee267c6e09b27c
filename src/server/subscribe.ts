import type { Outgoing, ServerAnswer, Subscription } from './answer.ts'
import { within, type Asked, type Reply } from './channel.ts'
import type { Link } from './link.ts'
import type { Held } from './pool.ts'
import { withMeta } from './protocol.ts'
import { answerOf } from './result.ts'

/** Which tasks watch which resources, and what keeps each of these watches alive. */
export type Watch = {
  /** Whether it is watched already; counts once more then. */
  again(subscription: Subscription): boolean
  /** False: too many. `end` is called once, when the last who asked has left. */
  add(subscription: Subscription, end: () => void): boolean
  /** The server says that it has changed. */
  tell(subscription: Subscription): void
  onUpdated(told: (subscription: Subscription) => void): () => void
  remove(subscription: Subscription): void
  /** It has ended from the other side: told once more, as a change may have been lost with it. */
  lose(subscription: Subscription, end: () => void): void
  /** All of a task (`null`: everything). */
  drop(task: string | null): void
}

const maxPerTask = 64
const maxInAll = 1_024
/** However often a server says that something has changed, it is told this often: it is no channel for data. */
const leastMs = 500

type Place = {
  readonly subscription: Subscription
  end: (() => void) | null
  users: number
  toldAt: number
  timer: NodeJS.Timeout | null
}

export function createWatch(elapsed: () => number): Watch {
  const places = new Map<string, Place>()
  const listeners = new Set<(subscription: Subscription) => void>()
  const end = (key: string, place: Place) => {
    places.delete(key)
    if (place.timer !== null) clearTimeout(place.timer)
    place.end?.()
  }
  const tell = (subscription: Subscription) => {
    const place = places.get(keyOf(subscription))
    if (place === undefined || place.timer !== null) return
    const wait = place.toldAt + leastMs - elapsed()
    if (wait <= 0) return tellNow(place)
    place.timer = setTimeout(tellNow, wait, place).unref()
  }
  const tellNow = (place: Place) => {
    place.timer = null
    place.toldAt = elapsed()
    for (const told of listeners) told(place.subscription)
  }
  return {
    again(subscription) {
      const place = places.get(keyOf(subscription))
      if (place === undefined || place.end === null) return false
      place.users++
      return true
    },
    add(subscription, over) {
      const { task } = subscription
      const mine = [...places.values()].filter((place) => place.subscription.task === task).length
      const lost = places.get(keyOf(subscription))
      if (lost === undefined && (mine >= maxPerTask || places.size >= maxInAll)) return false
      // Whoever asked before it was lost is told again, too, and will leave one day.
      const users = (lost?.users ?? 0) + 1
      places.set(keyOf(subscription), { subscription, end: over, users, toldAt: -leastMs, timer: null })
      return true
    },
    tell,
    onUpdated(told) {
      listeners.add(told)
      return () => void listeners.delete(told)
    },
    remove(subscription) {
      const key = keyOf(subscription)
      const place = places.get(key)
      if (place === undefined) return
      place.users--
      if (place.users === 0) end(key, place)
    },
    lose(subscription, over) {
      const place = places.get(keyOf(subscription))
      if (place?.end !== over) return
      tell(subscription)
      place.end = null
    },
    drop(task) {
      for (const [key, place] of places)
        if (task === null || place.subscription.task === task) end(key, place)
    },
  }
}

const keyOf = ({ server, task, uri }: Subscription): string => JSON.stringify([server, task, uri])

/**
 * Has a server tell of changes of one resource: a legacy one by `resources/subscribe` in the task's own session, a modern
 * one by a `subscriptions/listen` of its own. What comes of it later is that something has changed, never what: to know
 * that, the resource is read like any other.
 */
export async function subscribe(
  watch: Watch,
  outgoing: Outgoing,
  { held, callMs }: { readonly held: Held; readonly callMs: number },
): Promise<ServerAnswer> {
  const { server, task, arguments: args } = outgoing
  const { link } = held.connection
  const refuse = (code: number, message: string): ServerAnswer => {
    held.release()
    return { kind: 'error', code, message, data: null }
  }
  const { uri } = args
  if (typeof uri !== 'string') return refuse(-32602, 'expected `uri` among the arguments of a subscription')
  const subscription = { server, task, uri }
  const { resources } = link.session.capabilities
  if (
    typeof resources !== 'object' ||
    resources === null ||
    !('subscribe' in resources) ||
    resources.subscribe !== true
  )
    return refuse(-32601, 'the server does not tell of changes of its resources')
  // A stream would live on a credential that was lent for one call.
  if (Object.keys(held.headers).length > 0)
    return refuse(-32601, 'a server that takes a credential by header cannot be watched')
  if (watch.again(subscription)) {
    held.release()
    return done
  }
  const begun = await begin(link, outgoing, { uri, callMs, tell: () => watch.tell(subscription) })
  if ('kind' in begun) {
    held.release()
    const { era, shown } = link.session
    return answerOf(begun, { operation: 'subscribe', era, inputs: [], passedOn: shown.inputs })
  }
  if (!watch.add(subscription, begun.end)) {
    begun.end()
    return refuse(-32603, 'too many resources are watched already; end one subscription first')
  }
  void leave(begun.over, () => {
    watch.lose(subscription, begun.end)
    held.release()
  })
  return done
}

async function leave(over: Promise<unknown>, left: () => void): Promise<void> {
  await over
  left()
}

const done: ServerAnswer = { kind: 'result', result: {}, isError: false }

type Begun = { readonly end: () => void; readonly over: Promise<unknown> }
type Beginning = { readonly uri: string; readonly callMs: number; readonly tell: () => void }

const begin = (link: Link, outgoing: Outgoing, beginning: Beginning): Promise<Begun | Reply> =>
  link.session.era === 'legacy'
    ? beginLegacy(link, outgoing, beginning)
    : beginModern(link, outgoing, beginning)

async function beginLegacy(
  link: Link,
  { signal }: Outgoing,
  { uri, callMs, tell }: Beginning,
): Promise<Begun | Reply> {
  const { channel } = link
  const ask = (method: string) => channel.ask({ method, params: { uri }, headers: {} })
  // MCP 2025-11-25, subscriptions: what has changed may lie below what was subscribed to.
  const stop = link.onUpdated((changed) => {
    if (changed === uri || changed.startsWith(uri.endsWith('/') ? uri : `${uri}/`)) tell()
  })
  const reply = await within(ask('resources/subscribe'), { ms: callMs, signal })
  if (reply.kind !== 'result') {
    stop()
    return reply
  }
  const over = Promise.withResolvers<void>()
  void channel.ended.then(over.resolve)
  const end = () => {
    stop()
    over.resolve()
    if (channel.alive()) void within(ask('resources/unsubscribe'), { ms: callMs })
  }
  return { end, over: over.promise }
}

async function beginModern(
  link: Link,
  { signal }: Outgoing,
  { uri, callMs, tell }: Beginning,
): Promise<Begun | Reply> {
  const acknowledged = Promise.withResolvers<boolean>()
  const asked: Asked = link.channel.ask({
    method: 'subscriptions/listen',
    params: withMeta({ notifications: { resourceSubscriptions: [uri] } }, 'modern', link.session.shown),
    headers: {},
    onAcknowledged: (uris) => acknowledged.resolve(uris.includes(uri)),
    // A stream of its own for this one resource: what it tells can be of no other.
    onUpdated: tell,
  })
  const timer = setTimeout(() => asked.stop('timeout'), callMs)
  const cancel = () => asked.stop('cancelled')
  if (signal.aborted) cancel()
  signal.addEventListener('abort', cancel, { once: true })
  const first = await Promise.race([asked.reply, acknowledged.promise])
  clearTimeout(timer)
  signal.removeEventListener('abort', cancel)
  if (first === true) return { end: cancel, over: asked.reply }
  cancel()
  if (first === false) return notHonoured
  return first.kind === 'result' ? notHonoured : first
}

const notHonoured: Reply = {
  kind: 'error',
  code: -32602,
  message: 'the server does not tell of changes of this resource',
  data: null,
}
