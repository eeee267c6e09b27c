import { Rehearsal, type Stage, type Step } from './rehearse.ts'
import type { JsonObject } from '../lib/json.ts'
import { readsPath } from './reads.ts'
import type { Judgement } from './judge.ts'
import type { LoadedPolicies } from './snapshot.ts'
import type { Labels } from '../flow/labels.ts'
import type { Operation, ServerAnswer } from '../server/answer.ts'
import type { Outcome } from '../audit/entry.ts'
import type { Task } from '../task/task.ts'
import type { Tool } from '../registry/tool.ts'

type Decision = Judgement['decision']

/** What a log says, in its order. A task comes before what it did, its ancestors before it. */
export type Recorded =
  | { readonly kind: 'task'; readonly task: Task; readonly above: readonly string[] }
  | RecordedCall
  | {
      readonly kind: 'outcome'
      readonly call: string
      readonly outcome: Outcome
      /** Null when it was erased, or there was none. */
      readonly answer: ServerAnswer | null
      readonly erased: boolean
      /** The task's, as the broker had them from then on. */
      readonly labels: Labels
    }

export type RecordedCall = {
  readonly kind: 'call'
  readonly call: string
  /** A later leg of another call's chain. */
  readonly leg: boolean
  readonly task: string
  readonly caller: Step['caller']
  /** Tool id. */
  readonly tool: string
  readonly operation: Operation
  /** Null when they were erased or never kept. */
  readonly arguments: JsonObject | null
  /** Milliseconds since the epoch. */
  readonly at: number
  /** What was decided then. */
  readonly before: Decision
  /** It was made: an intent. Else it was refused. */
  readonly made: boolean
  /** The task's when it was decided, when the entry says. */
  readonly labels: Labels | null
}

/** One call that the proposed set decides in another way. */
export type Difference = {
  readonly call: string
  readonly task: string
  readonly tool: string
  readonly at: number
  readonly before: Decision
  readonly after: Decision
  readonly policies: readonly string[]
  readonly because: readonly string[]
}

export type Group = {
  readonly tool: string
  readonly before: Decision
  readonly after: Decision
  readonly policies: readonly string[]
  readonly count: number
}

export type Replayed = {
  readonly policy: string
  /** Calls that were put to it; those below were not. */
  readonly calls: number
  readonly days: number
  readonly skipped: { readonly erased: number; readonly unregistered: number }
  /** Results that were erased: later targets that stood in them are found nowhere. */
  readonly resultsErased: number
  readonly before: { readonly [D in Decision]: number }
  readonly after: { readonly [D in Decision]: number }
  readonly questionsPerDay: { readonly before: number; readonly after: number }
  /** The first of each; `counts` has all. */
  readonly newly: {
    readonly denied: readonly Difference[]
    readonly asked: readonly Difference[]
    readonly allowed: readonly Difference[]
  }
  readonly counts: { readonly denied: number; readonly asked: number; readonly allowed: number }
  /** The same by tool and deciding policies, most frequent first. */
  readonly groups: readonly Group[]
}

const mostShown = 1000
const mostGroups = 500
const dayMs = 86_400_000

export type ReplaySettings = Omit<Stage, 'spread' | 'onlyVouched'> & {
  readonly policy: LoadedPolicies
  readonly tools: readonly Tool[]
  /** Calls before it are played for what they leave behind, and not counted. Milliseconds since the epoch. */
  readonly since: number
}

/**
 * Plays what was recorded, as it was, and puts each call to another policy set. What the set would have refused has
 * happened all the same, so what came after it is judged as it came. Labels are those that the broker wrote down; origins,
 * counts and tainted writes are made anew from arguments and results. Pure.
 */
