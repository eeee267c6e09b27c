import { brokerActor, type Actor, type Acts } from '../identity/actor.ts'
import { changes } from './context.ts'
import { ended } from './expire.ts'
import { makeTask, type OpenProblem, type TaskRequest } from './open.ts'
import { newId } from '../lib/id.ts'
import { remaining, scopeOf, tighter, widens } from './narrow.ts'
import { rfc3339, type Clock } from '../lib/clock.ts'
import { isPattern } from './match.ts'
import type { Agent, TaskTemplate } from '../identity/caller.ts'
import type { AgentStore, TaskStore } from '../store/ports.ts'
import type { Budget, Task } from './task.ts'
import { covers, type Labels } from '../flow/labels.ts'
import type { JsonObject } from '../lib/json.ts'
import type { LiveRevocations } from '../revocation/live.ts'

export type TaskProblem =
  OpenProblem | 'unknown-agent' | 'revoked' | 'no-parent' | 'no-task' | 'task-ended' | 'too-many' | 'taken'
export type TaskResult =
  | { readonly ok: true; readonly task: Task }
  | { readonly ok: false; readonly problem: TaskProblem; readonly detail: string }

/** `by: 'agent'` may use its template's purpose only; a person may choose any registered one. */
export type Opening = TaskRequest & {
  readonly agent: string
  readonly parent?: string | null | undefined
  readonly by: 'agent' | 'person'
}
export type Narrowing = {
  readonly tools?: readonly string[] | undefined
  readonly budget?: Budget | undefined
  readonly lifetimeMs?: number | undefined
}

export type Lowered = Pick<Labels, 'confidentiality' | 'integrity'> & { readonly reason: string }

export type Tasks = {
  open(opening: Opening, by: Actor): Promise<TaskResult>
  /** A task for a person's own calls; `name` is the owner and the caller. */
  openForPerson(name: string, request: TaskRequest, by: Actor): Promise<TaskResult>
  get(id: string): Promise<Task | null>
  /** The task when it is `agent`'s own and goes on, else why not. */
  current(id: string, agent: string): Promise<TaskResult>
  list(filter?: { readonly agent?: string; readonly state?: Task['state'] }): Promise<readonly Task[]>
  narrow(id: string, to: Narrowing, by: Actor): Promise<TaskResult>
  /** Closes it with its sub-tasks; gives the ids that were open. Their calls in flight are aborted. */
  close(id: string, because: string, by: Actor): Promise<readonly string[]>
  /** A named person's act; the only way down (I6). */
  lowerLabels(id: string, to: Lowered, by: Actor): Promise<TaskResult>
  /** Another node has closed them: their calls in flight here are aborted, what they were lent here ends. */
  endedElsewhere(ids: readonly string[]): void
  /** Closes what is past its end, idle too long, or bound to a context that has changed. */
  sweep(): Promise<readonly string[]>
}

const mostOpen = 64
const deepest = 8

export type TaskParts = {
  readonly store: TaskStore
  readonly agents: Pick<AgentStore, 'get'>
  readonly revocations: Pick<LiveRevocations, 'first' | 'taskEnded'>
  readonly acts: Acts
  readonly clock: Clock
  /** Registered purpose classes. */
  readonly purposes: readonly string[]
  /** What a person's own task may be at most. */
  readonly personTemplate: TaskTemplate
  /** How long the labels of an agent's closed tasks are remembered by its new ones (I6). */
  readonly labelsMemoryMs: number
  readonly context: () => Task['context']
  /** Told the ids that were closed, after that is durable: processes, sessions and leases of theirs end here. */
  readonly onClosed: (ids: readonly string[]) => void
}

