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
  /** Those of the agent, or of the tasks below the same first task: enough to find a line's, and fewer than all. */
  some?(by: 'agent' | 'line', fact: Fact): readonly Fact[]
}

/** Cedar's numbers have 64 bits; this stands for "more than can be told". */
export const beyond = 2 ** 53

/** Pure. `fact` is the call that is being decided, as if it had been made. */
export function measure(of: Measure, past: Past, fact: Fact): number {
  const from = fact.at - of.withinMs
  if (past.since > from) return beyond
  const facts = factsFor(of.by, past, fact)
  const same = of.same === null ? null : new Set(fact.keys[of.same])
  const counting = startCounting(of)
  if (selects(of.of, fact)) counting.add(fact)
  for (let at = facts.length - 1; at >= 0; at -= 1) {
    const one = facts[at]
    if (one === undefined || one.at < from) break
    if (!isWithin(of.by, one, fact)) continue
    if (of.since !== null && selects(of.since, one)) break
    if (!selects(of.of, one)) continue
    if (same !== null && !(one.keys[of.same ?? 'id'] ?? []).some((key) => same.has(key))) continue
    counting.add(one)
  }
  return Math.min(beyond, Math.round(counting.total()))
}

function factsFor(by: Measure['by'], past: Past, fact: Fact): readonly Fact[] {
  if (by === 'person' || past.some === undefined) return past.facts
  return past.some(by === 'agent' ? 'agent' : 'line', fact)
}

function startCounting({ what }: Measure): { add(fact: Fact): void; total(): number } {
  if (typeof what === 'object') {
    const met = new Set<string>()
    return {
      add: ({ keys }) => {
        for (const key of keys[what.distinct] ?? []) met.add(key)
      },
      total: () => met.size,
    }
  }
  let total = 0
  const weight = (fact: Fact): number => {
    switch (what) {
      case 'count':
        return 1
      case 'sum-amount':
        return fact.amount === null || Number.isFinite(fact.amount) ? (fact.amount ?? 0) : beyond
      case 'sum-risk':
        return fact.risk
    }
  }
  return { add: (fact) => void (total += weight(fact)), total: () => total }
}

function isWithin(by: Measure['by'], one: Fact, fact: Fact): boolean {
  switch (by) {
    case 'task':
      return one.tasks[0] === fact.tasks[0]
    case 'line':
      return one.tasks.some((task) => fact.tasks.includes(task))
    case 'agent':
      return one.agent === fact.agent
    case 'person':
      return true
  }
}