export class Replay {
  readonly #settings: ReplaySettings
  readonly #rehearsal: Rehearsal
  readonly #tools: ReadonlyMap<string, Tool>
  readonly #open = new Map<string, Step>()
  /** Calls that a person was asked about and that may yet be made: counted once. */
  readonly #asked = new Set<string>()
  readonly #days = new Set<number>()
  readonly #before = { allow: 0, ask: 0, deny: 0 }
  readonly #after = { allow: 0, ask: 0, deny: 0 }
  readonly #newly: { readonly [Kind in 'denied' | 'asked' | 'allowed']: Difference[] } = {
    denied: [],
    asked: [],
    allowed: [],
  }
  readonly #counts = { denied: 0, asked: 0, allowed: 0 }
  readonly #groups = new Map<string, Omit<Group, 'count'> & { count: number }>()
  readonly #reasons: ReadonlyMap<string, string | null>
  readonly #skipped = { erased: 0, unregistered: 0 }
  #resultsErased = 0

  constructor(settings: ReplaySettings) {
    this.#settings = settings
    // Overflowing is the one thing that policies can see of what was met in untrusted fields.
    const onlyVouched = !settings.policy.policies.some(({ reads }) =>
      readsPath(reads.context, ['flow', 'overflowed']),
    )
    this.#reasons = new Map(settings.policy.policies.map(({ id, reason }) => [id, reason]))
    this.#rehearsal = new Rehearsal({ ...settings, spread: false, onlyVouched })
    this.#tools = new Map(settings.tools.map((tool) => [tool.id, tool]))
  }

  take(event: Recorded): void {
    switch (event.kind) {
      case 'task':
        return this.#rehearsal.open(event.task, event.above)
      case 'call':
        return this.#call(event)
      case 'outcome':
        return this.#outcome(event)
    }
  }

  report(): Replayed {
    const days = this.#days.size
    const perDay = (asked: number): number => (days === 0 ? 0 : Math.round((asked / days) * 10) / 10)
    const groups = [...this.#groups.values()].sort((a, b) => b.count - a.count).slice(0, mostGroups)
    return {
      policy: this.#settings.policy.version,
      calls: this.#before.allow + this.#before.ask + this.#before.deny,
      days,
      skipped: this.#skipped,
      resultsErased: this.#resultsErased,
      before: this.#before,
      after: this.#after,
      questionsPerDay: { before: perDay(this.#before.ask), after: perDay(this.#after.ask) },
      newly: this.#newly,
      counts: this.#counts,
      groups,
    }
  }

  #call(event: RecordedCall): void {
    const { call, task, made, labels, before } = event
    if (labels !== null) this.#rehearsal.relabel(task, labels)
    const again = this.#asked.has(call)
    const step = this.#step(event, again || event.leg)
    const judged =
      step === null || again || event.leg ? null : this.#rehearsal.judge(this.#settings.policy, step)
    if (judged !== null) this.#compare(event, judged.judgement)
    if (!made) {
      if (before === 'ask') this.#asked.add(call)
      if (before === 'deny') this.#rehearsal.refused(task)
      return
    }
    this.#asked.delete(call)
    if (step === null) return
    this.#open.set(call, step)
    if (!event.leg) this.#rehearsal.made(step, judged ?? this.#rehearsal.bind(step))
  }

  #step(event: RecordedCall, counted: boolean): Step | null {
    const tool = this.#tools.get(event.tool)
    const isKnown = tool !== undefined && tool.review !== null && tool.pinned !== null
    const isCounted = !counted && event.at >= this.#settings.since
    if (!isKnown || event.arguments === null) {
      if (isCounted) this.#skipped[isKnown ? 'erased' : 'unregistered'] += 1
      return null
    }
    const { call, task, caller, operation, at: now } = event
    return { call, task, caller, tool, operation, arguments: event.arguments, now }
  }

  #compare({ call, task, tool, at, before }: RecordedCall, judgement: Judgement): void {
    if (at < this.#settings.since) return
    const after = judgement.decision
    this.#days.add(Math.floor(at / dayMs))
    this.#before[before] += 1
    this.#after[after] += 1
    if (after === before) return
    const kind = { deny: 'denied', ask: 'asked', allow: 'allowed' } as const
    this.#counts[kind[after]] += 1
    const { policies } = judgement
    const said = policies.flatMap((id) => this.#reasons.get(id) ?? [])
    const because = said.length > 0 ? said : [...judgement.because, ...judgement.errors]
    const shown = this.#newly[kind[after]]
    if (shown.length < mostShown) shown.push({ call, task, tool, at, before, after, policies, because })
    const key = JSON.stringify([tool, before, after, policies])
    const group = this.#groups.get(key)
    if (group === undefined) this.#groups.set(key, { tool, before, after, policies, count: 1 })
    else group.count += 1
  }

  #outcome({ call, outcome, answer, erased, labels }: Extract<Recorded, { kind: 'outcome' }>): void {
    const step = this.#open.get(call)
    if (step === undefined) return
    this.#open.delete(call)
    if (erased) this.#resultsErased += 1
    if (outcome === 'unknown') this.#rehearsal.lost(step)
    // What was withheld the task has not met.
    else this.#rehearsal.answered(step, outcome === 'withheld' ? null : answer)
    this.#rehearsal.relabel(step.task, labels)
  }
}
