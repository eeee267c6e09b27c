import { makeCall, rejectionAnswer, type Calling } from './call.ts'
import {
  badParams,
  codes,
  isCallMethod,
  isListMethod,
  legacyVersions,
  subscribeMethod,
  type Rejection,
  type RequestId,
} from './protocol.ts'
import { capabilities, endpointProblem, instructions, serverInfo } from './view.ts'
import { createReply, accepts, type Reply } from './reply.ts'
import { askByRequest } from './elicit.ts'
import { isLogLevel } from '../../server/log.ts'
import { errorMessage, outcomeCodes, wireBusy, wireRefused, type WireAnswer } from '../wire.ts'
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts'
import { isRefused } from '../../call/refusal.ts'
import { progressToken, type Message } from './message.ts'
import { subscribeSession, unsubscribeSession } from './watching.ts'
import { stillStands, subjectOf, taskOf } from './identity.ts'
import type { Door, Visit } from './door.ts'
import type { Owner, Session } from './session.ts'
import type { Task } from '../../task/task.ts'

type Request = Extract<Message, { kind: 'request' }>

const sessionHeader = 'Mcp-Session-Id'

/** One POST of a revision before 2026-07-28. */
export async function serveLegacy(door: Door, visit: Visit, message: Message): Promise<void> {
  if (message.kind === 'request' && message.method === 'initialize') return initialize(door, visit, message)
  const session = findSession(door, visit)
  if ('status' in session) return refuseHttp(visit, session, message.kind === 'request' ? message.id : null)
  switch (message.kind) {
    case 'request':
      return serveRequest(door, visit, message, session)
    case 'notification':
      if (message.method === 'notifications/cancelled') cancel(session, message.params?.['requestId'])
      return visit.exchange.answer(202, null)
    case 'response':
      session.asked.get(message.id)?.(message.result)
      return visit.exchange.answer(202, null)
  }
}

const ownerOf = ({ caller, endpoint }: Visit): Owner => ({
  subject: subjectOf(caller),
  task: caller.task,
  endpoint: JSON.stringify(endpoint),
})

export function findSession(door: Door, visit: Visit): Session | Rejection {
  const { exchange } = visit
  const id = exchange.header('mcp-session-id')
  if (id === null) {
    const message =
      'expected `_meta` with a protocol version (2026-07-28), or a session: send `initialize` first, then its `Mcp-Session-Id`'
    return { status: 400, code: codes.request, message }
  }
  const session = door.sessions.find(id, ownerOf(visit))
  if (session === null)
    return {
      status: 404,
      code: outcomeCodes['unknown-session'],
      message: 'there is no such session; send `initialize` for a new one',
    }
  const version = exchange.header('mcp-protocol-version')?.trim() ?? null
  if (version !== null && !legacyVersions.includes(version)) {
    return {
      status: 400,
      code: codes.request,
      message: `\`MCP-Protocol-Version\` \`${version.slice(0, 40)}\` is not one of a session: expected one of ${legacyVersions.join(', ')}`,
    }
  }
  return session
}

export function refuseHttp({ exchange }: Visit, rejection: Rejection, id: RequestId | null): void {
  exchange.answer(rejection.status === 200 ? 400 : rejection.status, errorMessage(id, rejection))
}

async function initialize(door: Door, visit: Visit, message: Request): Promise<void> {
  const answer = (wire: WireAnswer, headers = {}) =>
    createReply(visit.exchange, { id: message.id, token: null, headers, finish: (result) => result }).answer(
      wire,
    )
  const params = message.params ?? {}
  const { protocolVersion, capabilities: declared, clientInfo } = params
  if (typeof protocolVersion !== 'string' || !isJsonObject(declared) || !isJsonObject(clientInfo)) {
    return answer(
      rejectionAnswer(badParams('expected `params` with `protocolVersion`, `capabilities` and `clientInfo`')),
    )
  }
  const task = await taskOf(door.ports, visit.caller)
  if (isRefused(task)) return answer(wireRefused(task, plain('initialize')))
  const problem = endpointProblem(door.ports, visit.endpoint, task)
  if (problem !== null) return answer(wireRefused(problem, plain('initialize')))
  const version = legacyVersions.includes(protocolVersion)
    ? protocolVersion
    : (legacyVersions[0] ?? protocolVersion)
  const kept = askable(declared)
  const session = door.sessions.open(ownerOf(visit), version, kept)
  if (typeof session === 'string')
    return answer(wireBusy('too-many-streams', session, 'End one with DELETE, then initialize again.'))
  const result = {
    protocolVersion: version,
    capabilities,
    serverInfo: serverInfo(door.ports),
    instructions: instructions(door.ports, visit.endpoint, task),
  }
  answer({ kind: 'result', result }, { [sessionHeader]: session.id })
}

