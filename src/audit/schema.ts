import type { Json, JsonObject } from '../lib/json.ts'
import { isJsonObject } from '../lib/json.ts'

/**
 * Who may see a field. `public`: the bare form of an entry. `internal`: names of agents, tasks, tools and policies.
 * `personal`: names a person, or holds words that a person wrote. `commitment`: a salted digest of a payload.
 * Payloads and secrets have no class because no field may hold them.
 */
export type FieldClass = 'public' | 'internal' | 'personal' | 'commitment'

export type Shape =
  | { readonly is: 'text'; readonly max: number; readonly empty?: boolean }
  | { readonly is: 'matching'; readonly pattern: RegExp; readonly like: string }
  | { readonly is: 'one-of'; readonly values: readonly (string | number)[] }
  | { readonly is: 'count' }
  | { readonly is: 'number' }
  | { readonly is: 'flag' }
  | { readonly is: 'list'; readonly of: Shape; readonly max: number }
  | { readonly is: 'map'; readonly of: Shape; readonly max: number }
  | { readonly is: 'record'; readonly fields: Fields }
  | { readonly is: 'nullable'; readonly of: Shape }
  /** Free members, for acts alone. The class holds for all of them. */
  | { readonly is: 'object' }

/** `optional`: came later than the first entries, which are whole without it. */
export type Field = { readonly class: FieldClass; readonly shape: Shape; readonly optional?: true }
export type Fields = { readonly [name: string]: Field }

const name: Shape = { is: 'text', max: 512 }
const words: Shape = { is: 'text', max: 32_768, empty: true }
const names: Shape = { is: 'list', of: name, max: 1024 }
const time: Shape = {
  is: 'matching',
  pattern: /^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$/,
  like: 'RFC 3339 in UTC with milliseconds',
}
const commitment: Shape = {
  is: 'matching',
  pattern: /^sha256:[0-9a-f]{64}$/,
  like: '`sha256:` and 64 hexadecimal digits',
}
const oneOf = (...values: readonly (string | number)[]): Shape => ({ is: 'one-of', values })
const orNull = (of: Shape): Shape => ({ is: 'nullable', of })
const record = (fields: Fields): Shape => ({ is: 'record', fields })
const list = (of: Shape): Shape => ({ is: 'list', of, max: 1024 })

const open = (shape: Shape): Field => ({ class: 'public', shape })
const internal = (shape: Shape): Field => ({ class: 'internal', shape })
const personal = (shape: Shape): Field => ({ class: 'personal', shape })
const committed = (shape: Shape): Field => ({ class: 'commitment', shape })

// The lists below are part of the format: a verifier must not need the broker. A test holds them to the broker's own.
const proof = oneOf('terminal', 'passphrase', 'passkey')

const who = record({
  kind: open(oneOf('agent', 'person')),
  name: personal(name),
  onBehalfOf: personal({ is: 'text', max: 512, empty: true }),
  proven: internal(name),
  issuer: internal({ is: 'text', max: 2048, empty: true }),
})
const what = record({
  tool: internal({ is: 'text', max: 4096 }),
  digest: internal(name),
  effects: internal(list(oneOf('read', 'write', 'delete', 'execute', 'egress', 'spend'))),
  operation: internal(name),
})
const labels = record({
  confidentiality: internal(oneOf('public', 'internal', 'confidential', 'secret')),
  integrity: internal(oneOf('trusted', 'untrusted')),
  sources: internal(list({ is: 'text', max: 4096 })),
})
const answer = record({
  by: personal(name),
  proof: internal(proof),
  answer: internal(oneOf('approve', 'refuse')),
  reason: personal(words),
  at: internal({ is: 'number' }),
})
const approval = record({
  ask: internal(name),
  digest: internal(name),
  answers: internal({ is: 'list', of: answer, max: 64 }),
  requirement: internal(
    record({
      count: internal({ is: 'count' }),
      independent: internal({ is: 'flag' }),
      proof: internal(proof),
    }),
  ),
})

/** Where the targets of a call come from: arguments by their pointers, and the calls in which values were met. */
const target = record({
  at: internal({ is: 'text', max: 1024 }),
  kind: internal(oneOf('recipient', 'account', 'url', 'path', 'id', 'amount', 'command')),
  origin: internal(oneOf('purpose', 'directory', 'trusted', 'model', 'untrusted')),
  call: internal(orNull(name)),
  tool: internal(orNull({ is: 'text', max: 4096 })),
})
const flow = record({
  targets: internal({ is: 'list', of: target, max: 16 }),
  risk: internal({ is: 'count' }),
})

const common = { v: open(oneOf(1)), at: open(time), broker: open(name) }

