import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { pointer } from './bounds.ts'
import type { Bearing, BearingKind } from '../flow/bears.ts'
import type { Definition } from './tool.ts'

/** Arguments in an input schema: whether one is there, and which look as if they decided where a call acts. */

/** Schemas come from servers: nothing is followed deeper or further than this. */
const most = { depth: 6, visits: 2000, found: 64 } as const

/** Words by which arguments name each kind of target, compared without case, `_` and `-`, and without a plural's `s`. */
const spoken: readonly (readonly [BearingKind, RegExp])[] = [
  [
    'recipient',
    /^(?:to|cc|bcc|recipient(?:id|email)?|email|emailaddres|mailto|attendee|invitee|participant|channel|channelid|chat|chatid|phone|phonenumber|reviewer|assignee|sharewith|grantee|.+email|.+recipient)$/,
  ],
  [
    'account',
    /^(?:account|accountid|iban|accountnumber|wallet|customer|customerid|subscription|charge|paymentintent)$/,
  ],
  ['url', /^(?:url|uri|endpoint|link|href|webhook|webhookurl|targeturl|baseurl|callbackurl|redirecturl)$/],
  [
    'path',
    /^(?:path|filepath|filename|file|destination|dest|directory|dir|folder|repopath|targetpath|source|src|cwd|workdir|outputpath|outputdir|localpath|savepath)$/,
  ],
  ['amount', /^(?:amount|unitamount|amountcent|price|total|quantity|limitamount)$/],
  ['command', /^(?:sql|code|script|command|cmd|shell|expression|javascript|python|statement|function|js)$/],
  [
    'id',
    /^(?:id|key|owner|org|organization|organisation|repo|repository|project|projectkey|projectslug|issuekey|namespace|bucket|database|table|branch|ref|sha|tag|workspace|team|space|spacekey|user|username|group|resource|region|context|cluster|.+id|.+iid|.+uuid|.+number|.+slug|.+arn|.+key|.+branch|branchname|.+identifier|.+owner|.+repo)$/,
  ],
]

/** What kind of target an argument of this name looks like. A guess, and only ever used to ask for a person's word. */
export function looksLike(name: string): BearingKind | null {
  const plain = name.toLowerCase().replace(/[_-]/g, '')
  if (/^(?:page|line|startline|endline|pagenumber|linenumber|requestid|idempotencykey|sortkey)$/.test(plain))
    return null
  const one = plain.length > 3 ? plain.replace(/s$/, '') : plain
  return spoken.find(([, pattern]) => pattern.test(plain) || pattern.test(one))?.[0] ?? null
}

/** Arguments that look as if they decided where a call acts; lists of texts by their own name, of objects by `*`. */
export function looking(definition: Definition): readonly Bearing[] {
  const root = definition.inputSchema
  const found: Bearing[] = []
  const rest: { schema: Json; at: string; depth: number }[] = [{ schema: root ?? null, at: '', depth: 0 }]
  let visits = 0
  for (let next = rest.pop(); next !== undefined && visits < most.visits; next = rest.pop()) {
    visits += 1
    const { at, depth } = next
    if (depth > most.depth) continue
    for (const schema of formsOf(root, next.schema)) {
      if (isJsonObject(schema.items)) rest.push({ schema: schema.items, at: `${at}/*`, depth: depth + 1 })
      if (!isJsonObject(schema.properties)) continue
      for (const [name, inner] of Object.entries(schema.properties)) {
        const here = pointer(at, name)
        const kind = carries(root, inner) && !isChoice(root, inner) ? looksLike(name) : null
        if (kind !== null && found.length < most.found && !found.some((one) => one.at === here))
          found.push({ at: here, kind })
        rest.push({ schema: inner, at: here, depth: depth + 1 })
      }
    }
  }
  return found.sort((a, b) => (a.at < b.at ? -1 : 1))
}