/** Opens, narrows and ends tasks; each with its act in the same transaction. */
export function createTasks(parts: TaskParts): Tasks {
  const { store, clock } = parts
  const self: Tasks = {
    get: (id) => store.get(id),
    list: (filter = {}) => store.list(filter),
    async open({ agent: name, parent, by: asker, ...request }, by) {
      const agent = await parts.agents.get(name)
      if (agent === null || agent.state !== 'active')
        return failed('unknown-agent', `no active agent \`${name}\``)
      const byPerson = asker === 'person'
      if (request.fresh === true && !byPerson)
        return failed('bad-request', 'only a person can attest that an agent starts afresh')
      const purposes = byPerson ? parts.purposes : [agent.template.purposeClass]
      return openFor(parts, { agent, request, parent: parent ?? null, purposes, byPerson }, by)
    },
    async openForPerson(name, request, by) {
      if ((await parts.agents.get(name)) !== null)
        return failed('taken', `\`${name}\` is the name of an agent`)
      const person = { name, owner: name, template: parts.personTemplate }
      const opening = { agent: person, request, parent: null, purposes: parts.purposes, byPerson: true }
      return openFor(parts, opening, by)
    },
    async current(id, agent) {
      const now = clock.now()
      const snapshot = await store.snapshot(id, now)
      // Somebody else's task is told apart from none for nobody.
      if (snapshot === null || snapshot.task.agent !== agent)
        return failed('no-task', `no task \`${id.slice(0, 40)}\` of \`${agent}\``)
      const why =
        ended(snapshot.task, snapshot.lastCallAt, now) ??
        (snapshot.ancestors.some((one) => ended(one, now, now) !== null) ? 'closed' : null) ??
        (changes(snapshot.task.context, parts.context()).length > 0 ? 'context-changed' : null)
      return why === null
        ? { ok: true, task: snapshot.task }
        : failed('task-ended', snapshot.task.closedBecause ?? why)
    },
    narrow: (id, to, by) => narrow(parts, { id, to }, by),
    lowerLabels: (id, to, by) => lowerLabels(parts, { id, to }, by),
    async close(id, because, by) {
      const act = { act: 'task-closed', subject: id, detail: { because } }
      const closed = await store.close(id, because, clock.now(), parts.acts(act, by))
      if (closed.length > 0) end(parts, closed)
      return closed
    },
    endedElsewhere: (ids) => end(parts, ids),
    async sweep() {
      const now = clock.now()
      const closed: string[] = []
      for (const task of await store.due(now)) {
        closed.push(...(await self.close(task.id, ended(task, now, now) ?? 'idle', brokerActor)))
      }
      const context = parts.context()
      for (const task of await store.list({ state: 'open' })) {
        const changed = changes(task.context, context)
        if (changed.length > 0) closed.push(...(await self.close(task.id, 'context-changed', brokerActor)))
      }
      return closed
    },
  }
  return self
}

type OpenFor = {
  readonly agent: Pick<Agent, 'name' | 'owner' | 'template'>
  readonly request: TaskRequest
  readonly parent: string | null
  readonly purposes: readonly string[]
  readonly byPerson: boolean
}

async function openFor(
  parts: TaskParts,
  { agent, request, parent, purposes, byPerson }: OpenFor,
  by: Actor,
): Promise<TaskResult> {
  const now = parts.clock.now()
  const revoked = parts.revocations.first(['all', `agent:${agent.name}`, `person:${agent.owner}`])
  if (revoked !== null) return failed('revoked', `\`${revoked}\` is revoked`)
  const above = parent === null ? null : await parentOf(parts, parent, agent.name)
  if (above !== null && !above.ok) return above
  // What has ended and was not swept yet is not open: a broker that starts again and again must not lock its agents out.
  const unclosed = await parts.store.list({ agent: agent.name, state: 'open' })
  const open = unclosed.filter((task) => ended(task, now, now) === null)
  if (open.length >= mostOpen)
    return failed('too-many', `\`${agent.name}\` has ${open.length} open tasks; close some`)
  const made = makeTask({
    id: newId('t'),
    agent,
    request,
    parent: above?.task ?? null,
    purposes,
    context: parts.context(),
    byPerson,
    now,
  })
  if (!made.ok) return made
  const fresh = request.fresh === true
  const detail = { ...told(made.task), ...(fresh ? { fresh } : {}) }
  const act = { act: 'task-opened', subject: made.task.id, detail }
  await parts.store.open(made.task, fresh ? null : now - parts.labelsMemoryMs, parts.acts(act, by))
  return made
}

