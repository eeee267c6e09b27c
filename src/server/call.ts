import type { ServerConfig } from '../config/schema.ts'
import type { InputKind, Outgoing, ServerAnswer } from './answer.ts'
import { notSent, orCancelled, within, type Headers, type NotSent } from './channel.ts'
import { converse, type Conversation } from './converse.ts'
import { headersOf } from './lent.ts'
import type { Link } from './link.ts'
import { respondAll, subjectOf, type Park } from './park.ts'
import type { Held, Pool } from './pool.ts'
import { familyOf, offered, requestOf } from './request.ts'
import { answerOf } from './result.ts'
import { subscribe, type Watch } from './subscribe.ts'

type Calls = { readonly pool: Pick<Pool, 'hold'>; readonly park: Park; readonly watch: Watch }

/** One call, or one later leg of a call, from the connection to the answer. Sends at most once. */
export async function runCall(calls: Calls, outgoing: Outgoing, config: ServerConfig): Promise<ServerAnswer> {
  const resumed = await resume(calls, outgoing, config)
  if (resumed !== null) return resumed
  const { server, task, agent, lease, signal } = outgoing
  const held = await calls.pool.hold({ server, task, agent, lease, signal, config })
  if ('kind' in held) return held
  const { link } = held.connection
  if (outgoing.operation === 'subscribe') return watchOver(calls, outgoing, { held, config })
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
async function begin(outgoing: Outgoing, held: Held): Promise<Conversation | NotSent> {
  const { headers } = held
  const { link } = held.connection
  const { definition, leg, signal } = outgoing
  const { era, shown } = link.session
  const request = requestOf(outgoing, link.session)
  if ('problem' in request) return notSent('bad-configuration', request.problem)
  // Without a state it is no later leg, and only brings answers that nobody asked for yet: an older server asks anyway.
  if (leg !== null && leg.requestState !== null && era === 'legacy') return notSent('cancelled', gone)
  const changed = await compare(link, outgoing, headers)
  if (changed !== null) return changed
  if (signal.aborted) return notSent('cancelled', 'cancelled before it was sent')
  const ask = {
    ...request,
    headers,
    onProgress: outgoing.progress,
    ...(definition.inputSchema === undefined ? {} : { inputSchema: definition.inputSchema }),
  }
  const { inputs, log } = offered(outgoing, shown)
  await wantLog(held, outgoing)
  return converse(link.channel, ask, { inputs: era === 'legacy' ? inputs : [], log })
}

const briefMs = 1_000

/** A legacy server is told once per connection which lines are wanted; a modern one with each request. */
async function wantLog({ connection: { link }, headers }: Held, { takes, signal }: Outgoing): Promise<void> {
  const { era, capabilities } = link.session
  if (era !== 'legacy' || takes.log === null || capabilities.logging === undefined) return
  if (!link.wantsMore(takes.log)) return
  const ask = { method: 'logging/setLevel', params: { level: takes.log }, headers }
  // Whatever it answers: a server that logs nothing, or too much, is no reason not to call it.
  await within(link.channel.ask(ask), { ms: briefMs, signal })
}

type Watching = { readonly held: Held; readonly config: ServerConfig }

/** A subscription is compared, made and answered like any call; what it holds open is `subscribe`'s. */
async function watchOver(
  { watch }: Calls,
  outgoing: Outgoing,
  { held, config }: Watching,
): Promise<ServerAnswer> {
  const { link } = held.connection
  const changed = await compare(link, outgoing, held.headers).catch((error: unknown) => {
    held.release()
    throw error
  })
  if (changed === null) return subscribe(watch, outgoing, { held, callMs: config.limits.callMs })
  held.release()
  return changed
}

const gone = 'the server does not wait for this input any more; begin the call anew'

async function compare(
  link: Link,
  { definition, digest, signal }: Outgoing,
  headers: Headers,
): Promise<NotSent | null> {
  const family = familyOf(definition.kind)
  if (link.lists(definition, digest, family)) return null
  return orCancelled(link.compare(definition, digest, family, headers), signal)
}

type Following = { readonly link: Link; readonly conversation: Conversation; readonly callMs: number }

async function follow({ park }: Calls, outgoing: Outgoing, following: Following): Promise<ServerAnswer> {
  const { link, conversation, callMs } = following
  const { operation, signal, server, task } = outgoing
  const { era, shown } = link.session
  const { inputs } = offered(outgoing, shown)
  for (;;) {
    const turn = await conversation.next({ ms: callMs, signal })
    if (turn.kind !== 'asked') {
      const answer = answerOf(turn, { operation, era, inputs, passedOn: shown.inputs })
      return answer.kind === 'not-sent' || answer.kind === 'unknown'
        ? answer
        : { ...answer, ...conversation.log(), ...inVain(conversation, answer, shown.inputs) }
    }
    const { questions } = turn
    const parked = park.put({
      link,
      conversation,
      questions,
      server,
      task,
      agent: outgoing.agent,
      subject: subjectOf(outgoing),
    })
    if (parked !== null) return parked
    // No place: the server learns that nobody answers, and ends the call in its own way.
    for (const question of questions) question.refuse()
  }
}

/** An older server that failed for want of an answer says so in words; what it wanted is known here. */
function inVain(
  conversation: Conversation,
  answer: ServerAnswer,
  passedOn: readonly InputKind[],
): { readonly needs?: readonly InputKind[] } {
  const failed = answer.kind === 'error' || (answer.kind === 'result' && answer.isError)
  const needs = failed ? conversation.refused().filter((kind) => passedOn.includes(kind)) : []
  return needs.length === 0 ? {} : { needs }
}

/** A later leg of a call that stands still at a legacy server: its questions are answered, and it goes on. */
async function resume(calls: Calls, outgoing: Outgoing, config: ServerConfig): Promise<ServerAnswer | null> {
  const { leg, lease } = outgoing
  const handle = leg?.requestState ?? null
  const parked = handle === null ? null : calls.park.take(handle, outgoing)
  if (parked === null) return null
  const { link, conversation, questions } = parked
  const headers = 'command' in config ? { values: {} } : headersOf(config, lease)
  const problem = 'kind' in headers ? headers : await compare(link, outgoing, headers.values)
  if (problem !== null || 'kind' in headers) {
    for (const question of questions) question.refuse()
    conversation.stop('cancelled')
    return problem
  }
  respondAll(questions, leg?.inputResponses ?? {}, headers.values)
  return follow(calls, outgoing, { link, conversation, callMs: config.limits.callMs })
}
