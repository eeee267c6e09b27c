import { badParams, subscribeMethod } from './protocol.ts'
import { isRefused } from '../../call/refusal.ts'
import { newId } from '../../lib/id.ts'
import { readTarget } from './target.ts'
import { rejectionAnswer } from './call.ts'
import { takesNothing } from '../../server/answer.ts'
import type { Door, Visit } from './door.ts'
import type { JsonObject } from '../../lib/json.ts'
import type { Session } from './session.ts'
import type { WireAnswer } from '../wire.ts'

/**
 * Watching resources. To be told of changes is a call like any other, decided and recorded before anything reaches the
 * server; what is told later is the URI that the client gave itself, and nothing of the server's.
 */
type Subscribing = { readonly visit: Visit; readonly session: Session; readonly params: JsonObject }

/** `resources/subscribe` of a session. `call` makes it, and tells whether it came to a result. */
export async function subscribeSession(
  door: Door,
  { visit, session, params }: Subscribing,
  call: (made: (done: boolean) => void) => Promise<void>,
): Promise<void> {
  const read = readTarget(visit.endpoint, subscribeMethod, params)
  const { uri } = params
  if (!read.ok || typeof uri !== 'string') return call(() => undefined)
  const { server } = read.target.wanted
  const subscription = { server, task: visit.caller.task, uri: String(read.target.arguments['uri']) }
  await call((done) => {
    if (!done) return
    const stop = door.updates.add(subscription, () =>
      session.tell?.({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } }),
    )
    // Asked for again: the new one stands before the old one ends, so that the server need not be asked anew.
    session.watched.get(uri)?.()
    session.watched.set(uri, stop)
  })
}

/** `resources/unsubscribe`: what is not watched is not watched any more, either. */
export function unsubscribeSession(session: Session, { uri }: JsonObject): WireAnswer {
  if (typeof uri !== 'string') return rejectionAnswer(badParams('expected `params.uri` to be a URI'))
  session.watched.get(uri)?.()
  session.watched.delete(uri)
  return { kind: 'result', result: {} }
}

/** One stream watches so many resources; the rest is not honoured. */
const mostWatched = 32

export type Watched = { readonly uri: string; readonly watch: (told: () => void) => () => void }

/** The resources of one `subscriptions/listen` that this caller may watch: each is a call of its own. */
export async function watchable(
  door: Door,
  visit: Visit,
  uris: readonly string[],
): Promise<readonly Watched[]> {
  const asked = await Promise.all(
    [...new Set(uris)].slice(0, mostWatched).map((uri) => subscribeOne(door, visit, uri)),
  )
  return asked.filter((one) => one !== null)
}

async function subscribeOne(door: Door, visit: Visit, uri: string): Promise<Watched | null> {
  const read = readTarget(visit.endpoint, subscribeMethod, { uri })
  if (!read.ok) return null
  const { wanted, arguments: args } = read.target
  const call = newId('c')
  const result = await door.ports.run({
    call,
    chain: call,
    door: 'mcp',
    credential: visit.credential,
    wanted,
    arguments: args,
    leg: null,
    signal: visit.exchange.gone,
    progress: () => undefined,
    takes: takesNothing,
  })
  if (isRefused(result) || result.answer.kind !== 'result') return null
  const subscription = { server: wanted.server, task: visit.caller.task, uri: String(args['uri']) }
  return { uri, watch: (told) => door.updates.add(subscription, told) }
}
