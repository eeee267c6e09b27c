import {
  askedOf,
  inputRequired,
  makeCall,
  rejectionAnswer,
  type Calling,
  type Need,
  type NextStep,
} from './call.ts'
import { codes, isCallMethod, isListMethod, keys, modernVersions, type Rejection } from './protocol.ts'
import { capabilities, endpointProblem, instructions, serverInfo } from './view.ts'
import { checkHeaders, checkParams } from './headers.ts'
import { createReply, type Reply } from './reply.ts'
import { isLogLevel } from '../../server/log.ts'
import { isRefused } from '../../call/refusal.ts'
import { isJsonObject, type JsonObject } from '../../lib/json.ts'
import { listen } from './listen.ts'
import { newId } from '../../lib/id.ts'
import { wireOutcome, wireRefused, type Asked } from '../wire.ts'
import { metaOf, progressToken, type Message } from './message.ts'
import { readInputRequests } from './input.ts'
import { readName } from './name.ts'
import { taskOf } from './identity.ts'
import type { Door, Visit } from './door.ts'
import type { LogLevel } from '../../server/answer.ts'
import type { Task } from '../../task/task.ts'

type Request = Extract<Message, { kind: 'request' }>

/** Server state larger than this is not carried for it. */
const upstreamStateChars = 32 * 1024

/** One request of MCP 2026-07-28: no session, no handshake; all that is known is in it. */
export async function serveModern(
  door: Door,
  visit: Visit,
  message: Request,
  declared: JsonObject,
): Promise<void> {
  const { exchange } = visit
  const reply = createReply(exchange, {
    id: message.id,
    token: progressToken(message.params),
    finish: (result) => finish(door, message.method, result),
  })
  const rejection = checkHeaders(message, exchange.header) ?? unknownMethod(message.method)
  if (rejection !== null) return reply.answer(rejectionAnswer(rejection))
  if (isCallMethod(message.method))
    return call(door, visit, { message, method: message.method, declared, reply })
  const task = await taskOf(door.ports, visit.caller)
  if (isRefused(task)) return reply.answer(wireRefused(task, plain(message.method)))
  const problem = endpointProblem(door.ports, visit.endpoint, task)
  if (problem !== null) return reply.answer(wireRefused(problem, plain(message.method)))
  if (message.method === 'subscriptions/listen') return listen(door, visit, message, reply)
  answerView(door, visit, { message, task, reply })
}

const methods: ReadonlySet<string> = new Set(['server/discover', 'subscriptions/listen'])

/** Also those that 2026-07-28 removed: `initialize`, `ping`, `logging/setLevel` and the rest. */
const unknownMethod = (method: string): Rejection | null =>
  isCallMethod(method) || isListMethod(method) || methods.has(method)
    ? null
    : {
        status: 404,
        code: codes.method,
        message: `the method \`${method.slice(0, 64)}\` is not one of revision 2026-07-28 that is served here`,
      }

const plain = (method: string): Asked => ({ method, era: 'modern', call: '', uri: null, outputSchema: false })

/** What every result of this era carries: its type, who answers, and for cacheable ones for how long and whom. */
function finish(door: Door, method: string, result: JsonObject): JsonObject {
  const meta = isJsonObject(result['_meta']) ? result['_meta'] : {}
  const type = result['resultType'] ?? 'complete'
  const ttlMs =
    isListMethod(method) || method === 'server/discover'
      ? door.ports.settings.listTtlMs
      : method === 'resources/read'
        ? 0
        : null
  return {
    ...result,
    resultType: type,
    // Private: what one identity may see is not another's to find in a shared cache.
    ...(ttlMs !== null && type === 'complete' ? { ttlMs, cacheScope: 'private' } : {}),
    _meta: { ...meta, [keys.server]: serverInfo(door.ports) },
  }
}

type Viewing = { readonly message: Request; readonly task: Task; readonly reply: Reply }

function answerView(door: Door, visit: Visit, { message, task, reply }: Viewing): void {
  const { method, params } = message
  if (isListMethod(method)) {
    const page = door.lists.page(method, {
      endpoint: visit.endpoint,
      task,
      cursor: params?.['cursor'],
      era: 'modern',
    })
    return reply.answer(page.ok ? { kind: 'result', result: page.result } : rejectionAnswer(page.rejection))
  }
  const discovered = {
    supportedVersions: modernVersions,
    capabilities,
    instructions: instructions(door.ports, visit.endpoint, task),
  }
  reply.answer({ kind: 'result', result: discovered })
}

