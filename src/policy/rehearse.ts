import { canonical } from '../lib/jcs.ts'
import { clean, join, type Confidentiality, type Labels } from '../flow/labels.ts'
import { decodeSink, SinkTable } from '../flow/sinks.ts'
import { flowFor } from '../call/decide.ts'
import { judge, type Judged } from '../call/judge.ts'
import { keyFrom } from '../flow/key.ts'
import { noUsage, type Task, type TaskSnapshot, type Usage } from '../task/task.ts'
import { Origins } from '../flow/origins.ts'
import { overClearance, readIn } from '../call/label.ts'
import { PastTable } from '../flow/past.ts'
import { purposeWords, type PurposeWords } from '../flow/purpose.ts'
import { returned, written } from '../call/spilled.ts'
import type { Caller } from '../identity/caller.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Judgement, PolicySnapshot } from './judge.ts'
import type { Known } from '../flow/flow.ts'
import type { Operation, ServerAnswer } from '../server/answer.ts'
import type { Tool } from '../registry/tool.ts'

/**
 * Calls without servers, store or people: the path's own pure functions (flow, judge, label, spill), one call after the
 * other, on tasks kept in memory. What `policy test`, `policy replay` and whoever asks "what if" have in common; no rule
 * is written here a second time. Judging changes nothing; `made` and `answered` do.
 */
export type Stage = {
  /** The broker's environment. */
  readonly environment: string
  /** Bodies above this are withheld, and teach nothing. */
  readonly clearance: Confidentiality
  /** Labels that rise reach the agent's other tasks, as they do in a broker. Left out when the labels are known. */
  readonly spread?: boolean
  /** See `learn`: for those who decide and do not explain. */
  readonly onlyVouched?: boolean
}

export type Step = {
  readonly call: string
  readonly task: string
  readonly caller: Pick<Caller, 'kind' | 'name' | 'onBehalfOf' | 'proven' | 'issuer'>
  readonly tool: Tool
  readonly operation: Operation
  readonly arguments: JsonObject
  /** Milliseconds since the epoch; never less than a step before it. */
  readonly now: number
}

/** A call that was judged; `made` goes on from here. */
export type Rehearsed = Judged & { readonly judgement: Judgement; readonly known: Known }

type Line = {
  readonly task: Task
  readonly above: readonly string[]
  readonly origins: Origins
  readonly words: PurposeWords | null
  labels: Labels
  usage: Usage
  tools: readonly string[]
  refused: number
  inFlight: number
}

/** Values are compared within one rehearsal alone, so their keys need no secret. */
const secret = new Uint8Array(32)

export class Rehearsal {
  readonly #stage: Stage
  readonly #lines = new Map<string, Line>()
  readonly #persons = new Map<string, PastTable>()
  /** Calls of each agent that may have happened (I2). */
  readonly #unknown = new Map<string, Set<string>>()
  readonly #sinks = new SinkTable()

  constructor(stage: Stage) {
    this.#stage = stage
  }

  has(task: string): boolean {
    return this.#lines.has(task)
  }

