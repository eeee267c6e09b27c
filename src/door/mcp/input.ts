import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts'
import { readAnyResponse, readResponse } from '../../server/respond.ts'
import type { InputKind } from '../../server/answer.ts'

/** One thing that a server asks for, as it may be passed on. */
export type InputRequest = {
  readonly key: string
  readonly kind: InputKind
  readonly method: string
  readonly params: JsonObject
}

export type InputRequests =
  | { readonly ok: true; readonly requests: readonly InputRequest[] }
  /** The broker passes no such thing on. */
  | { readonly ok: false; readonly why: 'refused'; readonly problem: string }
  /** The client has not said that it can answer it; as capabilities of MCP. */
  | { readonly ok: false; readonly why: 'capability'; readonly required: JsonObject }

export const atOnce = 16
const messageChars = 8_192

/**
 * What a server asks for, checked against what the broker passes on and what the client declared. MCP 2026-07-28: a
 * server must not ask for what the client did not declare; our upstream only knows *our* capabilities, so it is us.
 */
export function readInputRequests(
  asked: JsonObject,
  rules: { readonly allowed: readonly InputKind[]; readonly declared: JsonObject },
): InputRequests {
  const entries = Object.entries(asked)
  if (entries.length > atOnce)
    return refused(`asked for ${entries.length} things at once; at most ${atOnce} are passed on`)
  const requests: InputRequest[] = []
  let required: JsonObject = {}
  for (const [key, entry] of entries) {
    const request = readRequest(key, entry)
    if (request === null) return refused('asked in a form that MCP does not know')
    if (!rules.allowed.includes(request.kind))
      return refused(`asked for \`${request.method}\` (${request.kind}), which this broker does not pass on`)
    if (!declares(rules.declared, request.kind)) required = { ...required, ...capability[request.kind] }
    requests.push(request)
  }
  return Object.keys(required).length > 0
    ? { ok: false, why: 'capability', required }
    : { ok: true, requests }
}

const refused = (problem: string): InputRequests => ({
  ok: false,
  why: 'refused',
  problem: `The server ${problem}.`,
})

function readRequest(key: string, entry: Json): InputRequest | null {
  if (!isJsonObject(entry)) return null
  const { method, params = {} } = entry
  if (!isJsonObject(params)) return null
  const { _meta, task, ...rest } = params
  void _meta
  void task
  switch (method) {
    case 'elicitation/create':
      return rest['mode'] === 'url' ? readUrl(key, rest) : readForm(key, rest)
    case 'sampling/createMessage':
      return { key, kind: 'sampling', method, params: sampled(rest) }
    case 'roots/list':
      return { key, kind: 'roots', method, params: {} }
    default:
      return null
  }
}

/** Without tools and without the client's other context: neither was offered. */
const sampled = (params: JsonObject): JsonObject =>
  Object.fromEntries(
    ['messages', 'modelPreferences', 'systemPrompt', 'maxTokens', 'temperature', 'stopSequences'].flatMap(
      (name) => (params[name] === undefined ? [] : [[name, params[name]]]),
    ),
  )

function readForm(key: string, params: JsonObject): InputRequest | null {
  const { message, requestedSchema } = params
  if (typeof message !== 'string' || message.length > messageChars || !isJsonObject(requestedSchema))
    return null
  return {
    key,
    kind: 'form',
    method: 'elicitation/create',
    params: { mode: 'form', message, requestedSchema },
  }
}

/** Only what a person can be sent to safely: https, or this machine. No credentials in the URL. */
function readUrl(key: string, params: JsonObject): InputRequest | null {
  const { message, url } = params
  if (
    typeof message !== 'string' ||
    message.length > messageChars ||
    typeof url !== 'string' ||
    !URL.canParse(url)
  )
    return null
  const parsed = new URL(url)
  const loopback =
    parsed.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(parsed.hostname)
  if (parsed.username !== '' || parsed.password !== '' || !(parsed.protocol === 'https:' || loopback))
    return null
  return { key, kind: 'url', method: 'elicitation/create', params: { mode: 'url', message, url } }
}

const capability: { readonly [kind in InputKind]: JsonObject } = {
  form: { elicitation: { form: {} } },
  url: { elicitation: { url: {} } },
  sampling: { sampling: {} },
  roots: { roots: {} },
}

/** What a client can be asked for, of what is passed on. */
export const inputsOf = (declared: JsonObject, allowed: readonly InputKind[]): readonly InputKind[] =>
  allowed.filter((kind) => declares(declared, kind))

/** `elicitation: {}` means forms: so it was read before there were modes. */
function declares(declared: JsonObject, kind: InputKind): boolean {
  const { elicitation } = declared
  switch (kind) {
    case 'form':
      return isJsonObject(elicitation) && ('form' in elicitation || !('url' in elicitation))
    case 'url':
      return isJsonObject(elicitation) && 'url' in elicitation
    case 'sampling':
    case 'roots':
      return isJsonObject(declared[kind])
  }
}

export type InputResponses =
  { readonly ok: true; readonly responses: JsonObject } | { readonly ok: false; readonly problem: string }

/** What came back, for the keys that were asked; the rest is dropped. Judged as arguments later. */
export function readInputResponses(given: Json | undefined, asked: JsonObject): InputResponses {
  if (given === undefined) return { ok: true, responses: {} }
  if (!isJsonObject(given)) return { ok: false, problem: 'expected `params.inputResponses` to be an object' }
  const responses: { [key: string]: Json } = {}
  for (const [key, method] of Object.entries(asked)) {
    const response = Object.hasOwn(given, key) ? given[key] : undefined
    if (response === undefined) continue
    const read = readResponse(method, response)
    if (read === null)
      return {
        ok: false,
        problem: `expected the response to \`${key.slice(0, 64)}\` in the form that MCP has for it`,
      }
    Object.defineProperty(responses, key, {
      value: read,
      enumerable: true,
      configurable: true,
      writable: true,
    })
  }
  return { ok: true, responses }
}

/**
 * Answers that come with a first request, to questions that nobody put yet: a client that knows what a server asks may
 * say it at once. They belong to no chain, so that they cost and are judged like any call; what has no shape of an
 * answer is refused, and which of them are of use is the server's to know.
 */
export function readEarlyResponses(given: Json): InputResponses {
  const entries = isJsonObject(given) ? Object.entries(given) : null
  if (entries === null || entries.length > atOnce)
    return {
      ok: false,
      problem: `expected \`params.inputResponses\` to be an object of at most ${atOnce} answers`,
    }
  const read = entries.map(([key, response]): [string, JsonObject | null] => [key, readAnyResponse(response)])
  const bad = read.find(([, response]) => response === null)
  if (bad !== undefined)
    return {
      ok: false,
      problem: `expected \`params.inputResponses\` to hold answers, as of an elicitation; \`${bad[0].slice(0, 64)}\` is none`,
    }
  return { ok: true, responses: Object.fromEntries(read) }
}
