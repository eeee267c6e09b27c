import { codes, type Rejection, type RequestId } from './protocol.ts'
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts'
import { parseIJson } from '../../lib/ijson.ts'

/** One JSON-RPC 2.0 message from a client, read strictly. */
export type Message =
  | {
      readonly kind: 'request'
      readonly id: RequestId
      readonly method: string
      readonly params: JsonObject | null
    }
  | { readonly kind: 'notification'; readonly method: string; readonly params: JsonObject | null }
  | { readonly kind: 'response'; readonly id: RequestId; readonly result: JsonObject | null }

export type Read =
  | { readonly ok: true; readonly message: Message }
  /** `id` is the request's when it could be read, so that the client knows what failed. */
  | { readonly ok: false; readonly id: RequestId | null; readonly rejection: Rejection }

const maxIdChars = 256
const maxMethodChars = 128

/**
 * Reads the body of one POST: strict I-JSON and exactly one message. Two parsers that read different things into one
 * body would let an attacker have one call judged and another one made.
 */
export function readMessage(bytes: Uint8Array): Read {
  const parsed = parseIJson(bytes)
  if (!parsed.ok) {
    const message = `the body is not strict JSON (RFC 7493): ${parsed.problem}, at character ${parsed.at}`
    return { ok: false, id: null, rejection: { status: 400, code: codes.parse, message } }
  }
  const { value } = parsed
  if (Array.isArray(value))
    return invalid(
      null,
      'expected one message, found an array: batches are not accepted; send one message per request',
    )
  if (!isJsonObject(value)) return invalid(null, 'expected a JSON-RPC message: an object')
  const id = readId(value['id'])
  if (value['jsonrpc'] !== '2.0') return invalid(id, 'expected `jsonrpc` to be "2.0"')
  return 'method' in value ? readCall(value, id) : readResponse(value, id)
}

function readCall(value: JsonObject, id: RequestId | null): Read {
  const { method, params } = value
  const stray = Object.keys(value).find((name) => !['jsonrpc', 'id', 'method', 'params'].includes(name))
  if (stray !== undefined)
    return invalid(
      id,
      `expected no member \`${stray.slice(0, 64)}\` beside \`jsonrpc\`, \`id\`, \`method\` and \`params\``,
    )
  if (typeof method !== 'string' || method.length > maxMethodChars)
    return invalid(id, 'expected `method` to be a short text')
  if (params !== undefined && !isJsonObject(params)) return invalid(id, 'expected `params` to be an object')
  const given = params ?? null
  if (!('id' in value)) return { ok: true, message: { kind: 'notification', method, params: given } }
  if (id === null)
    return invalid(null, `expected \`id\` to be an integer or a text of at most ${maxIdChars} characters`)
  return { ok: true, message: { kind: 'request', id, method, params: given } }
}

function readResponse(value: JsonObject, id: RequestId | null): Read {
  const { result, error } = value
  if (id === null || (result === undefined) === (error === undefined)) {
    return invalid(
      id,
      'expected a request or notification with `method`, or a response with `id` and one of `result` and `error`',
    )
  }
  if (result !== undefined && !isJsonObject(result)) return invalid(id, 'expected `result` to be an object')
  return { ok: true, message: { kind: 'response', id, result: result ?? null } }
}

function readId(id: Json | undefined): RequestId | null {
  if (typeof id === 'string') return id.length <= maxIdChars ? id : null
  return typeof id === 'number' && Number.isSafeInteger(id) ? id : null
}

const invalid = (id: RequestId | null, message: string): Read => ({
  ok: false,
  id,
  rejection: { status: 400, code: codes.request, message },
})

/** `params._meta`, or null. */
export function metaOf(params: JsonObject | null): JsonObject | null {
  const meta = params?.['_meta']
  return isJsonObject(meta) ? meta : null
}

/** The progress token of a request, or null: text or integer. */
export function progressToken(params: JsonObject | null): RequestId | null {
  return readId(metaOf(params)?.['progressToken'])
}
