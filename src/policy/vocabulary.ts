import type { CedarValueJson, Type } from '@cedar-policy/cedar-wasm/nodejs'
import { beyond, type Measure } from '../flow/measure.ts'
import { bearingKinds } from '../flow/bears.ts'
import { factsKeptMs } from '../flow/fact.ts'
import { destinationOf, originOf, type Flow } from '../flow/flow.ts'
import { rank } from '../flow/labels.ts'
import { effects } from '../registry/tool.ts'
import type { Effect, Tool, ToolKind } from '../registry/tool.ts'
import type { Operation } from '../server/answer.ts'
import { proofClasses } from '../approval/ask.ts'
import type { ApprovalFacts } from '../approval/ask.ts'
import { decimal } from './input.ts'
import type { Question } from './judge.ts'
import { foldedPath } from './target.ts'
import type { Target, TargetUrl } from './target.ts'

/**
 * The words that policies can use, each with its type and where its value comes from: one table, so that schema,
 * requests and `docs/reference/policy-schema.md` cannot differ.
 */
export type Fields = { readonly [name: string]: Field | Group }

export type Field = {
  readonly type: Type<string>
  readonly optional?: true
  readonly doc: string
  readonly of: (facts: Facts) => CedarValueJson | undefined
}

export type Group = {
  readonly doc: string
  readonly optional?: true
  readonly present?: (facts: Facts) => boolean
  readonly fields: Fields
}

export const isGroup = (field: Field | Group): field is Group => 'fields' in field

/** `operation` and `fingerprint` are read when a caller of the judge has them; see the reference. */
export type Asked = Question & { readonly operation?: Operation; readonly fingerprint?: string }

export type Facts = {
  readonly question: Asked
  readonly target: Target
  readonly approval: ApprovalFacts | null
}

/** Moves when the meaning of a word changes, so that every policy version moves with it. */
export const vocabularyVersion = 'countersign-policy-2'

const text: Type<string> = { type: 'String' }
const long: Type<string> = { type: 'Long' }
const bool: Type<string> = { type: 'Boolean' }
const texts: Type<string> = { type: 'Set', element: { type: 'String' } }

type Of = Field['of']
const string = (doc: string, of: Of): Field => ({ type: text, doc, of })
const number = (doc: string, of: Of): Field => ({ type: long, doc, of })
const flag = (doc: string, of: Of): Field => ({ type: bool, doc, of })
const set = (doc: string, of: Of): Field => ({ type: texts, doc, of })
const maybe = (field: Field): Field => ({ ...field, optional: true })

const whole = (value: number): number => Math.trunc(Math.max(-(2 ** 53), Math.min(2 ** 53, value)))
const minutes = (ms: number): number => whole(Math.floor(ms / 60_000))

/** What a review says of a tool, in Cedar's form. Known before any call, so policies are prepared with it. */
export const resourceFacts = {
  server: (tool: Tool) => tool.server,
  name: (tool: Tool) => tool.name,
  kind: (tool: Tool) => tool.kind,
  effects: (tool: Tool) => (tool.review === null ? undefined : [...tool.review.effects]),
  environment: (tool: Tool) => tool.review?.environment,
  confidentiality: (tool: Tool) => (tool.review === null ? undefined : rank(tool.review.confidentiality)),
  confidentialityName: (tool: Tool) => tool.review?.confidentiality,
  integrity: (tool: Tool) => tool.review?.integrity,
} as const

const ofTool = (doc: string, type: Type<string>, name: keyof typeof resourceFacts): Field => ({
  type,
  doc,
  of: ({ question }) => resourceFacts[name](question.tool),
})

/** Attributes of `principal`: an `Agent`, or a `Person` who calls in their own name. */
export const principalFields: Fields = {
  name: string('name as registered with the broker', ({ question }) => question.caller.name),
  onBehalfOf: string(
    'the person it is done for; a person acts for itself',
    ({ question }) => question.caller.onBehalfOf,
  ),
  proven: string(
    'how the identity was proven: `task-token`, `issuer-token` or `operator`',
    ({ question }) => question.caller.proven,
  ),
  issuer: string('who issued the token', ({ question }) => question.caller.issuer),
}

