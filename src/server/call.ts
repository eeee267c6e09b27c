import type { ServerConfig } from '../config/schema.ts'
import type { Outgoing, ServerAnswer } from './answer.ts'
import { notSent, orCancelled, type Headers, type NotSent } from './channel.ts'
import { converse, type Conversation } from './converse.ts'
import { headersOf } from './lent.ts'
import type { Link } from './link.ts'
import { respondAll, subjectOf, type Park } from './park.ts'
import type { Held, Pool } from './pool.ts'
import { familyOf, requestOf } from './request.ts'
import { answerOf } from './result.ts'

type Calls = { readonly pool: Pick<Pool, 'hold'>; readonly park: Park }

/** One call, or one later leg of a call, from the connection to the answer. Sends at most once. */
export async function runCall(calls: Calls, outgoing: Outgoing, config: ServerConfig): Promise<ServerAnswer> {
  const resumed = await resume(calls, outgoing, config)
  if (resumed !== null) return resumed
  const { server, task, lease, signal } = outgoing
  const held = await calls.pool.hold({ server, task, lease, signal, config })
  if ('kind' in held) return held
  const { link } = held.connection
  const conversation = await begin(outgoing, held).catch((error: unknown) => {
    held.release()
    throw error
  })
  if ('kind' in conversation) {
    held.release()
    return conversation
  }
  // While the call stands still for a person, its process is in use.
  void conversation.over.then(held.release)
  return follow(calls, outgoing, { link, conversation, callMs: config.limits.callMs })
}

/** Nothing is sent before this connection has been seen to offer what a person reviewed. */
async function begin(outgoing: Outgoing, { connection, headers }: Held): Promise<Conversation | NotSent> {
  const { link } = connection
  const { definition, leg, signal } = outgoing
  const request = requestOf(outgoing, link.session.era)
  if ('problem' in request) return notSent('bad-configuration', request.problem)
  if (leg !== null && link.session.era === 'legacy') return notSent('cancelled', gone)
  const changed = await compare(link, outgoing, headers)
  if (changed !== null) return changed
  if (signal.aborted) return notSent('cancelled', 'cancelled before it was sent')
  const ask = {
    ...request,
    headers,
    onProgress: outgoing.progress,
    ...(definition.inputSchema === undefined ? {} : { inputSchema: definition.inputSchema }),
  }
  return converse(link.channel, ask, link.session.era === 'legacy')
}

const gone = 'the server does not wait for this input any more; begin the call anew'

const compare = (
  link: Link,
  { definition, digest, signal }: Outgoing,
  headers: Headers,
): Promise<NotSent | null> =>
  orCancelled(link.compare(definition, digest, familyOf(definition.kind), headers), signal)

type Following = { readonly link: Link; readonly conversation: Conversation; readonly callMs: number }

async function follow({ park }: Calls, outgoing: Outgoing, following: Following): Promise<ServerAnswer> {
  const { link, conversation, callMs } = following
  const { operation, signal, server, task } = outgoing
  for (;;) {
    const turn = await conversation.next({ ms: callMs, signal })
    if (turn.kind !== 'elicited') return answerOf(turn, { operation, era: link.session.era })
    const { elicitations } = turn
    const parked = park.put({ link, conversation, elicitations, server, task, subject: subjectOf(outgoing) })
    if (parked !== null) return parked
    // No place: the server learns that nobody answers, and ends the call in its own way.
    for (const elicitation of elicitations) elicitation.refuse()
  }
}

/** A later leg of a call that stands still at a legacy server: its questions are answered, and it goes on. */
async function resume(calls: Calls, outgoing: Outgoing, config: ServerConfig): Promise<ServerAnswer | null> {
  const { leg, lease } = outgoing
  const handle = leg?.requestState ?? null
  const parked = handle === null ? null : calls.park.take(handle, outgoing)
  if (parked === null) return null
  const { link, conversation, elicitations } = parked
  const headers = 'command' in config ? { values: {} } : headersOf(config, lease)
  const problem = 'kind' in headers ? headers : await compare(link, outgoing, headers.values)
  if (problem !== null || 'kind' in headers) {
    for (const elicitation of elicitations) elicitation.refuse()
    conversation.stop('cancelled')
    return problem
  }
  respondAll(elicitations, leg?.inputResponses ?? {}, headers.values)
  return follow(calls, outgoing, { link, conversation, callMs: config.limits.callMs })
}
