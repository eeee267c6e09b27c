import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { canonical } from '../lib/jcs.ts'
import { newId } from '../lib/id.ts'
import type { Outgoing, ServerAnswer } from './answer.ts'
import type { Elicitation, Headers } from './channel.ts'
import type { Conversation } from './converse.ts'
import type { Link } from './link.ts'

/** A call that stands still at a legacy server until a person has answered what the server asked. */
export type Parked = {
  readonly link: Link
  readonly conversation: Conversation
  readonly elicitations: readonly Elicitation[]
  readonly server: string
  readonly task: string
  /** Of the definition and the arguments: a later leg goes on with this call and no other. */
  readonly subject: string
}

export type Park = {
  /** `null`: no place. The answer's `requestState` is an unguessable handle for one later leg. */
  put(parked: Parked): ServerAnswer | null
  /** Takes it out: a handle serves once. `null`: unknown, expired, used, or of another call. */
  take(handle: string, outgoing: Outgoing): Parked | null
  /** Gives up whatever hangs on a task (`null`: everything). */
  drop(task: string | null): void
  size(server: string): number
}

export type ParkLimits = { readonly perServer: number; readonly expiryMs: number }

export function createPark({ perServer, expiryMs }: ParkLimits): Park {
  const places = new Map<string, { readonly parked: Parked; readonly timer: NodeJS.Timeout }>()
  const size = (server: string): number =>
    [...places.values()].filter(({ parked }) => parked.server === server).length

  const giveUp = (handle: string, problem: 'timeout' | 'cancelled') => {
    const place = places.get(handle)
    if (place === undefined) return
    clearTimeout(place.timer)
    places.delete(handle)
    for (const elicitation of place.parked.elicitations) elicitation.refuse()
    place.parked.conversation.stop(problem)
  }
  return {
    put(parked) {
      if (size(parked.server) >= perServer) return null
      const handle = newId('p')
      const timer = setTimeout(giveUp, expiryMs, handle, 'timeout')
      timer.unref()
      places.set(handle, { parked, timer })
      return { kind: 'input', inputRequests: inputRequestsOf(parked.elicitations), requestState: handle }
    },
    take(handle, outgoing) {
      const place = places.get(handle)
      if (place === undefined) return null
      const { parked, timer } = place
      // The handle names the call, it does not prove a right to it: task, tool and arguments must be the very same.
      const same =
        parked.server === outgoing.server &&
        parked.task === outgoing.task &&
        parked.subject === subjectOf(outgoing)
      if (!same) return null
      clearTimeout(timer)
      places.delete(handle)
      return parked
    },
    drop(task) {
      for (const [handle, { parked }] of places) {
        if (task === null || parked.task === task) giveUp(handle, 'cancelled')
      }
    },
    size,
  }
}

export const subjectOf = (outgoing: Outgoing): string =>
  canonical([
    outgoing.operation,
    outgoing.digest,
    outgoing.definition.kind,
    outgoing.definition.name,
    outgoing.arguments,
  ])

const keyOf = (index: number): string => `elicitation-${index + 1}`

const inputRequestsOf = (elicitations: readonly Elicitation[]): JsonObject =>
  Object.fromEntries(
    elicitations.map(({ params }, index) => [keyOf(index), { method: 'elicitation/create', params }]),
  )

/** Hands the answers to the server; a question left open is cancelled, as silence would hold the call for ever. */
export function respondAll(
  elicitations: readonly Elicitation[],
  responses: JsonObject,
  headers: Headers,
): void {
  for (const [index, elicitation] of elicitations.entries()) {
    const key = keyOf(index)
    const response = Object.hasOwn(responses, key) ? elicitResult(responses[key]) : null
    elicitation.respond(response ?? { action: 'cancel' }, headers)
  }
}

/** Exactly the members of an elicitation's result: nothing else of the agent's passes. */
function elicitResult(response: Json | undefined): JsonObject | null {
  if (!isJsonObject(response)) return null
  const { action, content } = response
  if (action === 'decline' || action === 'cancel') return { action }
  if (action !== 'accept') return null
  return isJsonObject(content) ? { action, content } : { action }
}
