import type { Named } from '../credential/secret.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import { isJsonObject } from '../lib/json.ts'
import type { LogLine, ServerAnswer } from '../server/answer.ts'
import { hitsIn, needleOf } from './needle.ts'
import type { Hit, Needle } from './needle.ts'

/**
 * Takes lent secrets out of what a server says (I5), pure and in time linear in the answer for a given secret. Found:
 * plain, percent-encoded, HTML-entity, JSON-escaped (and two layers of these), hex, base64 and base64url at any
 * alignment, in values, keys, numbers and inside base64 `data` and `blob` fields. Secrets below six characters only as
 * whole tokens. Not found: compressed, encrypted or split into pieces; a server that means harm can always say a
 * secret in a way that nobody recognises, which is why it is lent only what its own configuration names.
 */
export type Redacted<Value> = {
  readonly value: Value
  readonly counts: { readonly [secret: string]: number }
}

export const mark = '[secret]'

/** Stands for a field that could not be cleaned piece by piece; base64, so that the field stays what it claims to be. */
export const withheldBlob = Buffer.from('[withheld]').toString('base64')

/** Names of fields whose strings are base64 in MCP (image, audio, embedded resources). */
const blobFields: ReadonlySet<string> = new Set(['data', 'blob'])

/** Every occurrence of the secrets replaced by `[secret]`, counted by the secret's name. The input is not changed. */
export function redact(value: Json, lent: readonly Named[]): Redacted<Json> {
  const needles = lent.flatMap(({ name, value: secret }) => needleOf(name, secret.reveal()) ?? [])
  if (needles.length === 0) return { value, counts: {} }
  const counts = new Map<string, number>()
  return { value: clean(value, needles, counts), counts: Object.fromEntries(counts) }
}

/** All of a server's answer: results, errors, questions and the broker's own words about a failure. */
export function redactAnswer(answer: ServerAnswer, lent: readonly Named[]): Redacted<ServerAnswer> {
  switch (answer.kind) {
    case 'result': {
      const { value, counts } = redactObject(answer.result, lent)
      const log = redactLog(answer, lent)
      return { value: { ...answer, result: value, ...log.value }, counts: sum(counts, log.counts) }
    }
    case 'error': {
      const message = redactText(answer.message, lent)
      const data = answer.data === null ? { value: null, counts: {} } : redactObject(answer.data, lent)
      const log = redactLog(answer, lent)
      return {
        value: { ...answer, message: message.value, data: data.value, ...log.value },
        counts: sum(sum(message.counts, data.counts), log.counts),
      }
    }
    case 'input': {
      const requests = redactObject(answer.inputRequests, lent)
      const state =
        answer.requestState === null ? { value: null, counts: {} } : redactText(answer.requestState, lent)
      const log = redactLog(answer, lent)
      const value = { ...answer, inputRequests: requests.value, requestState: state.value, ...log.value }
      return { value, counts: sum(sum(requests.counts, state.counts), log.counts) }
    }
    case 'not-sent': {
      const { value, counts } = redactText(answer.detail, lent)
      return { value: { ...answer, detail: value }, counts }
    }
    case 'unknown': {
      const { value, counts } = redactText(answer.detail, lent)
      return { value: { ...answer, detail: value }, counts }
    }
  }
}

type Log = { readonly log?: readonly LogLine[] }

function redactLog({ log }: Log, lent: readonly Named[]): Redacted<Log> {
  if (log === undefined) return { value: {}, counts: {} }
  const { value, counts } = redact(
    log.map(({ logger, data }) => [logger ?? null, data]),
    lent,
  )
  const cleaned = Array.isArray(value) ? value : []
  const lines = log.map((line, index): LogLine => {
    const [logger, data = null] = Array.isArray(cleaned[index]) ? cleaned[index] : []
    return { level: line.level, ...(typeof logger === 'string' ? { logger } : {}), data }
  })
  return { value: { log: lines }, counts }
}

/** For error messages and log lines. */
export function redactText(text: string, lent: readonly Named[]): Redacted<string> {
  const { value, counts } = redact(text, lent)
  return { value: typeof value === 'string' ? value : mark, counts }
}