  /** `above`: the task's ancestors, nearest first, opened before. */
  open(task: Task, above: readonly string[], labels: Labels = clean): void {
    const { vouched, words } = task.purpose
    this.#lines.set(task.id, {
      task,
      above,
      labels,
      origins: new Origins(),
      words: vouched === true && words !== '' ? purposeWords(words) : null,
      usage: noUsage,
      tools: [],
      refused: 0,
      inFlight: 0,
    })
  }

  /** What is known of a task from elsewhere takes the place of what was rehearsed. */
  relabel(task: string, labels: Labels): void {
    this.#line(task).labels = labels
  }

  judge(policy: PolicySnapshot, step: Step): Rehearsed {
    const call = this.bind(step)
    return { ...call, judgement: judge(policy, call, this.#stage.environment, null) }
  }

  /** Policy or a person said no. */
  refused(task: string): void {
    for (const line of this.#ofLine(task)) line.refused += 1
  }

  /** The commit point: what is remembered of the call from here on. A later leg of a chain is the same call. */
  made(step: Step, call: Pick<Rehearsed, 'tool' | 'bound' | 'known' | 'arguments' | 'flow'>): void {
    const effects = call.tool.review?.effects ?? []
    for (const line of this.#ofLine(step.task)) {
      const used = { ...line.usage.effects }
      for (const effect of effects) used[effect] = (used[effect] ?? 0) + 1
      line.usage = { calls: line.usage.calls + 1, effects: used }
      if (!line.tools.includes(call.tool.id)) line.tools = [...line.tools, call.tool.id].sort()
    }
    this.#line(step.task).inFlight += 1
    call.known.past.add(call.flow.fact)
    this.#spill(written(call, call.arguments), step.now)
  }

  /** What came back. Null: nobody knows any more what it was, but it was told how the call ended. */
  answered(step: Step, answer: ServerAnswer | null): void {
    const line = this.#line(step.task)
    line.inFlight = Math.max(0, line.inFlight - 1)
    if (answer === null) return
    const { bound, known } = this.#snapshot(step)
    const { tool } = step
    const { onlyVouched = false } = this.#stage
    const reader = { tool, known, sinks: this.#sinks.asOf(step.now), arguments: step.arguments, onlyVouched }
    const { own, lessons } = readIn(reader, answer)
    this.#raise(step, own)
    this.#spill(returned({ tool, bound, known, lessons }), step.now)
    if (overClearance(own, this.#stage.clearance) !== null) return
    const place = { call: step.call, tool: tool.id }
    for (const { key, standing } of lessons) line.origins.learn(keyFrom(key), standing, place)
  }

  /** Sent, and nobody knows whether it happened. */
  lost(step: Step): void {
    const lost = this.#unknown.get(step.caller.name) ?? new Set<string>()
    this.#unknown.set(step.caller.name, lost.add(fingerprintOf(step)))
    this.answered(step, null)
  }

  labels(task: string): Labels {
    return this.#line(task).labels
  }

  /** The call as the judge would see it now. */
  bind(step: Step): Judged & { readonly known: Known } {
    const { tool, now } = step
    const caller: Caller = {
      ...step.caller,
      task: step.task,
      tokenId: 'rehearsed',
      expiresAt: Number.MAX_SAFE_INTEGER,
    }
    const { bound, known } = this.#snapshot(step)
    const call = { tool, caller, bound, known, now, arguments: step.arguments }
    const arrival = { wanted: { operation: step.operation } }
    return { ...call, arrival, fingerprint: fingerprintOf(step), flow: flowFor(call) }
  }

  #snapshot({ task, caller, now }: Step): { readonly bound: TaskSnapshot; readonly known: Known } {
    const own = this.#line(task)
    const above = own.above.map((id) => this.#line(id))
    const bound: TaskSnapshot = {
      task: own.task,
      ancestors: above.map((line) => line.task),
      labels: own.labels,
      usage: own.usage,
      ancestorUsage: above.map(({ usage }) => usage),
      history: {
        tools: own.tools,
        refused: own.refused,
        inFlight: own.inFlight,
        unknown: [...(this.#unknown.get(caller.name) ?? [])],
      },
      lastCallAt: now,
      ...unmoved,
    }
    const all = [own, ...above]
    const known: Known = {
      secret,
      purposes: all.flatMap(({ words }) => (words === null ? [] : [words])),
      origins: all.map(({ origins }) => origins),
      past: this.#person(own.task.owner),
      sinks: this.#sinks.asOf(now),
      revision: 0,
    }
    return { bound, known }
  }

  #person(name: string): PastTable {
    const past = this.#persons.get(name) ?? new PastTable()
    this.#persons.set(name, past)
    return past
  }

  #raise({ task, caller }: Step, own: Labels): void {
    const lines = this.#stage.spread === false ? [] : [...this.#lines.values()]
    const others = lines.filter((line) => line.task.agent === caller.name)
    for (const line of new Set([...this.#ofLine(task), ...others])) line.labels = join(line.labels, own)
  }

  #spill(spilled: string | null, at: number): void {
    if (spilled !== null) this.#sinks.add(decodeSink(spilled), at)
  }

  #ofLine(task: string): readonly Line[] {
    const own = this.#line(task)
    return [own, ...own.above.map((id) => this.#line(id))]
  }

  #line(task: string): Line {
    const line = this.#lines.get(task)
    if (line === undefined) throw new Error(`expected the task \`${task}\` to be opened first`)
    return line
  }
}

const fingerprintOf = ({ tool, arguments: args }: Pick<Step, 'tool' | 'arguments'>): string =>
  `${tool.id}\n${canonical(args)}`

const unmoved = {
  labelsRevision: 0,
  historyRevision: 0,
  memoryRevision: 0,
  flow: { task: 0, above: [], person: 0, sinks: 0 },
  heads: { registry: 0, policies: 0, revocations: 0 },
}
