import { badParams, type CallMethod, type Rejection } from './protocol.ts'
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts'
import { readName, readUri, type Endpoint, type Named } from './name.ts'
import type { Operation } from '../../server/answer.ts'
import type { Wanted } from '../../call/states.ts'

/** What a call is for, as the path wants it. */
export type Target = {
  readonly wanted: Wanted
  readonly arguments: JsonObject
  /** As the client wrote it: part of what a request state is bound to, and said in errors. */
  readonly shown: string
}

export type ReadTarget =
  { readonly ok: true; readonly target: Target } | { readonly ok: false; readonly rejection: Rejection }

const longest = 4_096

/**
 * From a method and its parameters to what is wanted of which server. Arguments are: of a tool its own, of a prompt
 * its own, of a read or a subscription `{ uri }`, of a completion `{ ref, argument, context? }` with the server's own name or URI in `ref`.
 */
export function readTarget(endpoint: Endpoint, method: CallMethod, params: JsonObject): ReadTarget {
  switch (method) {
    case 'tools/call':
      return named(endpoint, params, { operation: 'call', args: (args) => args })
    case 'prompts/get':
      return named(endpoint, params, { operation: 'get', args: texts })
    case 'resources/read':
      return read(endpoint, params, 'read')
    case 'resources/subscribe':
      return read(endpoint, params, 'subscribe')
    case 'completion/complete':
      return complete(endpoint, params)
  }
}

type Form = { readonly operation: Operation; readonly args: (args: JsonObject) => JsonObject | null }

function named(endpoint: Endpoint, params: JsonObject, { operation, args }: Form): ReadTarget {
  const { name, arguments: given = {} } = params
  if (typeof name !== 'string' || name.length === 0 || name.length > longest)
    return bad('expected `params.name` to be a name from the list')
  if (!isJsonObject(given)) return bad('expected `params.arguments` to be an object')
  const checked = args(given)
  if (checked === null) return bad('expected every argument of a prompt to be a text')
  return found(readName(endpoint, name), { operation, args: checked, shown: name })
}

function read(endpoint: Endpoint, params: JsonObject, operation: 'read' | 'subscribe'): ReadTarget {
  const { uri } = params
  if (typeof uri !== 'string' || uri.length === 0 || uri.length > longest)
    return bad('expected `params.uri` to be a URI')
  const target = readUri(endpoint, uri)
  return found(target, { operation, args: { uri: target?.name ?? uri }, shown: uri })
}

function complete(endpoint: Endpoint, params: JsonObject): ReadTarget {
  const { ref, argument, context } = params
  if (
    !isJsonObject(argument) ||
    typeof argument['name'] !== 'string' ||
    typeof argument['value'] !== 'string'
  ) {
    return bad('expected `params.argument` with `name` and `value` as texts')
  }
  const known = readContext(context)
  if (known === null) return bad('expected `params.context.arguments` to be an object of texts')
  const place = isJsonObject(ref) ? readRef(endpoint, ref) : null
  if (place === null)
    return bad('expected `params.ref` of type `ref/prompt` with `name`, or `ref/resource` with `uri`')
  const args = { ref: place.ref, argument: { name: argument['name'], value: argument['value'] }, ...known }
  return found(place.named, { operation: 'complete', args, shown: place.shown })
}

function readRef(
  endpoint: Endpoint,
  ref: JsonObject,
): { readonly ref: JsonObject; readonly named: Named | null; readonly shown: string } | null {
  const { type, name, uri } = ref
  if (type === 'ref/prompt' && typeof name === 'string' && name.length <= longest) {
    const named = readName(endpoint, name)
    return { ref: { type, name: named?.name ?? name }, named, shown: name }
  }
  if (type === 'ref/resource' && typeof uri === 'string' && uri.length <= longest) {
    const named = readUri(endpoint, uri)
    return { ref: { type, uri: named?.name ?? uri }, named, shown: uri }
  }
  return null
}

function readContext(context: Json | undefined): JsonObject | null {
  if (context === undefined) return {}
  if (!isJsonObject(context)) return null
  const { arguments: given = {} } = context
  const checked = isJsonObject(given) ? texts(given) : null
  return checked === null ? null : { context: { arguments: checked } }
}

const texts = (args: JsonObject): JsonObject | null =>
  Object.values(args).every((value) => typeof value === 'string') ? args : null

/** A name that cannot be one of a server's is handed on as it is: the path refuses it, with an entry. */
function found(
  named: Named | null,
  made: { readonly operation: Operation; readonly args: JsonObject; readonly shown: string },
): ReadTarget {
  const { server, name } = named ?? { server: '', name: made.shown }
  return {
    ok: true,
    target: { wanted: { server, operation: made.operation, name }, arguments: made.args, shown: made.shown },
  }
}

const bad = (message: string): ReadTarget => ({ ok: false, rejection: badParams(message) })
