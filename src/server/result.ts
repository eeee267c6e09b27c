import { isJsonObject, type JsonObject } from '../lib/json.ts'
import type { Era } from '../registry/tool.ts'
import { inputKinds, type InputKind, type Operation, type ServerAnswer } from './answer.ts'
import { unknown, type Reply } from './channel.ts'
import { kindOf } from './hear.ts'

const maxInputRequests = 16
const maxStateBytes = 64 * 1024

/**
 * Reads a reply as an answer of one shape for both eras. `resultType`, `_meta` and the caching hints (`ttlMs`,
 * `cacheScope`) are taken off: the door makes its own, and a server's `public` would let one agent's result be shown
 * to another. What the operation cannot answer with is no answer: `unknown`, as the call may have been carried out.
 */
export function answerOf(reply: Reply, asked: AskedFor): ServerAnswer {
  const { operation, era } = asked
  if (reply.kind === 'error') return errorOf(reply, asked)
  if (reply.kind !== 'result') return reply
  const { resultType = 'complete', _meta, ttlMs: _ttl, cacheScope: _scope, ...result } = reply.result
  void _meta
  if (resultType === 'input_required' && era === 'modern' && operation !== 'complete')
    return inputOf(result, asked.inputs)
  if (resultType !== 'complete')
    return unknown('bad-answer', 'the server answered with a type of result that it was not offered')
  const problem = problemOf(operation, result)
  if (problem !== null) return unknown('bad-answer', problem)
  return {
    kind: 'result',
    result: operation === 'call' ? { content: [], ...result } : result,
    isError: result.isError === true,
  }
}

export type AskedFor = {
  readonly operation: Operation
  readonly era: Era
  /** What the server was told that it may ask for in this call, and what it could be told at most. */
  readonly inputs: readonly InputKind[]
  readonly passedOn: readonly InputKind[]
}

/** Errors about headers, revision, capabilities and links are about this broker; an agent would take them for its own. */
const aboutUs: ReadonlySet<number> = new Set([-32020, -32021, -32022, -32042])

function errorOf(
  { code, message, data }: Extract<Reply, { readonly kind: 'error' }>,
  { inputs, passedOn }: AskedFor,
): ServerAnswer {
  if (!aboutUs.has(code)) return { kind: 'error', code, message, data }
  const needs = code === missingCapability ? missingFrom(data, inputs) : []
  // Said again in our own words, and only when it helps: another client could give what this one cannot.
  if (needs.length > 0 && needs.every((kind) => passedOn.includes(kind))) {
    const missing = 'the server needs something of the client that it has not declared'
    return { kind: 'error', code: -32603, message: missing, data: null, needs }
  }
  const detail = `the server wants what this broker does not offer (its error ${code})`
  return { kind: 'error', code: -32603, message: detail, data: null }
}

const missingCapability = -32021

/** Which of the capabilities that the server misses the client was not said to have. */
function missingFrom(data: JsonObject | null, inputs: readonly InputKind[]): readonly InputKind[] {
  const required = isJsonObject(data?.requiredCapabilities) ? data.requiredCapabilities : {}
  return inputKinds.filter((kind) => {
    if (inputs.includes(kind)) return false
    const { elicitation } = required
    if (kind === 'sampling' || kind === 'roots') return required[kind] !== undefined
    if (!isJsonObject(elicitation)) return false
    return kind in elicitation || (kind === 'form' && !('url' in elicitation))
  })
}

function problemOf(operation: Operation, result: JsonObject): string | null {
  switch (operation) {
    case 'call':
      if (result.content !== undefined && !areObjects(result.content))
        return 'expected `content` to be a list of objects'
      return result.isError === undefined || typeof result.isError === 'boolean'
        ? null
        : 'expected `isError` to be a boolean'
    case 'read':
      return areObjects(result.contents) ? null : 'expected `contents` to be a list of objects'
    case 'get':
      return areObjects(result.messages) ? null : 'expected `messages` to be a list of objects'
    case 'subscribe':
      return null
    case 'complete':
      return isJsonObject(result.completion) && Array.isArray(result.completion.values)
        ? null
        : 'expected `completion` with `values`'
  }
}

const areObjects = (value: unknown): boolean => Array.isArray(value) && value.every(isJsonObject)

/** MCP 2026-07-28, multi-round-trip requests: a server must not ask for what was not declared. */
function inputOf(
  { inputRequests = {}, requestState }: JsonObject,
  inputs: readonly InputKind[],
): ServerAnswer {
  if (!isJsonObject(inputRequests)) return unknown('bad-answer', 'expected `inputRequests` to be an object')
  if (requestState !== undefined && typeof requestState !== 'string')
    return unknown('bad-answer', 'expected `requestState` to be text')
  if (typeof requestState === 'string' && Buffer.byteLength(requestState) > maxStateBytes) {
    return unknown('too-large', `the server's state is larger than ${maxStateBytes} bytes`)
  }
  const wanted = Object.values(inputRequests)
  if (wanted.length === 0 && requestState === undefined)
    return unknown('bad-answer', 'expected `inputRequests` or `requestState`')
  if (wanted.length > maxInputRequests)
    return unknown('bad-answer', `expected at most ${maxInputRequests} input requests`)
  const offered = wanted.every((each) => {
    if (!isJsonObject(each)) return false
    const { method, params = {} } = each
    const kind = isJsonObject(params) ? kindOf(method, params) : null
    return kind !== null && inputs.includes(kind)
  })
  if (!offered) return unknown('bad-answer', 'the server asked for input that it was not offered')
  return { kind: 'input', inputRequests, requestState: requestState ?? null }
}
