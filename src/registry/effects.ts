import { effects as allEffects } from './tool.ts'
import { findTargets } from './targets.ts'
import { firmStem, nounEffects, outside, tokens, verb } from './verbs.ts'
import { isJsonObject } from '../lib/json.ts'
import { unlabelled } from '../flow/labels.ts'
import type { Confidentiality, Integrity } from '../flow/labels.ts'
import type { Definition, Effect, Finding, Targets } from './tool.ts'

export type Inferred = {
  /** Never empty, in the order of `effects`. */
  readonly effects: readonly Effect[]
  /** Those that its name, schema or description say in words that are never nouns; what it declares is only a hint. */
  readonly firm: readonly Effect[]
  readonly confidentiality: Confidentiality
  readonly integrity: Integrity
  readonly targets: Targets
  /** Where each effect came from, for the reviewer. */
  readonly because: readonly string[]
  readonly findings: readonly Finding[]
}

/**
 * Proposes what a reviewer will confirm. What a server declares is a hint from an untrusted party: `readOnlyHint`
 * never takes away what the name, the description or the schema say (a write that poses as a read is a finding);
 * the other hints only add. What says nothing is taken to write and to reach out, never to read. Pure.
 */
export function infer(definition: Definition): Inferred {
  if (definition.kind !== 'tool') return inferPassive(definition)
  const said: Said = { effects: new Set(), because: [], findings: [], firm: new Set() }
  const known = fromName(definition.name, said)
  fromSchema(definition, said)
  fromDescription(definition.description ?? '', said)
  if (!known && said.effects.size === 0) {
    add(said, ['write', 'egress'], 'nothing in its name or schema says what it does', false)
  }
  fromAnnotations(definition, said)
  const targets = findTargets(definition)
  return {
    effects: allEffects.filter((effect) => said.effects.has(effect)),
    firm: allEffects.filter((effect) => said.firm.has(effect)),
    confidentiality: confidentialityOf(definition),
    integrity: unlabelled.integrity,
    targets: targets.targets,
    because: said.because,
    findings: [...said.findings, ...targets.findings],
  }
}

type Said = {
  readonly effects: Set<Effect>
  readonly because: string[]
  readonly findings: Finding[]
  /** Effects that rest on more than a word that may be a noun. */
  readonly firm: Set<Effect>
}

function add(said: Said, effects: readonly Effect[], because: string, firm = true): void {
  for (const effect of effects) {
    said.effects.add(effect)
    if (firm) said.firm.add(effect)
  }
  said.because.push(`${effects.join(', ')}: ${because}`)
}

function fromName(name: string, said: Said): boolean {
  const words = tokens(name)
  const verbs = words.map((word, index) => ({ word, ...verb(wordAt(words, word, index)) }))
  const counts = verbs.filter((one) => one.kind === 'firm')
  const first = verbs.find((one) => one.kind !== null)
  const leads = verbs[0]?.kind === 'reading'
  const last = verbs.at(-1)
  if (counts.length === 0 && !leads) {
    // `pods_log`, `issue_read`: the verb stands last. `slack_post_message`: it stands first behind a prefix.
    if (last?.kind === 'reading') counts.push(last)
    else if (first !== undefined) counts.push(first)
  }
  if (leads && first !== undefined) counts.unshift(first)
  for (const one of counts) add(said, one.effects, `\`${one.word}\` in its name`, one.kind === 'firm')
  const writes = counts.some((one) => one.effects.includes('write'))
  for (const [index, word] of (writes ? words : []).entries()) {
    const more = nounEffects(wordAt(words, word, index))
    if (more.length > 0) add(said, more, `\`${word}\` in its name`, false)
  }
  const abroad = words.find((word) => outside.has(word))
  if (abroad !== undefined && counts.length > 0) add(said, ['egress'], `\`${abroad}\` in its name`, false)
  return counts.length > 0
}

/** Two words that turn with their place: `git_log` reads and `log_event` writes; `git_checkout` pays for nothing. */
function wordAt(words: readonly string[], word: string, index: number): string {
  if (word === 'log' && index > 0 && index === words.length - 1) return 'logs'
  return word === 'checkout' && words.includes('git') ? 'set' : word
}

const property = {
  code: /^(sql|code|script|command|cmd|shell|expression|javascript|python|statement|function|js)$/i,
  address: /^(url|urls|link|endpoint|webhook|webhook_?url|callback_?url|target_?url|base_?url|href)$/i,
  recipient:
    /^(to|cc|bcc|recipients?|recipient_?ids?|email|emails|email_?address|channel|channel_?id|chat_?id|phone|phone_?number)$/i,
  body: /^(body|text|message|content|contents|html|payload|data|subject|blocks|markdown|file_?text|new_?text|edits|patch|new_?str)$/i,
  place: /^(path|file_?path|filename|file|destination|dest|target_?path)$/i,
  money: /^(amount|price|total|quantity_?cents|unit_?amount|amount_?cents)$/i,
  currency: /^(currency|payment_?method|card|iban|customer|customer_?id|payment_?intent|charge)$/i,
  mutates: /^(overwrite|force|dry_?run|confirm|if_?not_?exists|upsert|commit_?message)$/i,
}

