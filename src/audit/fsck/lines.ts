import { clean, covers, join } from '../../flow/labels.ts'
import { isJsonObject } from '../../lib/json.ts'
import { noUsage } from '../../task/task.ts'
import { overspent, use } from '../../store/verbs/line.ts'
import type { ActEntry, IntentEntry, OutcomeEntry, RefusedEntry } from '../entry.ts'
import type { Budget, Usage } from '../../task/task.ts'
import type { Findings } from './finding.ts'
import type { Labels } from '../../flow/labels.ts'
import type { TaskRow } from '../../store/verbs/fsck.ts'

/** A task as the log tells it. `labels` is the least that it must have: what it has read, and what it was opened with. */
type Told = {
  readonly id: string
  readonly parent: Told | null
  readonly children: Told[]
  readonly agent: string
  readonly owner: string
  tools: readonly string[]
  budget: Budget
  expiresAt: number
  open: boolean
  labels: Labels
  used: Usage
  readonly called: Set<string>
  refused: number
  inFlight: number
}

/** Refusals that count in a task's history, as `store/verbs/log.ts` counts them. */
const counted: ReadonlySet<string> = new Set(['denied', 'flow-forbidden', 'approval-refused'])

/**
 * Plays the log again and tells of each task what it must be now: who may do what until when, how much was used, what
 * was read. What the store holds is compared with that at the end. Keeps every task of the log in memory.
 *
 * Labels that a task shares with other tasks of its agent are followed only when it is opened: whether one that a
 * person lowered has risen again since cannot be told from the log alone.
 */
export class Lines {
  readonly #tasks = new Map<string, Told>()
  readonly #open = new Map<string, Set<Told>>()
  readonly #findings: Findings

  constructor(findings: Findings) {
    this.#findings = findings
  }

  owner(task: string): string | null {
    return this.#tasks.get(task)?.owner ?? null
  }

  act(entry: ActEntry): void {
    const task = this.#tasks.get(entry.subject)
    switch (entry.act) {
      case 'task-opened':
        return this.#opened(entry)
      case 'task-narrowed':
        if (task !== undefined) Object.assign(task, scopeOf(entry))
        return
      case 'task-closed':
        if (task !== undefined) this.#close(task)
        return
      case 'labels-lowered':
        if (task !== undefined) task.labels = loweredTo(entry) ?? task.labels
        return
    }
  }