function redactObject(object: JsonObject, lent: readonly Named[]): Redacted<JsonObject> {
  const { value, counts } = redact(object, lent)
  return { value: isJsonObject(value) ? value : {}, counts }
}

type Counts = Map<string, number>
type Slot = { readonly from: Json; readonly field: string; put: (value: Json) => void }

/** Walks with a list of its own instead of recursion: depth costs memory, not the stack. */
function clean(root: Json, needles: readonly Needle[], counts: Counts): Json {
  let result: Json = null
  const slots: Slot[] = [{ from: root, field: '', put: (value) => (result = value) }]
  for (let slot = slots.pop(); slot !== undefined; slot = slots.pop()) {
    const { from, field, put } = slot
    if (typeof from === 'string') put(cleanString(from, field, needles, counts))
    else if (typeof from === 'number') put(cleanNumber(from, needles, counts))
    else if (Array.isArray(from)) put(cleanArray(from, slots))
    else if (isJsonObject(from)) put(cleanObject(from, slots, needles, counts))
    else put(from)
  }
  return result
}

function cleanArray(from: readonly Json[], slots: Slot[]): Json {
  const to: Json[] = Array.from(from, () => null)
  from.forEach((item, index) => slots.push({ from: item, field: '', put: (value) => (to[index] = value) }))
  return to
}

function cleanObject(
  from: JsonObject,
  slots: Slot[],
  needles: readonly Needle[],
  counts: Counts,
): JsonObject {
  const to: { [name: string]: Json } = {}
  const numbers = new Map<string, number>()
  for (const [field, value] of Object.entries(from)) {
    const key = unused(cleanText(field, needles, counts), to, numbers)
    // Defined, never assigned: a key `__proto__` in an answer must stay a key.
    Object.defineProperty(to, key, { value: null, enumerable: true, writable: true, configurable: true })
    const put = (cleaned: Json): void => void Object.defineProperty(to, key, { value: cleaned })
    slots.push({ from: value, field, put })
  }
  return to
}

/** Goes on from the last number of each key: a server could spell one secret in thousands of keys to stop the broker here. */
function unused(key: string, object: JsonObject, numbers: Map<string, number>): string {
  if (!Object.hasOwn(object, key)) return key
  for (let number = numbers.get(key) ?? 2; ; number += 1) {
    const next = `${key} (${number})`
    if (Object.hasOwn(object, next)) continue
    numbers.set(key, number + 1)
    return next
  }
}

function cleanNumber(value: number, needles: readonly Needle[], counts: Counts): Json {
  const text = String(value)
  const hits = hitsIn(text, needles)
  count(hits, counts)
  return hits.length === 0 ? value : mark
}

function cleanString(text: string, field: string, needles: readonly Needle[], counts: Counts): string {
  if (blobFields.has(field) && /^[A-Za-z0-9+/_=\s-]{8,}$/.test(text)) {
    const hits = hitsIn(Buffer.from(text, 'base64').toString('utf8'), needles)
    const coded = hits.length > 0 ? hits : hitsIn(text, needles)
    count(coded, counts)
    return coded.length > 0 ? withheldBlob : text
  }
  return cleanText(text, needles, counts)
}

function cleanText(text: string, needles: readonly Needle[], counts: Counts): string {
  const hits = hitsIn(text, needles)
  if (hits.length === 0) return text
  count(hits, counts)
  const out: string[] = []
  let end = 0
  for (const hit of hits) {
    if (hit.start >= end) out.push(text.slice(end, hit.start), mark)
    end = Math.max(end, hit.end)
  }
  return out.join('') + text.slice(end)
}

/** One place found in several views is one occurrence. */
function count(hits: readonly Hit[], counts: Counts): void {
  const ends = new Map<string, number>()
  for (const { name, start, end } of hits) {
    if (start >= (ends.get(name) ?? 0)) counts.set(name, (counts.get(name) ?? 0) + 1)
    ends.set(name, Math.max(ends.get(name) ?? 0, end))
  }
}

function sum(a: Redacted<unknown>['counts'], b: Redacted<unknown>['counts']): Redacted<unknown>['counts'] {
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])]
  return Object.fromEntries(names.map((name) => [name, (a[name] ?? 0) + (b[name] ?? 0)]))
}
