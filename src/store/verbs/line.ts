import type { Labels } from '../../flow/labels.ts'
import { effects } from '../../registry/tool.ts'
import type { Effect } from '../../registry/tool.ts'
import type { Budget, Task, Usage } from '../../task/task.ts'
import { int, intOrNull, json, query, text, textOrNull } from '../query.ts'
import type { Row, Rows, Verb } from '../query.ts'
import type { Heads } from '../ports.ts'
import { headColumns, headsOf } from './heads.ts'
import { lastOf } from './flow.ts'

/** Sub-tasks of sub-tasks end somewhere: every call writes to each task of its line. */
export const maxDepth = 16

/** So many unknown outcomes of an agent are remembered one by one; beyond, `*` says that a write was forgotten. */
export const maxUnknown = 256

/** A task's row: the task itself and the parts of it that move with its calls. */
export type Member = {
  readonly task: Task
  readonly labels: Labels
  readonly labelsRevision: number
  readonly historyRevision: number
  readonly used: Usage
  readonly called: readonly string[]
  readonly refused: number
  readonly inFlight: number
  readonly lastCallAt: number
  /** Rows of what it has met. */
  readonly taught: number
}

/**
 * What an agent's tasks remember together. A fingerprint whose outcome is unknown outlives its task, or the agent
 * would send the same write again from a new one without being asked about it (I2).
 */
export type Memory = {
  /** Oldest first. `changes` is false for calls that only read: those are forgotten first, they harm nobody. */
  readonly unknown: readonly { readonly fingerprint: string; readonly changes: boolean }[]
  readonly forgotten: boolean
  readonly revision: number
}

export const noMemory: Memory = { unknown: [], forgotten: false, revision: 0 }

const columns = `id, parent, agent, owner, purpose_class, purpose_words, environment, tools, budget, opened_at,
  expires_at, idle_ms, state, closed_at, closed_because, context, vouched`
const moving = `labels, labels_revision, history_revision, used, called, refused, in_flight, last_call_at,
  ${lastOf("'task:' || tasks.id")} as taught`

export const selectTask = `select ${columns} from tasks`
const selectMember = `select ${columns}, ${moving} from tasks where id = $1`
/** With what its agent remembers, and the heads: all that a call is decided on, in one question. */
/** Rows of what the agents of its person have done, and of what tainted tasks have written. */
const done = `${lastOf("'person:' || tasks.owner")} as done`
const spilled = `${lastOf("'sinks'")} as spilled`
const selectWhole = `select ${columns}, ${moving}, ${headColumns}, ${done}, ${spilled},
  (select '[' || revision || ',' || forgotten || ',' || unknown || ']' from memories m where m.agent = tasks.agent) as memory
  from tasks where id = $1`

export const toTask = (row: Row): Task => ({
  id: text(row, 'id'),
  parent: textOrNull(row, 'parent'),
  agent: text(row, 'agent'),
  owner: text(row, 'owner'),
  purpose: {
    class: text(row, 'purpose_class'),
    words: text(row, 'purpose_words'),
    vouched: int(row, 'vouched') === 1,
  },
  environment: text(row, 'environment'),
  tools: json<readonly string[]>(row, 'tools'),
  budget: json<Budget>(row, 'budget'),
  openedAt: int(row, 'opened_at'),
  expiresAt: int(row, 'expires_at'),
  idleMs: int(row, 'idle_ms'),
  state: text(row, 'state') === 'open' ? 'open' : 'closed',
  closedAt: intOrNull(row, 'closed_at'),
  closedBecause: textOrNull(row, 'closed_because'),
  context: json<Task['context']>(row, 'context'),
})

const toMember = (row: Row): Member => ({
  task: toTask(row),
  labels: json<Labels>(row, 'labels'),
  labelsRevision: int(row, 'labels_revision'),
  historyRevision: int(row, 'history_revision'),
  used: json<Usage>(row, 'used'),
  called: json<readonly string[]>(row, 'called'),
  refused: int(row, 'refused'),
  inFlight: int(row, 'in_flight'),
  lastCallAt: int(row, 'last_call_at'),
  taught: rowsOf(row, 'taught'),
})

const rowsOf = (row: Row, column: string): number => (intOrNull(row, column) ?? -1) + 1