function fromSchema(definition: Definition, said: Said): void {
  const properties = definition.inputSchema?.properties
  const names = isJsonObject(properties) ? Object.keys(properties) : []
  const has = (pattern: RegExp): string | undefined => names.find((name) => pattern.test(name))
  const code = has(property.code)
  if (code !== undefined) add(said, ['execute'], `argument \`${code}\` is run as code`)
  const address = has(property.address)
  if (address !== undefined) add(said, ['egress'], `argument \`${address}\` says where to go`)
  const body = has(property.body)
  const recipient = has(property.recipient)
  if (recipient !== undefined && body !== undefined) {
    add(said, ['write', 'egress'], `arguments \`${recipient}\` and \`${body}\` send something to somebody`)
  }
  const place = has(property.place)
  if (place !== undefined && body !== undefined)
    add(said, ['write'], `arguments \`${place}\` and \`${body}\` put something somewhere`)
  const money = has(property.money)
  const currency = has(property.currency)
  if (money !== undefined && currency !== undefined && !said.effects.has('read')) {
    add(said, ['write', 'spend'], `arguments \`${money}\` and \`${currency}\` move money`)
  }
  const mutates = has(property.mutates)
  if (mutates !== undefined) add(said, ['write'], `argument \`${mutates}\` belongs to something that changes`)
}

/**
 * What a sentence of the description says that it does: its first word, or one after `and`, `or`, `then`. Only verbs
 * that are never nouns, and not in sentences that deny or give advice.
 */
function fromDescription(description: string, said: Said): void {
  const sentences = description.slice(0, 4000).split(/[.!?\n]+\s/)
  for (const sentence of sentences.slice(0, 12)) {
    const words = sentence.toLowerCase().match(/[a-z']+/g) ?? []
    if (words.some((word) => negations.has(word))) continue
    // Only a clause that itself starts with a verb: `Use this to update…`, `can be updated…` are not what it does.
    const subject =
      words[0] === 'this' || words[0] === 'the' || words[0] === 'it' || words[0] === 'tool'
        ? words.findIndex((word) => firmStem(word) !== null && word.endsWith('s'))
        : 0
    for (const [index, word] of words.entries()) {
      const starts = index === subject || (index > 0 && joiners.has(words[index - 1] ?? '') && index < 12)
      const stem = starts ? firmStem(word) : null
      if (stem !== null && (index === subject || startsWithVerb(words)))
        add(said, verb(stem).effects, `\`${word}\` in its description`)
    }
  }
}

const negations = new Set([
  'not',
  "don't",
  "doesn't",
  'never',
  'without',
  "won't",
  'no',
  'cannot',
  "can't",
  'avoid',
  'instead',
  'before',
  'use',
  'when',
  'if',
])
const joiners = new Set(['and', 'or', 'then', 'also', 'completely', 'permanently', 'immediately'])
const startsWithVerb = (words: readonly string[]): boolean => {
  const first = words[0] ?? ''
  return (
    firmStem(first) !== null ||
    verb(first).kind !== null ||
    verb(first.replace(/s$/, '')).kind !== null ||
    verb(first.replace(/es$/, '')).kind !== null
  )
}

function fromAnnotations(definition: Definition, said: Said): void {
  const { readOnlyHint, destructiveHint, openWorldHint } = definition.annotations ?? {}
  const changing = allEffects.filter(
    (effect) => said.effects.has(effect) && effect !== 'read' && effect !== 'egress',
  )
  if (readOnlyHint === true && changing.length > 0) {
    said.findings.push({
      rule: 'write-posing-as-read',
      severity: changing.some((effect) => said.firm.has(effect)) ? 'danger' : 'warning',
      message: `it declares itself read-only, but it looks like ${changing.join(', ')} (${said.because.join('; ')})`,
      at: '/annotations/readOnlyHint',
    })
  }
  if (readOnlyHint === false && changing.length === 0)
    add(said, ['write'], 'it declares that it is not read-only', false)
  if (readOnlyHint === true) return
  if (destructiveHint === true) add(said, ['write', 'delete'], 'it declares itself destructive', false)
  if (openWorldHint === true) add(said, ['egress'], 'it declares that it reaches the open world', false)
}

/** Prompts, resources, templates and instructions only give text; what is asked for may still travel. */
function inferPassive(definition: Definition): Inferred {
  const remote = definition.kind === 'template' && /^https?:/i.test(definition.uriTemplate ?? '')
  return {
    effects: remote ? ['read', 'egress'] : ['read'],
    firm: ['read'],
    confidentiality: confidentialityOf(definition),
    integrity: unlabelled.integrity,
    targets: {},
    because: [
      remote ? 'egress: it reads from an address on the web' : `read: a ${definition.kind} only gives text`,
    ],
    findings: [],
  }
}

const secretWords = new Set([
  'secret',
  'secrets',
  'password',
  'passwords',
  'credential',
  'credentials',
  'token',
  'tokens',
  'env',
  'apikey',
  'keychain',
  'vault',
])
const confidentialWords = new Set([
  'private',
  'email',
  'emails',
  'mail',
  'inbox',
  'dm',
  'message',
  'messages',
  'chat',
  'salary',
  'payroll',
  'payment',
  'payments',
  'invoice',
  'customer',
  'customers',
  'patient',
  'personal',
  'contact',
  'contacts',
  'calendar',
  'employee',
  'bank',
  'balance',
  'medical',
])

/** By the words of the name only: descriptions mention too much. Never below `internal`. */
function confidentialityOf(definition: Definition): Confidentiality {
  const words = tokens(`${definition.name} ${definition.uriTemplate ?? definition.uri ?? ''}`)
  if (words.some((word) => secretWords.has(word))) return 'secret'
  return words.some((word) => confidentialWords.has(word)) ? 'confidential' : unlabelled.confidentiality
}
