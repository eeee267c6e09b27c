import { newId } from '../../lib/id.ts'
import { askedOf, type Calling, type Need, type NextStep } from './call.ts'
import { inputProblem, stopped } from './modern.ts'
import { readInputRequests, readInputResponses, type InputRequest, type InputResponses } from './input.ts'
import { wireOutcome } from '../wire.ts'
import type { Json, JsonObject } from '../../lib/json.ts'
import type { Session } from './session.ts'

/** Requests of ours that one session may leave open. */
const openAtOnce = 32

/** The server needs more: the client is asked by requests of ours on its stream, then the next leg runs. */
export async function askByRequest(
  session: Session,
  calling: Calling,
  { leg, asked, ask }: Need,
): Promise<NextStep> {
  const { ports } = calling
  const round = leg.round + 1
  const stop = (code: 'input-refused' | 'too-many-legs', text: string): NextStep => ({
    kind: 'answer',
    answer: wireOutcome(code, { text, next: stopped }, askedOf(calling, leg)),
  })
  const problem = inputProblem(calling, asked, round)
  if (problem !== null) return stop(problem.code, problem.text)
  const declared = calling.capabilities
  const read = readInputRequests(asked.inputRequests, { allowed: ports.settings.inputs, declared })
  if (!read.ok) {
    return stop(
      'input-refused',
      read.why === 'refused'
        ? read.problem
        : 'The server asked for input that this client cannot give: it has not declared the capability.',
    )
  }
  const responses = await elicit(session, calling, read.requests)
  if (!responses.ok) return stop('input-refused', responses.problem)
  const next = { requestState: asked.requestState, inputResponses: responses.responses, ask }
  return {
    kind: 'leg',
    leg: { call: newId('c'), chain: leg.chain, target: leg.target, leg: next, held: 0, round },
  }
}

/** Asks a client of a revision with sessions, one thing after the other: each is a form for a person. */
async function elicit(
  session: Session,
  calling: Calling,
  requests: readonly InputRequest[],
): Promise<InputResponses> {
  const answers: { [key: string]: Json } = {}
  // A server that asks for nothing only wants to be asked again; not at once.
  if (requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 250))
  for (const request of requests) {
    const result = await ask(session, calling, request)
    if (typeof result === 'string') return { ok: false, problem: result }
    Object.defineProperty(answers, request.key, {
      value: result,
      enumerable: true,
      configurable: true,
      writable: true,
    })
  }
  return readInputResponses(answers, Object.fromEntries(requests.map(({ key, method }) => [key, method])))
}

/** The client's result, or why there is none. */
async function ask(session: Session, calling: Calling, request: InputRequest): Promise<JsonObject | string> {
  if (session.asked.size >= openAtOnce) return 'Too many questions to this client are open.'
  const id = newId('e')
  const answer = Promise.withResolvers<JsonObject | string>()
  const ended = new AbortController()
  const stop = (why: string) => () => answer.resolve(why)
  const timer = setTimeout(stop('The client did not answer in time.'), calling.ports.settings.inputMs)
  calling.signal.addEventListener('abort', stop('The request was cancelled.'), { signal: ended.signal })
  calling.closing.addEventListener('abort', stop('The broker is closing.'), { signal: ended.signal })
  session.asked.set(id, (result) => answer.resolve(result ?? 'The client answered with an error.'))
  try {
    if (calling.signal.aborted) return 'The request was cancelled.'
    const sent = calling.reply.interim({
      jsonrpc: '2.0',
      id,
      method: request.method,
      params: paramsOf(session, request),
    })
    return sent
      ? await answer.promise
      : 'The client takes no stream on which it could be asked: expected `Accept` to list `text/event-stream`.'
  } finally {
    clearTimeout(timer)
    ended.abort()
    session.asked.delete(id)
  }
}

/** Revisions before 2025-11-25 know no modes; that one wants an id with a URL. */
function paramsOf(session: Session, { kind, params }: InputRequest): JsonObject {
  if (kind === 'url') return { ...params, elicitationId: newId('e') }
  if (kind !== 'form' || session.version >= '2025-11-25') return params
  const { mode, ...rest } = params
  void mode
  return rest
}