/** What the commit point looks at in each task of the line. Less than `Member`: it is read for every call. */
export type Spender = Pick<Task, 'id' | 'agent' | 'tools' | 'budget' | 'expiresAt' | 'state'> &
  Pick<Member, 'labelsRevision' | 'historyRevision' | 'used' | 'called' | 'lastCallAt'>

const spending = `id, parent, agent, tools, budget, expires_at, state, labels_revision, history_revision, used, called,
  last_call_at`
const selectSpender = `select ${spending} from tasks where id = $1`
/** With all that the commit point compares. */
const selectAtCommit = `select ${spending}, ${headColumns}, ${done}, (select count(*) from calls where call = $2) as intents,
  (select revision from memories m where m.agent = tasks.agent) as memory_revision from tasks where id = $1`

const toSpender = (row: Row): Spender => ({
  id: text(row, 'id'),
  agent: text(row, 'agent'),
  tools: json<readonly string[]>(row, 'tools'),
  budget: json<Budget>(row, 'budget'),
  expiresAt: int(row, 'expires_at'),
  state: text(row, 'state') === 'open' ? 'open' : 'closed',
  labelsRevision: int(row, 'labels_revision'),
  historyRevision: int(row, 'history_revision'),
  used: json<Usage>(row, 'used'),
  called: json<readonly string[]>(row, 'called'),
  lastCallAt: int(row, 'last_call_at'),
})

/** The task and its ancestors, nearest first; empty when there is no such task. */
export const line = (task: string): Verb<readonly Member[]> => climb(task, selectMember, toMember)

/** The line of the task with all that a call is decided on. */
export type Whole = {
  readonly own: Member
  readonly above: readonly Member[]
  readonly memory: Memory
  readonly heads: Heads
  readonly done: number
  readonly spilled: number
}

/** Null when there is no such task. */
export function* whole(task: string): Verb<Whole | null> {
  const [row] = yield query(selectWhole, task)
  if (row === undefined) return null
  const above = yield* climb(textOrNull(row, 'parent'), selectMember, toMember)
  const memory = row['memory'] === null ? noMemory : toMemory(json<Packed>(row, 'memory'))
  const flow = { done: rowsOf(row, 'done'), spilled: rowsOf(row, 'spilled') }
  return { own: toMember(row), above, memory, heads: headsOf(row), ...flow }
}

/** The line of the task with all that the commit point compares. */
export type AtCommit = {
  readonly members: readonly [Spender, ...Spender[]]
  /** The call has an intent already. */
  readonly isMade: boolean
  readonly memoryRevision: number
  readonly done: number
  readonly heads: Heads
}

/** Null when there is no such task. */
export function* atCommit(task: string, call: string): Verb<AtCommit | null> {
  const [row] = yield query(selectAtCommit, task, call)
  if (row === undefined) return null
  const above = yield* climb(textOrNull(row, 'parent'), selectSpender, toSpender)
  return {
    members: [toSpender(row), ...above],
    isMade: int(row, 'intents') > 0,
    memoryRevision: intOrNull(row, 'memory_revision') ?? noMemory.revision,
    done: rowsOf(row, 'done'),
    heads: headsOf(row),
  }
}

/** What an outcome looks at in each task of the line. */
export type Reader = Pick<Task, 'id' | 'state'> & Pick<Member, 'labels'>

const selectReader = 'select id, parent, state, labels from tasks where id = $1'
const selectMade = `select c.agent, c.effects, c.fingerprint, c.outcome, t.id, t.parent, t.state, t.labels, ${headColumns}
  from calls c join tasks t on t.id = c.task where c.call = $1 and c.task = $2`

const toReader = (row: Row): Reader => ({
  id: text(row, 'id'),
  state: text(row, 'state') === 'open' ? 'open' : 'closed',
  labels: json<Labels>(row, 'labels'),
})

/** A call as it was intended, with the line of its task. */
export type Made = {
  readonly agent: string
  readonly effects: readonly Effect[]
  readonly fingerprint: string
  readonly isSettled: boolean
  readonly members: readonly Reader[]
  readonly heads: Heads
}

/** Null when the task made no such call. */
export function* made(call: string, task: string): Verb<Made | null> {
  const [row] = yield query(selectMade, call, task)
  if (row === undefined) return null
  const above = yield* climb(textOrNull(row, 'parent'), selectReader, toReader)
  return {
    agent: text(row, 'agent'),
    effects: json<readonly Effect[]>(row, 'effects'),
    fingerprint: text(row, 'fingerprint'),
    isSettled: row['outcome'] !== null,
    members: [toReader(row), ...above],
    heads: headsOf(row),
  }
}