/** Whether a call may carry a text, a number or a list of them at the pointer. What a schema leaves open may be there. */
export function takes(definition: Definition, at: string): boolean {
  const root = definition.inputSchema
  const parts = at.split('/').slice(1)
  let here: readonly JsonObject[] = root === undefined ? [] : formsOf(root, root)
  for (const part of parts) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    here = here
      .flatMap((schema) => (part === '*' ? everyOf(schema) : memberOf(schema, name)))
      .flatMap((inner) => formsOf(root, inner))
      .slice(0, most.found)
    if (here.length === 0) return false
  }
  // An object can name no target; a bearing on it would deny every call.
  return here.some((schema) => carries(root, schema))
}

const everyOf = (schema: JsonObject): readonly Json[] => {
  const named = isJsonObject(schema.properties) ? Object.values(schema.properties) : []
  const open = isOpen(schema) ? [{}] : []
  return [
    ...(isJsonObject(schema.items) ? [schema.items] : []),
    ...(isJsonObject(schema.additionalProperties) ? [schema.additionalProperties] : open),
    ...named,
  ]
}

function memberOf(schema: JsonObject, name: string): readonly Json[] {
  const { properties, additionalProperties } = schema
  if (isJsonObject(properties) && Object.hasOwn(properties, name)) return [properties[name] ?? {}]
  if (isJsonObject(additionalProperties)) return [additionalProperties]
  return isOpen(schema) ? [{}] : []
}

/** An object of which nothing is said may hold anything. */
const isOpen = ({ properties, additionalProperties, items, type }: JsonObject): boolean =>
  properties === undefined &&
  additionalProperties !== false &&
  items === undefined &&
  (type === undefined || type === 'object' || type === 'array')

/** The schema itself, what it points to in the same document, and its alternatives. */
function formsOf(root: JsonObject | undefined, schema: Json): readonly JsonObject[] {
  const forms: JsonObject[] = []
  const rest: { readonly schema: Json; readonly depth: number }[] = [{ schema, depth: 0 }]
  for (let next = rest.pop(); next !== undefined && forms.length < most.found; next = rest.pop()) {
    const { schema: one, depth } = next
    if (!isJsonObject(one) || depth > most.depth) continue
    const target = typeof one.$ref === 'string' ? resolved(root, one.$ref) : null
    if (target !== null) rest.push({ schema: target, depth: depth + 1 })
    const others = [one.anyOf, one.oneOf, one.allOf].flatMap((list) => (Array.isArray(list) ? list : []))
    for (const other of others) rest.push({ schema: other, depth: depth + 1 })
    if (target === null && others.length === 0) forms.push(one)
    else if (one.properties !== undefined || one.items !== undefined) forms.push(one)
  }
  return forms
}

function resolved(root: JsonObject | undefined, ref: string): Json | null {
  if (!ref.startsWith('#/')) return null
  return ref
    .slice(2)
    .split('/')
    .reduce<Json | null>((inner, part) => (isJsonObject(inner) ? (inner[part] ?? null) : null), root ?? null)
}

/** Text, number or a list of them: something that can name a target. */
const carries = (root: JsonObject | undefined, schema: Json): boolean =>
  formsOf(root, schema).some((form) => {
    const { type, properties, items } = form
    const kinds = Array.isArray(type) ? type : type === undefined ? [] : [type]
    if (kinds.length === 0) return properties === undefined && items === undefined
    if (kinds.includes('array')) {
      const isOpenList = !isJsonObject(items)
      if (isOpenList || formsOf(root, items).some(isPlain)) return true
    }
    return kinds.some((kind) => kind === 'string' || kind === 'number' || kind === 'integer')
  })

/** No object and no list. */
const isPlain = ({ type, properties }: JsonObject): boolean =>
  properties === undefined && type !== 'object' && type !== 'array'

/** One of a few given values chooses nobody's target for them. */
const isChoice = (root: JsonObject | undefined, schema: Json): boolean =>
  formsOf(root, schema).some((form) => form.enum !== undefined || form.const !== undefined)