/** What a server could ask through this client, and nothing else: a session is kept for an hour, its words would be, too. */
const askable = ({ elicitation, sampling, roots }: JsonObject): JsonObject => ({
  ...(isJsonObject(elicitation)
    ? {
        elicitation: Object.fromEntries(
          ['form', 'url'].filter((mode) => mode in elicitation).map((mode) => [mode, {}]),
        ),
      }
    : {}),
  ...(isJsonObject(sampling) ? { sampling: {} } : {}),
  ...(isJsonObject(roots) ? { roots: {} } : {}),
})

const plain = (method: string) =>
  ({ method, era: 'legacy', call: '', uri: null, outputSchema: false }) as const

function cancel(session: Session, id: Json | undefined): void {
  if (typeof id === 'string' || typeof id === 'number')
    session.underWay.get(id)?.abort(new Error('the client cancelled'))
}

async function serveRequest(door: Door, visit: Visit, message: Request, session: Session): Promise<void> {
  const reply = createReply(visit.exchange, {
    id: message.id,
    token: progressToken(message.params),
    finish: (result) => finish(message.method, result),
  })
  if (isCallMethod(message.method))
    return call(door, visit, { message, method: message.method, session, reply })
  if (message.method === subscribeMethod)
    return subscribeSession(door, { visit, session, params: message.params ?? {} }, (made) =>
      call(door, visit, { message, method: subscribeMethod, session, reply, made }),
    )
  const task = await taskOf(door.ports, visit.caller)
  if (isRefused(task)) return reply.answer(wireRefused(task, plain(message.method)))
  reply.answer(answerOfSession(session, message) ?? answerOf(door, visit, message, task))
}

/** What is between the client and its session alone. */
function answerOfSession(session: Session, { method, params }: Request): WireAnswer | null {
  switch (method) {
    case 'ping':
      return { kind: 'result', result: {} }
    case 'logging/setLevel': {
      const level = params?.['level']
      if (!isLogLevel(level))
        return rejectionAnswer(badParams('expected `params.level` to be a log level of MCP'))
      session.log = level
      return { kind: 'result', result: {} }
    }
    case 'resources/unsubscribe':
      return unsubscribeSession(session, params ?? {})
    default:
      return null
  }
}

function answerOf(door: Door, visit: Visit, { method, params }: Request, task: Task): WireAnswer {
  if (isListMethod(method)) {
    const page = door.lists.page(method, {
      endpoint: visit.endpoint,
      task,
      cursor: params?.['cursor'],
      era: 'legacy',
    })
    return page.ok ? { kind: 'result', result: page.result } : rejectionAnswer(page.rejection)
  }
  return rejectionAnswer({
    status: 200,
    code: codes.method,
    message: `the method \`${method.slice(0, 64)}\` is not served here`,
  })
}

/** Structured content of these revisions is an object; another value is shown as text. */
function finish(method: string, result: JsonObject): JsonObject {
  const { structuredContent, ...rest } = result
  if (method !== 'tools/call' || structuredContent === undefined || isJsonObject(structuredContent))
    return result
  const content = Array.isArray(rest['content']) ? rest['content'] : []
  const hasText = content.some((block: Json) => isJsonObject(block) && block['type'] === 'text')
  return {
    ...rest,
    content: hasText ? content : [...content, { type: 'text', text: JSON.stringify(structuredContent) }],
  }
}

type Called = {
  readonly message: Request
  readonly method: Calling['method']
  readonly session: Session
  readonly reply: Reply
  /** Told whether it has come to a result, before the client is. */
  readonly made?: (done: boolean) => void
}

/** From this revision on a stream begins with an event that tells where to go on when it is lost. */
const primed = '2025-11-25'