  refused({ task, code, count }: RefusedEntry): void {
    if (task === null || !counted.has(code)) return
    for (const one of this.#line(task)) one.refused += count
  }

  /** `pays` is false for a later leg of a chain: the budget belongs to the chain. */
  intent(index: number, entry: IntentEntry, pays: boolean): void {
    const { call, task, what } = entry
    const line = this.#line(task)
    const where = { index, call, task }
    if (line.length === 0) return this.#findings.add('intent-without-task', 'no act opened the task', where)
    const at = Date.parse(entry.at)
    for (const one of line) {
      if (!one.open) this.#findings.add('intent-after-close', `\`${one.id}\` was closed before`, where)
      else if (one.expiresAt <= at) this.#findings.add('intent-after-end', `\`${one.id}\` had ended`, where)
      if (pays) one.used = use(one.used, what.effects)
      const over = pays ? overspent(one.budget, one.used) : null
      if (over !== null) this.#findings.add('budget-overspent', `\`${over}\` of \`${one.id}\``, where)
      one.called.add(what.tool)
      one.inFlight += 1
    }
  }

  outcome({ task, labels }: OutcomeEntry): void {
    for (const one of this.#line(task)) {
      one.labels = join(one.labels, labels)
      one.inFlight -= 1
    }
  }

  /** Compares a task of the store with what the log tells of it. Every one must be given once; then comes `end`. */
  compare(row: TaskRow): void {
    const told = this.#tasks.get(row.id)
    const where = { task: row.id }
    if (told === undefined) return this.#findings.add('task-unrecorded', 'no act opened it', where)
    this.#tasks.delete(row.id)
    const differs = differences(told, row)
    if (differs.length > 0)
      this.#findings.add('task-differs', `expected another ${differs.join(', ')}`, where)
    if (!sameUsage(told.used, row.used))
      this.#findings.add('usage-differs', `expected ${shown(told.used)}, found ${shown(row.used)}`, where)
    if (told.refused !== row.refused || row.called.join() !== [...told.called].sort().join())
      this.#findings.add(
        'history-differs',
        `expected ${told.called.size} tools and ${told.refused} refusals, found ${row.called.length} and ${row.refused}`,
        where,
      )
    if (told.inFlight !== row.inFlight)
      this.#findings.add('in-flight-differs', `expected ${told.inFlight}, found ${row.inFlight}`, where)
    if (!covers(row.labels, told.labels))
      this.#findings.add(
        'labels-fell',
        `expected at least ${height(told.labels)}, found ${height(row.labels)}`,
        where,
      )
  }

  /** What is left was opened and is in no store. */
  end(): void {
    for (const task of this.#tasks.keys())
      this.#findings.add('task-lost', 'the store has no such task', { task })
  }

  #opened(entry: ActEntry): void {
    const { subject: id, detail } = entry
    const { agent, owner, parent: above } = detail
    if (typeof agent !== 'string' || typeof owner !== 'string') return
    const parent = typeof above === 'string' ? (this.#tasks.get(above) ?? null) : null
    const open = this.#open.get(agent) ?? new Set<Told>()
    const task: Told = {
      id,
      parent,
      children: [],
      agent,
      owner,
      tools: [],
      budget: {},
      expiresAt: 0,
      ...scopeOf(entry),
      open: true,
      // I6: an agent's memory does not begin anew with a task.
      labels: [...open].reduce((labels, one) => join(labels, one.labels), parent?.labels ?? clean),
      used: noUsage,
      called: new Set(parent?.called),
      refused: parent?.refused ?? 0,
      inFlight: 0,
    }
    this.#tasks.set(id, task)
    parent?.children.push(task)
    this.#open.set(agent, open.add(task))
  }

  #close(task: Told): void {
    task.open = false
    this.#open.get(task.agent)?.delete(task)
    for (const child of task.children) if (child.open) this.#close(child)
  }

  #line(id: string): readonly Told[] {
    const line: Told[] = []
    for (let one = this.#tasks.get(id) ?? null; one !== null; one = one.parent) line.push(one)
    return line
  }
}

type Scope = Pick<Told, 'tools' | 'budget' | 'expiresAt'>

/** Tools, budget and end as the act of opening or narrowing has them. */
function scopeOf({ detail }: ActEntry): Partial<Scope> {
  const { tools, budget, expiresAt } = detail
  if (!Array.isArray(tools) || !isJsonObject(budget) || typeof expiresAt !== 'string') return {}
  return { tools: tools.map(String), budget, expiresAt: Date.parse(expiresAt) }
}

function loweredTo({ detail }: ActEntry): Labels | null {
  const { to } = detail
  return isJsonObject(to) ? { ...clean, ...(to as Pick<Labels, 'confidentiality' | 'integrity'>) } : null
}

function differences(told: Told, row: TaskRow): readonly string[] {
  const same: { readonly [what: string]: boolean } = {
    agent: told.agent === row.agent,
    owner: told.owner === row.owner,
    parent: (told.parent?.id ?? null) === row.parent,
    state: told.open === (row.state === 'open') && told.open === (row.closedAt === null),
    tools: [...told.tools].sort().join() === [...row.tools].sort().join(),
    budget: budgetText(told.budget) === budgetText(row.budget),
    end: told.expiresAt === row.expiresAt,
  }
  return Object.keys(same).filter((what) => same[what] === false)
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)
const counts = (of: { readonly [name: string]: number | undefined }): string =>
  Object.entries(of)
    .filter(([, count]) => count !== undefined)
    .sort(byName)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')

const budgetText = ({ calls, effects = {} }: Budget): string => `${calls ?? 'any'} calls, ${counts(effects)}`
const shown = ({ calls, effects }: Usage): string => `${calls} calls (${counts(effects)})`
const sameUsage = (a: Usage, b: Usage): boolean =>
  a.calls === b.calls && counts(a.effects) === counts(b.effects)
const height = ({ confidentiality, integrity }: Labels): string => `${confidentiality}, ${integrity}`
