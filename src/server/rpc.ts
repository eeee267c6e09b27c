import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { parseIJson } from '../lib/ijson.ts'

/** One JSON-RPC 2.0 message from a server, read strictly. */
export type Message =
  /** `id` is null where the answer is to no request of ours: all our ids are numbers. */
  | { readonly kind: 'result'; readonly id: number | null; readonly result: JsonObject }
  | {
      readonly kind: 'error'
      readonly id: number | null
      readonly code: number
      readonly message: string
      readonly data: JsonObject | null
    }
  | { readonly kind: 'request'; readonly id: Json; readonly method: string; readonly params: JsonObject }
  | { readonly kind: 'notification'; readonly method: string; readonly params: JsonObject }
  /** Not a message. `id` is whose answer it seems to be: it only says which call is told of the damage. */
  | { readonly kind: 'bad'; readonly id: number | null; readonly problem: string }

const maxErrorText = 4_096

/**
 * Reads one message. What is not strict I-JSON (RFC 7493) is bad: a second parser could read another answer into the
 * same bytes. Batches (removed in 2025-06-18) are bad as well.
 */
export function readMessage(bytes: Uint8Array, limit: number): Message {
  const parsed = parseIJson(bytes, { bytes: limit, members: 1_000_000 })
  if (!parsed.ok) return { kind: 'bad', id: blame(bytes), problem: parsed.problem }
  const { value } = parsed
  if (!isJsonObject(value)) return { kind: 'bad', id: null, problem: 'expected one JSON-RPC message' }
  const id = typeof value.id === 'number' ? value.id : null
  if (value.jsonrpc !== '2.0') return { kind: 'bad', id, problem: 'expected `jsonrpc` to be `2.0`' }
  if (typeof value.method === 'string') return readCall(value, value.method)
  return readResponse(value, id)
}

function readCall(value: JsonObject, method: string): Message {
  const params = value.params === undefined ? {} : value.params
  if (!isJsonObject(params)) return { kind: 'bad', id: null, problem: 'expected `params` to be an object' }
  if (value.id === undefined) return { kind: 'notification', method, params }
  if (typeof value.id !== 'string' && typeof value.id !== 'number') {
    return { kind: 'bad', id: null, problem: 'expected a request id of text or number' }
  }
  return { kind: 'request', id: value.id, method, params }
}

function readResponse(value: JsonObject, id: number | null): Message {
  const { result, error } = value
  if (result !== undefined && error !== undefined)
    return { kind: 'bad', id, problem: 'expected either `result` or `error`' }
  if (isJsonObject(result)) return { kind: 'result', id, result }
  if (!isJsonObject(error)) return { kind: 'bad', id, problem: 'expected a `result` object or an `error`' }
  const { code, message, data } = error
  if (typeof code !== 'number' || !Number.isSafeInteger(code) || typeof message !== 'string') {
    return { kind: 'bad', id, problem: 'expected an error with `code` and `message`' }
  }
  return {
    kind: 'error',
    id,
    code,
    message: message.slice(0, maxErrorText).toWellFormed(),
    data: errorData(data),
  }
}

/** Data that is no object is wrapped, so that it is not lost. */
const errorData = (data: Json | undefined): JsonObject | null => {
  if (data === undefined || data === null) return null
  return isJsonObject(data) ? data : { value: data }
}

/**
 * Whose answer unreadable bytes were meant to be, as far as a lenient reader can tell. Nothing but the blame is taken
 * from it: that call ends at once as `unknown` instead of waiting for its time limit.
 */
function blame(bytes: Uint8Array): number | null {
  try {
    const value: unknown = JSON.parse(
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(),
    )
    const id: unknown = typeof value === 'object' && value !== null && 'id' in value ? value.id : null
    return typeof id === 'number' ? id : null
  } catch {
    return null
  }
}

/** Our own serialisation of a message; `JSON.stringify` writes well-formed text for what strict parsing let in. */
export const writeMessage = (
  message: { readonly id?: Json } & ({ readonly method: string; readonly params: JsonObject } | { readonly result: JsonObject } | { readonly error: JsonObject }), // prettier-ignore
): string => JSON.stringify({ jsonrpc: '2.0', ...message })