/** Point reads from a task up. `open` keeps lines within `maxDepth`. */
function* climb<One>(from: string | null, sql: string, toOne: (row: Row) => One): Verb<readonly One[]> {
  const members: One[] = []
  for (let id = from; id !== null;) {
    const rows: Rows = yield query(sql, id)
    const [row] = rows
    if (row === undefined) break
    members.push(toOne(row))
    id = textOrNull(row, 'parent')
  }
  return members
}

export function* memory(agent: string): Verb<Memory> {
  const [row] = yield query('select unknown, forgotten, revision from memories where agent = $1', agent)
  if (row === undefined) return noMemory
  return toMemory([int(row, 'revision'), int(row, 'forgotten'), json<Pairs>(row, 'unknown')])
}

type Pairs = readonly (readonly [fingerprint: string, changes: 0 | 1])[]
type Packed = readonly [revision: number, forgotten: number, unknown: Pairs]

const toMemory = ([revision, forgotten, unknown]: Packed): Memory => ({
  unknown: unknown.map(([fingerprint, changes]) => ({ fingerprint, changes: changes === 1 })),
  forgotten: forgotten === 1,
  revision,
})

export function* keepMemory(agent: string, next: Memory): Verb<void> {
  const unknown = toPairs(next)
  yield query(
    `insert into memories (agent, unknown, forgotten, revision) values ($1, $2, $3, $4)
     on conflict (agent) do update set unknown = excluded.unknown, forgotten = excluded.forgotten, revision = excluded.revision`,
    agent,
    unknown,
    next.forgotten ? 1 : 0,
    next.revision,
  )
}

const toPairs = (of: Memory): string =>
  JSON.stringify(of.unknown.map(({ fingerprint, changes }) => [fingerprint, changes ? 1 : 0]))

/** Adds an unknown outcome. Pure. Full: the oldest read goes, or else the oldest write, and `forgotten` says so for good. */
export function remember(known: Memory, fingerprint: string, changes: boolean): Memory {
  const same = known.unknown.find((one) => one.fingerprint === fingerprint)
  const others = known.unknown.filter((one) => one !== same)
  const all = [...others, { fingerprint, changes: changes || same?.changes === true }]
  const revision = known.revision + 1
  if (all.length <= maxUnknown) return { ...known, unknown: all, revision }
  const read = all.findIndex((one) => !one.changes)
  all.splice(Math.max(0, read), 1)
  return { unknown: all, forgotten: known.forgotten || read === -1, revision }
}

/**
 * Moves whenever the task's counts move, or those of a task above it: what was called and used, refused, is in flight. A sum
 * of counters that only grow moves when any of them does.
 */
export const historyRevision = (members: readonly Pick<Member, 'historyRevision'>[]): number =>
  members.reduce((sum, member) => sum + member.historyRevision, 0)

export const changesSomething = (of: readonly Effect[]): boolean => of.some((effect) => effect !== 'read')

/** One more call. A call with several effects counts in each. */
export function use(used: Usage, of: readonly Effect[]): Usage {
  const counts: { [E in Effect]?: number } = { ...used.effects }
  for (const effect of new Set(of)) counts[effect] = (counts[effect] ?? 0) + 1
  return { calls: used.calls + 1, effects: counts }
}

/** The first limit that the usage is over, or null. */
export function overspent(budget: Budget, used: Usage): 'calls' | Effect | null {
  if (budget.calls !== undefined && used.calls > budget.calls) return 'calls'
  for (const [effect, limit] of limits(budget)) if ((used.effects[effect] ?? 0) > limit) return effect
  return null
}

/** Whether `next` allows something that `old` did not. */
export function widens(old: Budget, next: Budget): boolean {
  if (old.calls !== undefined && (next.calls === undefined || next.calls > old.calls)) return true
  return limits(old).some(([effect, limit]) => (next.effects?.[effect] ?? Infinity) > limit)
}

const limits = (budget: Budget): readonly (readonly [Effect, number])[] =>
  effects.flatMap((effect): (readonly [Effect, number])[] => {
    const limit = budget.effects?.[effect]
    return limit === undefined ? [] : [[effect, limit]]
  })