/** The parent with what remains of its and its ancestors' budgets, and the nearest of their ends. */
async function parentOf(parts: TaskParts, id: string, agent: string): Promise<TaskResult> {
  const now = parts.clock.now()
  const found = await parts.store.snapshot(id, now)
  if (found === null || found.task.agent !== agent)
    return failed('no-parent', `no task \`${id.slice(0, 40)}\` of \`${agent}\``)
  const line = [found.task, ...found.ancestors]
  if (
    line.some((task) => ended(task, now, now) !== null) ||
    ended(found.task, found.lastCallAt, now) !== null
  )
    return failed('no-parent', `\`${id}\` has ended`)
  const revoked = parts.revocations.first(line.map((task) => `task:${task.id}`))
  if (revoked !== null) return failed('revoked', `\`${revoked}\` is revoked`)
  if (line.length >= deepest) return failed('bad-request', `expected at most ${deepest} levels of sub-tasks`)
  const usages = [found.usage, ...found.ancestorUsage]
  const budget = line.map((task, i) => remaining(task.budget, usages[i] ?? found.usage)).reduce(tighter)
  return {
    ok: true,
    task: { ...found.task, budget, expiresAt: Math.min(...line.map((task) => task.expiresAt)) },
  }
}

async function narrow(
  parts: TaskParts,
  { id, to }: { readonly id: string; readonly to: Narrowing },
  by: Actor,
): Promise<TaskResult> {
  const task = await parts.store.get(id)
  if (task === null) return failed('no-task', `no task \`${id.slice(0, 40)}\``)
  if (task.state === 'closed') return failed('task-ended', 'closed')
  if (to.tools?.some((pattern) => !isPattern(pattern)) === true)
    return failed('bad-request', 'expected tool ids, `server/*` or `*`')
  const narrower = {
    tools: [...new Set(to.tools ?? task.tools)].sort(),
    budget: to.budget === undefined ? task.budget : tighter(to.budget, task.budget),
    expiresAt:
      to.lifetimeMs === undefined
        ? task.expiresAt
        : Math.min(task.expiresAt, parts.clock.now() + to.lifetimeMs),
  }
  const over = widens({ ...scopeOf(task), ...narrower }, scopeOf(task))
  if (over !== null) return failed('outside-ceiling', `a task only narrows: ${over}`)
  const detail = told({ ...task, ...narrower })
  await parts.store.narrow(id, narrower, parts.acts({ act: 'task-narrowed', subject: id, detail }, by))
  return { ok: true, task: { ...task, ...narrower } }
}

async function lowerLabels(
  parts: TaskParts,
  { id, to }: { readonly id: string; readonly to: Lowered },
  by: Actor,
): Promise<TaskResult> {
  const found = await parts.store.snapshot(id, parts.clock.now())
  if (found === null) return failed('no-task', `no task \`${id.slice(0, 40)}\``)
  const { confidentiality, integrity, reason } = to
  const lowered: Labels = { confidentiality, integrity, sources: found.labels.sources }
  if (!covers(found.labels, lowered))
    return failed('bad-request', 'labels are lowered here; they rise by what a task reads')
  const before = { confidentiality: found.labels.confidentiality, integrity: found.labels.integrity }
  const detail = { from: before, to: { confidentiality, integrity }, reason: reason.slice(0, 1000) }
  await parts.store.lowerLabels(id, lowered, parts.acts({ act: 'labels-lowered', subject: id, detail }, by))
  return { ok: true, task: found.task }
}

function end(parts: TaskParts, ids: readonly string[]): void {
  for (const id of ids) parts.revocations.taskEnded(id)
  parts.onClosed(ids)
}

/** What the log keeps of a task. The words are the person's own, and bounded. */
const told = (task: Task): JsonObject => ({
  agent: task.agent,
  owner: task.owner,
  parent: task.parent,
  purpose: task.purpose.class,
  words: task.purpose.words.toWellFormed(),
  environment: task.environment,
  tools: task.tools,
  budget: {
    ...(task.budget.calls === undefined ? {} : { calls: task.budget.calls }),
    effects: { ...task.budget.effects },
  },
  expiresAt: rfc3339(task.expiresAt),
})

const failed = (
  problem: TaskProblem,
  detail: string,
): { readonly ok: false; readonly problem: TaskProblem; readonly detail: string } => ({
  ok: false,
  problem,
  detail,
})