/** Every field of every kind of entry, with its class. Closed: what is not here may not be written. */
export const entryFields = {
  refused: {
    ...common,
    kind: open(oneOf('refused')),
    call: open(name),
    stage: internal(name),
    code: internal(name),
    reason: internal(words),
    who: personal(orNull(who)),
    task: internal(orNull(name)),
    what: internal(orNull(what)),
    wanted: internal(orNull({ is: 'text', max: 8192, empty: true })),
    arguments: committed(orNull(commitment)),
    policy: internal(orNull(name)),
    policies: internal(names),
    ask: internal(orNull(name)),
    count: open({ is: 'count' }),
  },
  intent: {
    ...common,
    kind: open(oneOf('intent')),
    call: open(name),
    chain: open(name),
    who: personal(who),
    task: internal(name),
    what: internal(what),
    arguments: committed(commitment),
    policy: internal(name),
    policies: internal(names),
    labels: internal(labels),
    flow: { ...internal(flow), optional: true },
    approval: internal(orNull(approval)),
  },
  outcome: {
    ...common,
    kind: open(oneOf('outcome')),
    call: open(name),
    task: internal(name),
    outcome: open(oneOf('ok', 'failed', 'withheld', 'suspended', 'not-sent', 'unknown')),
    detail: internal(words),
    result: committed(orNull(commitment)),
    labels: internal(labels),
    lease: internal(orNull(record({ id: internal(name), secrets: internal(names) }))),
    redacted: internal({ is: 'map', of: { is: 'count' }, max: 1024 }),
    durationMs: open({ is: 'number' }),
  },
  act: {
    ...common,
    kind: open(oneOf('act')),
    act: open(name),
    by: personal(name),
    proof: internal({ is: 'text', max: 512, empty: true }),
    subject: internal({ is: 'text', max: 8192, empty: true }),
    detail: internal({ is: 'object' }),
  },
} as const satisfies { readonly [kind: string]: Fields }

export type EntryKind = keyof typeof entryFields

export const isEntryKind = (kind: Json | undefined): kind is EntryKind =>
  typeof kind === 'string' && Object.hasOwn(entryFields, kind)

/** What is wrong with an entry, as `path: what was expected`, or null. Never repeats a value: it may be hostile. */
export function entryProblem(entry: Json): string | null {
  if (!isJsonObject(entry)) return 'entry: expected an object'
  if (!isEntryKind(entry['kind'])) return `kind: expected one of ${Object.keys(entryFields).join(', ')}`
  return fieldsProblem(entry, entryFields[entry['kind']])
}

// Paths are put together on the way out, so that a sound entry costs no text: this runs twice in every call.
function fieldsProblem(value: JsonObject, fields: Fields): string | null {
  let known = 0
  for (const member in fields) {
    const found = Object.hasOwn(value, member) ? value[member] : undefined
    const field = fields[member]
    if (found === undefined && field?.optional === true) continue
    if (found === undefined || field === undefined) return `${member}: expected a value`
    const problem = shapeProblem(found, field.shape)
    if (problem !== null) return problem.startsWith(':') ? member + problem : `${member}.${problem}`
    known++
  }
  const members = Object.keys(value)
  if (members.length === known) return null
  // The unknown name comes from the entry: it is only shown when it is a plain word.
  const unknown = members.find((member) => !Object.hasOwn(fields, member)) ?? ''
  return `${/^\w{1,40}$/.test(unknown) ? unknown : '?'}: expected no such field`
}

const expect = (holds: boolean, what: string): string | null => (holds ? null : `: expected ${what}`)

function shapeProblem(value: Json, shape: Shape): string | null {
  switch (shape.is) {
    case 'text':
      if (typeof value === 'string' && value.length <= shape.max && (value !== '' || shape.empty === true))
        return null
      return `: expected text of ${shape.empty === true ? 0 : 1} to ${shape.max} characters`
    case 'matching':
      return expect(typeof value === 'string' && shape.pattern.test(value), shape.like)
    case 'one-of':
      return (typeof value === 'string' || typeof value === 'number') && shape.values.includes(value)
        ? null
        : `: expected one of ${shape.values.join(', ')}`
    case 'count':
      return expect(typeof value === 'number' && Number.isSafeInteger(value) && value >= 0, 'a whole number')
    case 'number':
      return expect(typeof value === 'number' && value >= 0, 'a number that is not negative')
    case 'flag':
      return expect(typeof value === 'boolean', 'true or false')
    case 'object':
      return expect(isJsonObject(value), 'an object')
    case 'nullable':
      return value === null ? null : shapeProblem(value, shape.of)
    case 'record':
      return isJsonObject(value) ? fieldsProblem(value, shape.fields) : ': expected an object'
    case 'list':
    case 'map':
      return manyProblem(value, shape)
  }
}

function manyProblem(value: Json, shape: Extract<Shape, { is: 'list' | 'map' }>): string | null {
  const fits = shape.is === 'list' ? Array.isArray(value) : isJsonObject(value)
  if (!fits || value === null || typeof value !== 'object') return `: expected a ${shape.is}`
  const items: readonly Json[] = Object.values(value)
  if (items.length > shape.max) return `: expected at most ${shape.max} in it`
  for (const item of items) {
    const problem = shapeProblem(item, shape.of)
    if (problem !== null) return problem.startsWith(':') ? `[]${problem}` : `[].${problem}`
  }
  return null
}
