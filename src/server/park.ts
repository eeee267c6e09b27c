import type { JsonObject } from '../lib/json.ts'
import { canonical } from '../lib/jcs.ts'
import { newId } from '../lib/id.ts'
import type { Outgoing, ServerAnswer } from './answer.ts'
import type { Headers, Question } from './channel.ts'
import type { Conversation } from './converse.ts'
import type { Link } from './link.ts'
import { readResponse } from './respond.ts'

/** A call that stands still at a legacy server until a person has answered what the server asked. */
export type Parked = {
  readonly link: Link
  readonly conversation: Conversation
  readonly questions: readonly Question[]
  readonly server: string
  readonly task: string
  readonly agent: string
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

/** Of a server's places, for the calls of one agent. */
const mostOfOne = 0.75

export type ParkLimits = { readonly perServer: number; readonly expiryMs: number }

export function createPark({ perServer, expiryMs }: ParkLimits): Park {
  const places = new Map<string, { readonly parked: Parked; readonly timer: NodeJS.Timeout }>()
  const size = (server: string): number =>
    [...places.values()].filter(({ parked }) => parked.server === server).length

  // A place is held for minutes: one agent leaves a quarter of them to the others.
  const isGreedy = ({ server, agent }: Parked): boolean =>
    [...places.values()].filter(({ parked: one }) => one.server === server && one.agent === agent).length >=
    Math.ceil(perServer * mostOfOne)

  const giveUp = (handle: string, problem: 'timeout' | 'cancelled') => {
    const place = places.get(handle)
    if (place === undefined) return
    clearTimeout(place.timer)
    places.delete(handle)
    for (const question of place.parked.questions) question.refuse()
    place.parked.conversation.stop(problem)
  }
  return {
    put(parked) {
      if (size(parked.server) >= perServer || isGreedy(parked)) return null
      const handle = newId('p')
      const timer = setTimeout(giveUp, expiryMs, handle, 'timeout')
      timer.unref()
      places.set(handle, { parked, timer })
      return {
        kind: 'input',
        inputRequests: inputRequestsOf(parked.questions),
        requestState: handle,
        ...parked.conversation.log(),
      }
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

const keyOf = ({ method }: Question, index: number): string => `${method.replace(/\/.*$/, '')}-${index + 1}`

const inputRequestsOf = (questions: readonly Question[]): JsonObject =>
  Object.fromEntries(
    questions.map((question, index) => [
      keyOf(question, index),
      { method: question.method, params: question.params },
    ]),
  )

/** Hands the answers to the server; a question left open is refused, as silence would hold the call for ever. */
export function respondAll(questions: readonly Question[], responses: JsonObject, headers: Headers): void {
  for (const [index, question] of questions.entries()) {
    const key = keyOf(question, index)
    const response = Object.hasOwn(responses, key) ? readResponse(question.method, responses[key]) : null
    if (response === null) question.refuse()
    else question.respond(response, headers)
  }
}
