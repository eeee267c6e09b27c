import { clean, join } from '../../flow/labels.ts'
import type { Labels } from '../../flow/labels.ts'
import { noUsage } from '../../task/task.ts'
import type { Budget, Task, TaskSnapshot } from '../../task/task.ts'
import type { TaskStore } from '../ports.ts'
import { StoreConflict } from '../conflict.ts'
import { json, query, text, toJson } from '../query.ts'
import type { Param, Verb } from '../query.ts'
import { historyRevision, line, maxDepth, selectTask, toTask, whole, widens } from './line.ts'
import type { Member } from './line.ts'
import { appendAct } from './log.ts'

/** Lists and sweeps take at most so many at a time. */
const maxListed = 1000

/**
 * Opens a task. It starts from the labels of the agent's open and recent tasks (I6) and of its parent; a sub-task
 * starts from its parent's history as well: by opening one an agent must not get rid of what a policy would look at.
 */
export function* open(input: {
  readonly task: Task
  /** Null: a person attests that the agent starts afresh. */
  readonly labelsSince: number | null
  readonly entry: Uint8Array
}): Verb<void> {
  const { task } = input
  if (task.state !== 'open') throw new StoreConflict(`expected the new task \`${task.id}\` to be open`)
  const ancestors = task.parent === null ? [] : yield* line(task.parent)
  const parent = ancestors[0]
  if (task.parent !== null) demandParent(task, ancestors)
  const known = input.labelsSince === null ? [] : yield* remembered(task.agent, input.labelsSince)
  const labels = known.reduce(join, parent?.labels ?? clean)
  // What a tainted agent says that the person wants may be what it has read (I6).
  const vouched = task.purpose.vouched === true || labels.integrity === 'trusted'
  const rows = yield query(
    `insert into tasks (id, parent, agent, owner, purpose_class, purpose_words, environment, tools, budget, opened_at,
       expires_at, idle_ms, state, closed_at, closed_because, context, labels, labels_revision, history_revision, used,
       called, refused, in_flight, last_call_at, vouched)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'open', null, null, $13, $14, 0, 0, $15, $16, $17, 0, $10, $18)
     on conflict (id) do nothing returning id`,
    task.id,
    task.parent,
    task.agent,
    task.owner,
    task.purpose.class,
    task.purpose.words,
    task.environment,
    toJson(task.tools),
    toJson(task.budget),
    task.openedAt,
    task.expiresAt,
    task.idleMs,
    toJson(task.context),
    toJson(labels),
    toJson(noUsage),
    toJson(parent?.called ?? []),
    parent?.refused ?? 0,
    vouched ? 1 : 0,
  )
  if (rows.length === 0) throw new StoreConflict(`the task \`${task.id}\` exists already; make a new id`)
  yield* appendAct(input.entry, { task: task.id, agent: task.agent })
}

/** The caller has checked; the parent may have closed since. */
function demandParent(task: Task, ancestors: readonly Member[]): void {
  if (ancestors.length === 0)
    throw new StoreConflict(`expected a parent that exists, got \`${task.parent ?? ''}\``)
  if (ancestors.some((one) => one.task.state === 'closed' || one.task.expiresAt <= task.openedAt))
    throw new StoreConflict(`the parent of \`${task.id}\` has ended; open a task of its own`)
  if (ancestors.length > maxDepth - 1)
    throw new StoreConflict(`expected at most ${maxDepth} tasks in a line; open a task of its own`)
}

/** Distinct labels of the agent's tasks that are open or closed since. */
function* remembered(agent: string, since: number): Verb<readonly Labels[]> {
  const rows = yield query(
    'select distinct labels from tasks where agent = $1 and (closed_at is null or closed_at >= $2)',
    agent,
    since,
  )
  return rows.map((row) => json<Labels>(row, 'labels'))
}

export function* get(id: string): Verb<Task | null> {
  const [row] = yield query(`${selectTask} where id = $1`, id)
  return row === undefined ? null : toTask(row)
}