async function call(door: Door, visit: Visit, called: Called): Promise<void> {
  const { message, method, session, reply, made } = called
  if (session.underWay.has(message.id)) {
    return reply.answer(
      rejectionAnswer({
        status: 200,
        code: codes.request,
        message: 'a request with this `id` is under way; use each id once',
      }),
    )
  }
  // A lost connection is no cancellation in these revisions: only `notifications/cancelled` and the session's end are.
  const cancelled = new AbortController()
  session.underWay.set(message.id, cancelled)
  if (session.version >= primed) reply.keep((stream) => door.journal.begin(session.id, stream))
  try {
    await makeCall({
      ports: door.ports,
      hold: door.hold,
      sealer: door.sealer,
      endpoint: visit.endpoint,
      method,
      params: message.params ?? {},
      credential: visit.credential,
      caller: visit.caller,
      era: 'legacy',
      capabilities: declaredBy(session),
      log: session.log,
      reply: made === undefined ? reply : telling(reply, made),
      signal: cancelled.signal,
      closing: visit.exchange.closing,
      input: (calling, need) => askByRequest(session, calling, need),
    })
  } finally {
    session.underWay.delete(message.id)
    // A cancelled request gets no result, but its exchange must end.
    if (!visit.exchange.started) visit.exchange.answer(202, null)
    else if (cancelled.signal.aborted)
      reply.answer(
        rejectionAnswer({
          status: 200,
          code: outcomeCodes['not-sent'],
          message: 'the request was cancelled',
        }),
      )
  }
}

/** Before 2025-06-18 there was no elicitation, whatever the client says. */
function declaredBy({ version, capabilities: declared }: Session): JsonObject {
  const { elicitation, ...older } = declared
  return version < '2025-06-18' || elicitation === undefined ? older : declared
}

const telling = (reply: Reply, made: (done: boolean) => void): Reply => ({
  ...reply,
  answer: (answer) => {
    made(answer.kind === 'result')
    reply.answer(answer)
  },
})

/**
 * GET: the stream on which a session hears that lists and resources have changed; or, with the id of an event, the rest
 * of a stream that was lost.
 */
export async function serveGet(door: Door, visit: Visit): Promise<void> {
  const session = findSession(door, visit)
  if ('status' in session) return refuseHttp(visit, session, null)
  if (!accepts(visit.exchange.header('accept'), 'text/event-stream')) {
    return refuseHttp(
      visit,
      { status: 406, code: codes.request, message: 'expected `Accept: text/event-stream`' },
      null,
    )
  }
  if (await resumed(door, visit, session)) return
  if (session.streaming)
    return refuseHttp(
      visit,
      { status: 409, code: codes.request, message: 'this session has a stream already; close it first' },
      null,
    )
  const opened = door.streams.open({
    exchange: visit.exchange,
    caller: visit.caller,
    credential: visit.credential,
    headers: { [sessionHeader]: session.id },
    first: [],
    changed: ['tools', 'prompts', 'resources'].map((kind) => ({
      jsonrpc: '2.0',
      method: `notifications/${kind}/list_changed`,
    })),
    last: null,
    opened: (say) => {
      session.tell = say
    },
    ended: () => {
      session.streaming = false
      session.tell = null
    },
  })
  if (opened === 'open') session.streaming = true
  else {
    const busy = wireBusy('too-many-streams', opened, 'Close one, then try again.')
    visit.exchange.answer(busy.status, errorMessage(null, busy), busy.headers)
  }
}

/** What was said to somebody whose access has ended meanwhile is not said again. */
async function resumed(door: Door, { exchange, credential }: Visit, session: Session): Promise<boolean> {
  const lastId = exchange.header('last-event-id')
  if (lastId === null || !(await stillStands(door.ports, credential))) return false
  return door.journal.resume(session.id, lastId, () => exchange.stream({ [sessionHeader]: session.id }))
}

/** DELETE: ends the session and cancels what runs in it. */
export function serveDelete(door: Door, visit: Visit): void {
  const session = findSession(door, visit)
  if ('status' in session) return refuseHttp(visit, session, null)
  door.sessions.end(session)
  visit.exchange.answer(204, null)
}
