import { bearingKinds, type BearingKind } from './bears.ts'
import { effects, type Effect } from '../registry/tool.ts'
import { factsKeptMs, type Fact } from './fact.ts'

/**
 * A number over calls that policies can name: `@measures("payees = distinct account of effect:spend within 24h by
 * person")` beside a policy makes `context.flow.measures.payees`. It counts the call that is being decided, too, and
 * those that are in flight: the commit point takes them one by one.
 *
 *     NAME = WHAT [of CALLS] [same KIND] [within DURATION] [since CALLS] by SCOPE
 *
 * WHAT: `count`, `distinct KIND`, `sum amount`, `sum risk`. CALLS: tools (`server/tool`, `server/*`, `*`) and
 * `effect:NAME`, with commas between; all when left out. `same`: only calls that share a target of that kind with this
 * one. `since`: only calls after the last of those. SCOPE: `task`, `line` (with the tasks above it), `agent`, `person`.
 */
export type Measure = {
  readonly name: string
  /** As it was written, with single spaces: equal texts mean the same. */
  readonly text: string
  readonly what: 'count' | 'sum-amount' | 'sum-risk' | { readonly distinct: BearingKind }
  readonly of: readonly Selector[]
  readonly same: BearingKind | null
  readonly withinMs: number
  readonly since: readonly Selector[] | null
  readonly by: 'task' | 'line' | 'agent' | 'person'
}

type Selector = { readonly effect: Effect } | { readonly tool: string }

export type Parsed =
  | { readonly ok: true; readonly measures: readonly Measure[] }
  | { readonly ok: false; readonly problem: string }

/** Reads the text of a `@measures` annotation: measures with `;` between them. */
export function parseMeasures(text: string): Parsed {
  const measures: Measure[] = []
  for (const part of text.split(';').map((one) => one.trim())) {
    if (part === '') continue
    const measure = parseOne(part)
    if (typeof measure === 'string') return { ok: false, problem: `\`${part.slice(0, 200)}\`: ${measure}` }
    measures.push(measure)
  }
  return { ok: true, measures }
}

const units: { readonly [unit: string]: number } = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const scopes = ['task', 'line', 'agent', 'person'] as const

const whole =
  /^([a-z]\w{0,39}) = (count|distinct (\w+)|sum amount|sum risk)(?: of (\S+(?:, ?\S+)*?))?(?: same (\w+))?(?: within (\d{1,4})([smhd]))?(?: since (\S+(?:, ?\S+)*?))? by (\w+)$/i

function parseOne(text: string): Measure | string {
  const found = whole.exec(text.replace(/\s+/g, ' '))
  if (found === null)
    return 'expected `NAME = count|distinct KIND|sum amount [of CALLS] [same KIND] [within 24h] [since CALLS] by task|line|agent|person`'
  const [, name = '', what = '', distinct, of, same, amount, unit, since, by] = found
  const scope = scopes.find((one) => one === by)
  if (scope === undefined) return `expected \`by\` one of ${scopes.join(', ')}, found \`${by}\``
  const kinds = [distinct, same].filter((kind) => kind !== undefined)
  const odd = kinds.find((kind) => kind === 'amount' || kindOf(kind) === null)
  if (odd !== undefined) return `expected a kind of target (${bearingKinds.join(', ')}), found \`${odd}\``
  const selectors = selectorsOf(of ?? '*')
  const after = since === undefined ? null : selectorsOf(since)
  if (typeof selectors === 'string') return selectors
  if (typeof after === 'string') return after
  const withinMs = amount === undefined ? factsKeptMs : Number(amount) * (units[unit ?? ''] ?? 0)
  if (withinMs <= 0 || withinMs > factsKeptMs) return 'expected a window of at most 31d'
  const counted = kindOf(distinct)
  return {
    name,
    text: text.replace(/\s+/g, ' '),
    what:
      counted === null
        ? what === 'count'
          ? 'count'
          : what === 'sum risk'
            ? 'sum-risk'
            : 'sum-amount'
        : { distinct: counted },
    of: selectors,
    same: kindOf(same),
    withinMs,
    since: after,
    by: scope,
  }
}

const kindOf = (text: string | undefined): BearingKind | null =>
  bearingKinds.find((kind) => kind === text) ?? null

function selectorsOf(text: string): readonly Selector[] | string {
  const selectors: Selector[] = []
  for (const part of text.split(/, ?/)) {
    const effect = part.startsWith('effect:') ? effects.find((one) => `effect:${one}` === part) : undefined
    if (effect !== undefined) selectors.push({ effect })
    else if (/^(?:\*|[^\s*:]+\/(?:\*|[^\s*]+))$/.test(part)) selectors.push({ tool: part })
    else
      return `expected tools such as \`mail/send\` or \`mail/*\`, or effects such as \`effect:egress\`, found \`${part}\``
  }
  return selectors
}

const selects = (selectors: readonly Selector[], fact: Pick<Fact, 'effects' | 'tool'>): boolean =>
  selectors.some((one) =>
    'effect' in one
      ? fact.effects.includes(one.effect)
      : one.tool === '*' ||
        one.tool === fact.tool ||
        (one.tool.endsWith('/*') && fact.tool.startsWith(one.tool.slice(0, -1))),
  )

/**
 * The calls of one person that are remembered, oldest first, complete from `since` on. What was forgotten cannot be
 * counted: a measure over a window that reaches further back is beyond any ceiling.
 */