/** Attributes of `resource`, a `Tool` in a `Server`, as a reviewer confirmed them. */
export const resourceFields: Fields = {
  server: ofTool('name of the server', text, 'server'),
  name: ofTool('name of the tool, prompt or resource on its server', text, 'name'),
  kind: ofTool('`tool`, `prompt`, `resource`, `template` or `instructions`', text, 'kind'),
  effects: ofTool(
    'reviewed effects: `read`, `write`, `delete`, `execute`, `egress`, `spend`',
    texts,
    'effects',
  ),
  environment: ofTool('what the tool acts on, as reviewed', text, 'environment'),
  confidentiality: ofTool(
    'of what it gives back: 0 public, 1 internal, 2 confidential, 3 secret',
    long,
    'confidentiality',
  ),
  confidentialityName: ofTool('the same as a word', text, 'confidentialityName'),
  integrity: ofTool('of what it gives back: `trusted` or `untrusted`', text, 'integrity'),
}

const url: Fields = {
  href: string('the whole URL, normalised', (facts) => ofUrl(facts)?.href),
  scheme: string('without `:`', (facts) => ofUrl(facts)?.scheme),
  host: string('lower case, no trailing dot', (facts) => ofUrl(facts)?.host),
  port: number(
    'the written one or the default of the scheme; 0 when there is none',
    (facts) => ofUrl(facts)?.port,
  ),
  path: string('path, dot segments resolved', (facts) => ofUrl(facts)?.path),
}

const ofUrl = ({ target }: Facts): TargetUrl | undefined => target.url

const target: Fields = {
  path: maybe(string('lexically resolved: no `.`, `..`, `//` or trailing `/`', ({ target }) => target.path)),
  pathFolded: maybe(
    string(
      'the path as a file system that ignores case would find it; for rules that protect',
      ({ target }) => (target.path === undefined ? undefined : foldedPath(target.path)),
    ),
  ),
  url: {
    doc: 'where it reaches',
    optional: true,
    present: (facts) => facts.target.url !== undefined,
    fields: url,
  },
  recipient: maybe(string('who gets it, lower case', ({ target }) => target.recipient)),
  amount: maybe({
    type: { type: 'Extension', name: 'decimal' },
    doc: 'how much is moved',
    of: ({ target }) => (target.amount === undefined ? undefined : decimal(target.amount, '(amount)')),
  }),
}

const task: Fields = {
  id: string('id of the task', ({ question }) => question.bound.task.id),
  purpose: string('registered class of its purpose', ({ question }) => question.bound.task.purpose.class),
  owner: string('the person it is done for', ({ question }) => question.bound.task.owner),
  environment: string(
    'environment the task was opened for',
    ({ question }) => question.bound.task.environment,
  ),
  ageMinutes: number('whole minutes since it was opened', ({ question }) =>
    minutes(question.now - question.bound.task.openedAt),
  ),
  remainingMinutes: number('whole minutes until it ends', ({ question }) =>
    minutes(question.bound.task.expiresAt - question.now),
  ),
  remainingCalls: maybe(
    number('calls left, the least of its own and its ancestors’ budgets', ({ question }) =>
      remainingCalls(question),
    ),
  ),
  depth: number('how many tasks it descends from', ({ question }) => question.bound.ancestors.length),
  toolsWide: flag('true when it was opened for `*`, every tool', ({ question }) =>
    question.bound.task.tools.includes('*'),
  ),
}