type Called = {
  readonly message: Request
  readonly method: Calling['method']
  readonly declared: JsonObject
  readonly reply: Reply
}

async function call(door: Door, visit: Visit, { message, method, declared, reply }: Called): Promise<void> {
  const params = message.params ?? {}
  const rejection = method === 'tools/call' ? mirrored(door, visit, params) : null
  if (rejection !== null) return reply.answer(rejectionAnswer(rejection))
  await makeCall({
    ports: door.ports,
    hold: door.hold,
    sealer: door.sealer,
    endpoint: visit.endpoint,
    method,
    params,
    credential: visit.credential,
    caller: visit.caller,
    era: 'modern',
    capabilities: declared,
    log: logWanted(message),
    reply,
    // Closing the stream is how a modern client cancels.
    signal: visit.exchange.gone,
    closing: visit.exchange.closing,
    input: askByAnswer,
  })
}

/** MCP 2026-07-28: log lines are for requests that ask for them. What is no level of MCP asks for none. */
function logWanted({ params }: Request): LogLevel | null {
  const level = metaOf(params)?.[keys.log]
  return isLogLevel(level) ? level : null
}

/** `Mcp-Param-*` against the reviewed schema. What cannot be resolved is the path's to refuse. */
function mirrored(door: Door, visit: Visit, params: JsonObject): Rejection | null {
  const { name, arguments: args } = params
  const named = typeof name === 'string' ? readName(visit.endpoint, name) : null
  const tool =
    named === null
      ? null
      : door.ports.registry.find({ server: named.server, operation: 'call', name: named.name })
  const schema = (tool?.pinned ?? tool?.definition)?.inputSchema
  if (schema === undefined || !isJsonObject(args)) return null
  return checkParams({ schema, mirrors: door.mirrors }, args, visit.exchange.header)
}

/** The server needs more: the client is asked by the answer, and its retry is the next leg of the chain. */
async function askByAnswer(calling: Calling, { leg, asked, ask }: Need): Promise<NextStep> {
  const { ports, capabilities: declared, method } = calling
  const round = leg.round + 1
  const refused = inputProblem(calling, asked, round)
  if (refused !== null)
    return { kind: 'answer', answer: wireOutcome(refused.code, refused, askedOf(calling, leg)) }
  const read = readInputRequests(asked.inputRequests, { allowed: ports.settings.inputs, declared })
  if (!read.ok && read.why === 'capability') {
    const message = 'the server needs input that this client has not declared that it can give'
    return {
      kind: 'answer',
      answer: rejectionAnswer({
        status: 400,
        code: codes.capability,
        message,
        data: { requiredCapabilities: read.required },
      }),
    }
  }
  if (!read.ok || method === 'completion/complete') {
    const text = read.ok ? 'The server asked for input in the middle of a completion.' : read.problem
    return {
      kind: 'answer',
      answer: wireOutcome('input-refused', { text, next: stopped }, askedOf(calling, leg)),
    }
  }
  const requests = Object.fromEntries(
    read.requests.map(({ key, method: wanted, params }) => [key, { method: wanted, params }]),
  )
  const state = {
    kind: 'input',
    chain: leg.chain,
    upstream: asked.requestState,
    ask,
    asked: Object.fromEntries(read.requests.map((request) => [request.key, request.method])),
    round,
    next: newId('c'),
  } as const
  return {
    kind: 'answer',
    answer: inputRequired(calling, state, ports.clock.now() + ports.settings.inputMs, requests),
  }
}

export const stopped = 'The call was stopped there; do not repeat it unchanged.'

/** What no client can help. Null when there is no such problem. */
export function inputProblem(
  { ports }: Pick<Calling, 'ports'>,
  asked: Need['asked'],
  round: number,
): { readonly code: 'too-many-legs' | 'input-refused'; readonly text: string; readonly next: string } | null {
  if (round > ports.settings.rounds) {
    return {
      code: 'too-many-legs',
      text: `The server asked for input more than ${ports.settings.rounds} times in one call.`,
      next: stopped,
    }
  }
  if ((asked.requestState?.length ?? 0) > upstreamStateChars) {
    return {
      code: 'input-refused',
      text: 'The server asked for input with a state that is too large to carry.',
      next: stopped,
    }
  }
  return null
}