export type Past = {
  readonly facts: readonly Fact[]
  readonly since: number
  /** A window over these facts that is kept from call to call, made when it is not there. */
  window(name: string, make: () => Window): Window
  /** Those of the agent, or of the tasks below the same first task: enough to find a line's, and fewer than all. */
  some(by: 'agent' | 'line', fact: Fact): readonly Fact[]
}

/** Cedar's numbers have 64 bits; this stands for "more than can be told". */
export const beyond = 2 ** 53

/** Pure, but for windows that remember where they stood. `fact` is the call that is being decided, as if it had been made. */
export function measure(of: Measure, past: Past, fact: Fact): number {
  const from = fact.at - of.withinMs
  if (past.since > from) return beyond
  const facts = of.by === 'person' ? past.facts : past.some(of.by === 'agent' ? 'agent' : 'line', fact)
  if (of.same !== null) return told(scanned(of, { facts }, fact))
  const scope = scopeOf(of.by, fact)
  const window = past.window(`${scope}\n${of.text}`, () => new Window(of, scope))
  return told(window.asOf(facts, from).with(fact))
}

const told = (total: number): number => Math.min(beyond, Math.round(total))

const scopeOf = (by: Measure['by'], fact: Fact): string => {
  switch (by) {
    case 'task':
      return fact.tasks[0] ?? ''
    case 'line':
      // Tasks share a line when they share its first task.
      return fact.tasks.at(-1) ?? ''
    case 'agent':
      return fact.agent
    case 'person':
      return ''
  }
}

const weigh = ({ what }: Measure, fact: Fact): number => {
  switch (what) {
    case 'count':
      return 1
    case 'sum-amount':
      return fact.amount === null || Number.isFinite(fact.amount) ? (fact.amount ?? 0) : beyond
    case 'sum-risk':
      return fact.risk
    default:
      return 0
  }
}

const keysCounted = ({ what }: Measure, fact: Fact): readonly string[] =>
  typeof what === 'object' ? (fact.keys[what.distinct] ?? []) : []

/** The plain reading: looks at every call. For `same`, which is another set for each call, and to hold windows to. */
export function scanned(of: Measure, { facts }: Pick<Past, 'facts'>, fact: Fact): number {
  const from = fact.at - of.withinMs
  const scope = scopeOf(of.by, fact)
  const same = of.same === null ? null : new Set(fact.keys[of.same])
  const counted = selects(of.of, fact) ? [fact] : []
  for (let index = facts.length - 1; index >= 0; index -= 1) {
    const one = facts[index]
    if (one === undefined || one.at < from) break
    if (scopeOf(of.by, one) !== scope) continue
    if (of.since !== null && selects(of.since, one)) break
    if (!selects(of.of, one)) continue
    if (of.same === null || (one.keys[of.same] ?? []).some((key) => same?.has(key) === true))
      counted.push(one)
  }
  return typeof of.what === 'object'
    ? new Set(counted.flatMap((one) => keysCounted(of, one))).size
    : counted.reduce((sum, one) => sum + weigh(of, one), 0)
}

/**
 * A measure over one scope that moves with its window: each call comes in once and goes out once, instead of a thousand
 * being looked at for every decision.
 */
export class Window {
  readonly #of: Measure
  readonly #scope: string
  /** Calls from `#first` to before `#next` are in. */
  #first = 0
  #next = 0
  #from = Number.NEGATIVE_INFINITY
  #total = 0
  readonly #keys = new Map<string, number>()

  constructor(of: Measure, scope: string) {
    this.#of = of
    this.#scope = scope
  }

  asOf(facts: readonly Fact[], from: number): this {
    // Clocks of nodes differ: a window that would have to move back begins anew.
    if (from < this.#from) {
      this.#empty(0)
      this.#next = 0
    }
    this.#from = from
    for (; this.#next < facts.length; this.#next += 1) {
      const fact = facts[this.#next]
      if (fact === undefined || scopeOf(this.#of.by, fact) !== this.#scope) continue
      if (this.#of.since !== null && selects(this.#of.since, fact)) this.#empty(this.#next + 1)
      else this.#take(fact, 1)
    }
    for (; this.#first < this.#next; this.#first += 1) {
      const fact = facts[this.#first]
      if (fact !== undefined && fact.at >= from) break
      if (fact !== undefined && scopeOf(this.#of.by, fact) === this.#scope) this.#take(fact, -1)
    }
    return this
  }

  /** With the call that is being decided. */
  with(fact: Fact): number {
    const counts = selects(this.#of.of, fact)
    if (typeof this.#of.what !== 'object') return this.#total + (counts ? weigh(this.#of, fact) : 0)
    const fresh = counts ? keysCounted(this.#of, fact).filter((key) => !this.#keys.has(key)) : []
    return this.#keys.size + new Set(fresh).size
  }

  #take(fact: Fact, sign: 1 | -1): void {
    if (!selects(this.#of.of, fact)) return
    this.#total += sign * weigh(this.#of, fact)
    for (const key of keysCounted(this.#of, fact)) {
      const count = (this.#keys.get(key) ?? 0) + sign
      if (count <= 0) this.#keys.delete(key)
      else this.#keys.set(key, count)
    }
  }

  /** Nothing before this place is in. */
  #empty(first: number): void {
    this.#total = 0
    this.#keys.clear()
    this.#first = first
  }
}