function remainingCalls(question: Question): number | undefined {
  const { task: own, usage, ancestors, ancestorUsage } = question.bound
  const left = [{ budget: own.budget, used: usage.calls }]
  ancestors.forEach((ancestor, index) =>
    left.push({ budget: ancestor.budget, used: ancestorUsage[index]?.calls ?? 0 }),
  )
  const limits = left.flatMap(({ budget, used }) =>
    budget.calls === undefined ? [] : [Math.max(0, budget.calls - used)],
  )
  return limits.length === 0 ? undefined : whole(Math.min(...limits))
}

/** What the words of `history.effects` count. */
const verb: { readonly [E in Effect]: string } = {
  read: 'read',
  write: 'wrote',
  delete: 'deleted',
  execute: 'executed',
  egress: 'sent out',
  spend: 'spent',
}

const history: Fields = {
  calls: number('calls made so far', ({ question }) => question.bound.usage.calls),
  effects: {
    doc: 'calls so far, by effect',
    fields: Object.fromEntries(
      effects.map((effect) => [
        effect,
        number(`calls that ${verb[effect]}`, ({ question }) => question.bound.usage.effects[effect] ?? 0),
      ]),
    ),
  },
  tools: set('ids of the tools called so far', ({ question }) => [...question.bound.history.tools]),
  refused: number('calls refused by policy or a person', ({ question }) => question.bound.history.refused),
  inFlight: number('calls without an outcome yet', ({ question }) => question.bound.history.inFlight),
  unknown: number('calls whose outcome is unknown', ({ question }) => question.bound.history.unknown.length),
  repeatsUnknown: maybe(
    flag('this very call was made before and its outcome is unknown', ({ question }) =>
      question.fingerprint === undefined
        ? undefined
        : question.bound.history.unknown.some((one) => one === question.fingerprint || one === '*'),
    ),
  ),
}

const labels: Fields = {
  confidentiality: number('height of what the task has read: 0 public to 3 secret', ({ question }) =>
    rank(question.labels.confidentiality),
  ),
  confidentialityName: string('the same as a word', ({ question }) => question.labels.confidentiality),
  untrusted: flag(
    'the task has read something untrusted',
    ({ question }) => question.labels.integrity === 'untrusted',
  ),
  sources: set('tools whose results raised the labels; `…` when some were left out', ({ question }) => [
    ...question.labels.sources,
  ]),
}

/** When nobody has looked: every target is the worst, every count beyond telling. */
export const unknownFlow: Flow = {
  isKnown: false,
  targets: [{ at: '', kind: 'id', origin: 'untrusted', mixed: false, met: null }],
  hasDestination: false,
  problem: null,
  overflowed: true,
  strangers: beyond,
  isFirstContact: true,
  isFirstUse: true,
  risk: beyond,
  fact: { at: 0, agent: '', tasks: [], tool: '', effects: [], keys: {}, amount: null, risk: 0 },
  measure: () => beyond,
}

const flowing = ({ question }: Facts): Flow => question.flow ?? unknownFlow

const riskBy = (by: Measure['by'], withinMs: number): Measure => ({
  name: 'risk',
  text: `sum risk within ${withinMs} by ${by}`,
  what: 'sum-risk',
  of: [{ tool: '*' }],
  same: null,
  withinMs,
  since: null,
  by,
})
const riskOfTask = riskBy('line', factsKeptMs)
const riskOfAgent = riskBy('agent', 24 * 60 * 60 * 1000)

const originWords = '`purpose`, `directory`, `trusted`, `model`, `untrusted`, or `none`'

