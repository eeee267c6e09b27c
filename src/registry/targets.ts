import { isJsonObject } from '../lib/json.ts'
import { pointer } from './bounds.ts'
import type { Definition, Finding, Targets } from './tool.ts'
import type { Json, JsonObject } from '../lib/json.ts'

/** Names by which arguments hold each common target, best first. Compared without case, `_` and `-`. */
const names: { readonly [Target in keyof Targets]-?: readonly string[] } = {
  path: [
    'path',
    'filepath',
    'file',
    'filename',
    'destination',
    'dest',
    'directory',
    'dir',
    'folder',
    'repopath',
    'targetpath',
    'source',
    'src',
  ],
  url: [
    'url',
    'uri',
    'endpoint',
    'link',
    'href',
    'webhook',
    'webhookurl',
    'targeturl',
    'baseurl',
    'callbackurl',
  ],
  recipient: [
    'to',
    'recipient',
    'recipientid',
    'email',
    'emailaddress',
    'channel',
    'channelid',
    'chatid',
    'phonenumber',
    'phone',
    'userid',
  ],
  amount: ['amount', 'unitamount', 'amountcents', 'price', 'total'],
}
const kinds = ['path', 'url', 'recipient', 'amount'] as const

type Candidate = { readonly at: string; readonly rank: number; readonly schema: JsonObject }

/**
 * Finds which argument holds each common target, so that one policy (`context.target.path`) covers tools that name it
 * differently. Looks at properties and one level of objects below. A second argument of the same kind, or a list, is
 * a finding: a policy on the target would not see it.
 */
export function findTargets(definition: Definition): {
  readonly targets: Targets
  readonly findings: readonly Finding[]
} {
  const properties = [...candidates(definition.inputSchema, '', 0)]
  const targets: { -readonly [Target in keyof Targets]: string } = {}
  const findings: Finding[] = []
  for (const kind of kinds) {
    const fitting = properties
      .map(({ name, at, schema }) => ({ at, schema, rank: names[kind].indexOf(plain(name)) }))
      .filter((candidate) => candidate.rank >= 0 && holds(kind, candidate.schema))
      .sort((a, b) => depth(a) - depth(b) || a.rank - b.rank)
    const best = fitting[0]
    if (best !== undefined) targets[kind] = best.at
    const others = fitting.slice(1).map((candidate) => candidate.at)
    const lists = properties
      .filter(({ name, schema }) => isList(schema) && names[kind].includes(plain(name).replace(/s$/, '')))
      .map(({ at }) => at)
    for (const at of [...others, ...lists]) {
      findings.push({
        rule: 'target-unseen',
        severity: 'note',
        message: `\`${at}\` may hold a ${kind} too; policies on the common target do not see it, so name the argument in them`,
        at: `/inputSchema/properties${at}`,
      })
    }
  }
  return { targets, findings: findings.slice(0, 10) }
}

function* candidates(
  schema: Json | undefined,
  at: string,
  level: number,
): Generator<{ name: string; at: string; schema: JsonObject }> {
  if (!isJsonObject(schema) || !isJsonObject(schema.properties)) return
  for (const [name, inner] of Object.entries(schema.properties)) {
    if (!isJsonObject(inner)) continue
    yield { name, at: pointer(at, name), schema: inner }
    if (level === 0) yield* candidates(inner, pointer(at, name), 1)
  }
}

const plain = (name: string): string => name.toLowerCase().replace(/[_-]/g, '')
const depth = (candidate: Candidate): number => candidate.at.split('/').length
const isList = (schema: JsonObject): boolean => schema.type === 'array'

function holds(kind: keyof Targets, schema: JsonObject): boolean {
  const { type } = schema
  const allowed = kind === 'amount' ? ['number', 'integer', 'string'] : ['string']
  if (type === undefined) return true
  return (Array.isArray(type) ? type : [type]).some((one) => typeof one === 'string' && allowed.includes(one))
}
