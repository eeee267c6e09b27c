import { accepts, type Reply } from './reply.ts'
import { badParams, codes, keys, type Rejection } from './protocol.ts'
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts'
import { rejectionAnswer } from './call.ts'
import { serverInfo } from './view.ts'
import { watchable, type Watched } from './watching.ts'
import { wireBusy } from '../wire.ts'
import type { Door, Visit } from './door.ts'
import type { Message } from './message.ts'
import type { StreamOptions } from './streams.ts'

type Request = Extract<Message, { kind: 'request' }>

const kinds = {
  toolsListChanged: 'tools',
  promptsListChanged: 'prompts',
  resourcesListChanged: 'resources',
} as const

/** `subscriptions/listen`: an acknowledgement of what will be told, then that. */
export async function listen(door: Door, visit: Visit, message: Request, reply: Reply): Promise<void> {
  const filter = message.params?.['notifications']
  const rejection = problemOf(filter, visit.exchange.header('accept'))
  if (rejection !== null) return reply.answer(rejectionAnswer(rejection))
  const { resourceSubscriptions: wanted = [], ...lists } = isJsonObject(filter) ? filter : {}
  const uris = Array.isArray(wanted) ? wanted.filter((uri) => typeof uri === 'string') : []
  const watched = await watchable(door, visit, uris)
  const opened = door.streams.open({
    exchange: visit.exchange,
    caller: visit.caller,
    credential: visit.credential,
    ...messagesOf(door, message, { lists, watched }),
    ...watching(message, watched),
  })
  if (opened === 'open') return
  // Nobody will be told: what was begun for this stream ends with it.
  for (const { watch } of watched) watch(() => undefined)()
  reply.answer(wireBusy('too-many-streams', opened, 'Close one, then listen again.'))
}

function problemOf(filter: Json | undefined, accept: string | null): Rejection | null {
  if (!isJsonObject(filter)) return badParams('expected `params.notifications` to be an object')
  const wrong = Object.keys(kinds).find(
    (name) => filter[name] !== undefined && typeof filter[name] !== 'boolean',
  )
  if (wrong !== undefined) return badParams(`expected \`params.notifications.${wrong}\` to be true or false`)
  const { resourceSubscriptions: uris } = filter
  if (uris !== undefined && !(Array.isArray(uris) && uris.every((uri) => typeof uri === 'string')))
    return badParams('expected `params.notifications.resourceSubscriptions` to be a list of URIs')
  if (accepts(accept, 'text/event-stream')) return null
  return {
    status: 406,
    code: codes.request,
    message: 'expected `Accept` to list `text/event-stream`: a subscription is a stream',
  }
}

type Honoured = { readonly lists: JsonObject; readonly watched: readonly Watched[] }

function messagesOf(
  door: Door,
  { id }: Request,
  { lists, watched }: Honoured,
): Pick<StreamOptions, 'first' | 'changed' | 'last'> {
  const honoured = Object.entries(kinds).filter(([name]) => lists[name] === true)
  const meta = { [keys.subscription]: id }
  const notifications = {
    ...Object.fromEntries(honoured.map(([name]) => [name, true])),
    ...(watched.length === 0 ? {} : { resourceSubscriptions: watched.map(({ uri }) => uri) }),
  }
  return {
    first: [
      {
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications, _meta: meta },
      },
    ],
    changed: honoured.map(([, kind]) => ({
      jsonrpc: '2.0',
      method: `notifications/${kind}/list_changed`,
      params: { _meta: meta },
    })),
    last: {
      jsonrpc: '2.0',
      id,
      result: { resultType: 'complete', _meta: { ...meta, [keys.server]: serverInfo(door.ports) } },
    },
  }
}

/** Watches from the moment the stream stands until it ends. */
function watching(
  { id }: Request,
  watched: readonly Watched[],
): Partial<Pick<StreamOptions, 'opened' | 'ended'>> {
  if (watched.length === 0) return {}
  const stops: (() => void)[] = []
  return {
    opened: (say) => {
      for (const { uri, watch } of watched) {
        const params = { uri, _meta: { [keys.subscription]: id } }
        stops.push(watch(() => say({ jsonrpc: '2.0', method: 'notifications/resources/updated', params })))
      }
    },
    ended: () => {
      for (const stop of stops) stop()
    },
  }
}