const flow: Fields = {
  known: flag(
    'the reviewer has said which arguments decide where the tool acts',
    (facts) => flowing(facts).isKnown,
  ),
  origin: string(`where the worst of the call’s targets comes from: ${originWords}; amounts apart`, (facts) =>
    originOf(flowing(facts)),
  ),
  origins: set('all origins of its targets, amounts apart', (facts) =>
    [
      ...new Set(flowing(facts).targets.flatMap(({ kind, origin }) => (kind === 'amount' ? [] : [origin]))),
    ].toSorted(),
  ),
  destination: string(
    'the same of where data would go (recipients, accounts, URLs); `nobody` when the call leaves them out, `fixed` when the tool has no such argument',
    (facts) => destinationOf(flowing(facts)),
  ),
  by: {
    doc: 'the same for each kind of target; `none` when it has none of the kind',
    fields: Object.fromEntries(
      bearingKinds.map((kind) => [
        kind,
        string(`worst origin among its targets of the kind \`${kind}\``, (facts) =>
          originOf(flowing(facts), kind),
        ),
      ]),
    ),
  },
  overflowed: flag('the task has met more values than are kept', (facts) => flowing(facts).overflowed),
  strangers: number(
    'recipients, accounts and sites that this person’s agents have not reached in 31 days, neither named in the purpose nor from a directory',
    (facts) => flowing(facts).strangers,
  ),
  firstContact: flag('one of them is new, whoever named it', (facts) => flowing(facts).isFirstContact),
  firstUse: flag('the agent has not used this tool in 31 days', (facts) => flowing(facts).isFirstUse),
  risk: {
    doc: 'points for effect, labels and novelty, this call included',
    fields: {
      call: number('of this call', (facts) => whole(flowing(facts).risk)),
      task: number('of the task and those above it', (facts) => flowing(facts).measure(riskOfTask)),
      agent: number('of the agent in 24 hours', (facts) => flowing(facts).measure(riskOfAgent)),
    },
  },
}

const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']

const time: Fields = {
  epochSeconds: number('seconds since 1970', ({ question }) => whole(Math.floor(question.now / 1000))),
  now: {
    type: { type: 'Extension', name: 'datetime' },
    doc: 'the same as a `datetime`',
    of: ({ question }) => ({ __extn: { fn: 'datetime', arg: new Date(question.now).toISOString() } }),
  },
  hour: number('0 to 23, UTC', ({ question }) => new Date(question.now).getUTCHours()),
  weekday: string(
    '`monday` to `sunday`, UTC',
    ({ question }) => weekdays[new Date(question.now).getUTCDay()],
  ),
}

const approval: Fields = {
  count: number('how many people approved', ({ approval }) => approval?.count),
  independent: flag(
    'they are neither the task’s owner nor the requester',
    ({ approval }) => approval?.independent,
  ),
  proof: number('proof that each of them reached: 1 terminal, 2 passphrase, 3 passkey', ({ approval }) =>
    approval === null ? undefined : proofClasses.indexOf(approval.proof) + 1,
  ),
}

const operations: { readonly [K in ToolKind]: Operation } = {
  tool: 'call',
  prompt: 'get',
  resource: 'read',
  template: 'read',
  instructions: 'read',
}

/** `context`, but for `input`, which is the tool's own. */
export const contextFields: Fields = {
  operation: string(
    '`call`, `read`, `get`, `complete` or `subscribe`',
    ({ question }) => question.operation ?? operations[question.tool.kind],
  ),
  environment: string('the broker’s environment', ({ question }) => question.environment),
  target: { doc: 'what the call acts on, in one form for all tools', fields: target },
  task: { doc: 'the task that the call belongs to', fields: task },
  history: { doc: 'what the task has done', fields: history },
  labels: { doc: 'what the task has read', fields: labels },
  flow: { doc: 'where the targets come from, and what the calls add up to; measures besides', fields: flow },
  time: { doc: 'now', fields: time },
  approval: {
    doc: 'what people have approved; absent while nobody has',
    optional: true,
    present: (facts) => facts.approval !== null,
    fields: approval,
  },
}

/** With the measures of a policy, which are whole numbers under names of its own. */
export const contextWith = (measures: readonly string[]): Fields =>
  measures.length === 0
    ? contextFields
    : {
        ...contextFields,
        flow: {
          doc: '',
          fields: {
            ...flow,
            measures: {
              doc: 'from `@measures`',
              fields: Object.fromEntries(measures.map((name) => [name, number(name, () => undefined)])),
            },
          },
        },
      }