export function* snapshot(id: string): Verb<TaskSnapshot | null> {
  const found = yield* whole(id)
  if (found === null) return null
  const { own, above, memory, heads, done, spilled } = found
  const unknown = memory.unknown.map(({ fingerprint }) => fingerprint)
  return {
    task: own.task,
    ancestors: above.map(({ task }) => task),
    labels: own.labels,
    usage: own.used,
    ancestorUsage: above.map(({ used }) => used),
    history: {
      tools: own.called,
      refused: own.refused,
      inFlight: own.inFlight,
      unknown: memory.forgotten ? [...unknown, '*'] : unknown,
    },
    lastCallAt: own.lastCallAt,
    labelsRevision: own.labelsRevision,
    historyRevision: historyRevision([own, ...above]),
    memoryRevision: memory.revision,
    flow: { task: own.taught, above: above.map(({ taught }) => taught), person: done, sinks: spilled },
    heads,
  }
}

export function* list(filter: Parameters<TaskStore['list']>[0]): Verb<readonly Task[]> {
  const params: Param[] = []
  const tests: string[] = []
  if (filter.agent !== undefined) tests.push(`agent = $${params.push(filter.agent)}`)
  if (filter.state !== undefined) tests.push(`state = $${params.push(filter.state)}`)
  const where = tests.length === 0 ? '' : `where ${tests.join(' and ')}`
  const rows = yield query(`${selectTask} ${where} order by opened_at desc, id limit ${maxListed}`, ...params)
  return rows.map(toTask)
}

type Closing = {
  readonly id: string
  readonly because: string
  readonly at: number
  readonly entry: Uint8Array
}

/**
 * Closes the task and everything below it; their open asks end with them. Nothing was open: nothing is recorded, so
 * that closing again and again cannot fill the log.
 */
export function* close({ id, because, at, entry }: Closing): Verb<readonly string[]> {
  const rows = yield query(
    `with recursive tree (id) as (
       select id from tasks where id = $1 union all select t.id from tasks t join tree on t.parent = tree.id)
     update tasks set state = 'closed', closed_at = $2, closed_because = $3
     where state = 'open' and id in (select id from tree) returning id`,
    id,
    at,
    because,
  )
  const closed = rows.map((row) => text(row, 'id')).sort((a, b) => Number(b === id) - Number(a === id))
  for (const one of closed)
    yield query("update asks set state = 'expired' where task = $1 and state in ('pending', 'approved')", one)
  if (closed.length > 0) yield* appendAct(entry, { task: id })
  return closed
}

type Narrowing = {
  readonly id: string
  readonly to: { readonly tools: readonly string[]; readonly budget: Budget; readonly expiresAt: number }
  readonly entry: Uint8Array
}

export function* narrow({ id, to, entry }: Narrowing): Verb<void> {
  const task = yield* get(id)
  if (task === null || task.state === 'closed')
    throw new StoreConflict(`expected an open task, got \`${id}\``)
  if (to.expiresAt > task.expiresAt)
    throw new StoreConflict(`expected an end no later than that of \`${id}\`; tasks only narrow`)
  if (widens(task.budget, to.budget))
    throw new StoreConflict(`expected a budget within that of \`${id}\`; tasks only narrow`)
  yield query(
    'update tasks set tools = $2, budget = $3, expires_at = $4, history_revision = history_revision + 1 where id = $1',
    id,
    toJson(to.tools),
    toJson(to.budget),
    to.expiresAt,
  )
  yield* appendAct(entry, { task: id, agent: task.agent })
}

/** A task with a call in flight is not idle, however long the call takes. */
export function* due(now: number): Verb<readonly Task[]> {
  const rows = yield query(
    `${selectTask} where state = 'open'
       and (expires_at <= $1 or (idle_ms > 0 and in_flight = 0 and last_call_at + idle_ms <= $1))
     order by expires_at limit ${maxListed}`,
    now,
  )
  return rows.map(toTask)
}

type Lowering = { readonly id: string; readonly to: Labels; readonly entry: Uint8Array }

export function* lowerLabels({ id, to, entry }: Lowering): Verb<void> {
  const rows = yield query(
    'update tasks set labels = $2, labels_revision = labels_revision + 1 where id = $1 returning agent',
    id,
    toJson(to),
  )
  const [row] = rows
  if (row === undefined) throw new StoreConflict(`expected a task that exists, got \`${id}\``)
  yield* appendAct(entry, { task: id, agent: text(row, 'agent') })
}

/** By the clock of the node that closed it: whoever asks goes back further than clocks differ. */
export function* closedSince(since: number): Verb<readonly string[]> {
  const rows = yield query(
    'select id from tasks where closed_at >= $1 order by closed_at desc, id limit $2',
    since,
    maxListed,
  )
  return rows.map((row) => text(row, 'id'))
}
