import { join } from '../../flow/labels.ts'
import type { Labels } from '../../flow/labels.ts'
import type { Effect } from '../../registry/tool.ts'
import type { JsonObject } from '../../lib/json.ts'
import type {
  HeldCall,
  IntendRequest,
  IntendResult,
  SettleRequest,
  SettleResult,
  UnsettledCall,
} from '../ports.ts'
import { int, json, query, text, toJson } from '../query.ts'
import type { Verb } from '../query.ts'
import {
  atCommit,
  changesSomething,
  historyRevision,
  keepMemory,
  made,
  memory,
  overspent,
  remember,
  use,
} from './line.ts'
import type { AtCommit, Made, Reader, Spender } from './line.ts'
import { appendEntry, keepPayload } from './log.ts'
import { addRow, personScope, sinkScope, taskScope } from './flow.ts'
import { same } from './heads.ts'

const maxUnsettled = 10_000
/** A held call is of no use after its end; the rest of a day is for people who look. */
const heldKeptMs = 24 * 60 * 60 * 1000
/** Calls that wait on one ask; whoever opened it comes on top. */
const mostHeld = 32

/** The commit point: see `CallStore.intend`. Every check precedes every write, so that a refusal changes nothing. */
export function* intend(request: IntendRequest): Verb<IntendResult> {
  const now = yield* atCommit(request.task, request.call)
  if (now === null) return { kind: 'task-closed' }
  if (now.isMade) return { kind: 'duplicate' }
  const { members } = now
  if (!members.every((one) => isLive(one, request.at))) return { kind: 'task-closed' }
  if (moved(request, now)) return { kind: 'moved' }
  const leg = request.leg && (yield* isLeg(request))
  if (!leg) {
    const spent = findOverspent(request.effects, members)
    if (spent !== null) return { kind: 'budget-spent', what: spent }
  }
  // A leg that asked a person anew consumes that answer like any call (I4).
  if (request.ask !== null && !(yield* consume(request.ask, request))) return { kind: 'approval-spent' }
  for (const member of members) yield* begin(member, request, !leg)
  yield* record(request)
  if (request.fact !== null && !leg)
    yield* addRow(personScope(request.person), { call: request.call, at: request.at, body: request.fact })
  if (request.spilled !== null)
    yield* addRow(sinkScope, { call: request.call, at: request.at, body: request.spilled })
  yield* appendEntry(request.entry, {
    kind: 'intent',
    call: request.call,
    task: request.task,
    agent: request.agent,
    at: request.at,
  })
  yield* keepPayload(request.payload, request.call, request.at)
  return { kind: 'intended' }
}

const isLive = (task: Spender, at: number): boolean => task.state === 'open' && task.expiresAt > at

/** Besides what `expect` names: a tool that the task, or one above it, was narrowed away from meanwhile. Pure. */
function moved({ expect, tool }: IntendRequest, { members, memoryRevision, done, heads }: AtCommit): boolean {
  const [own] = members
  if (expect.labels !== null && expect.labels !== own.labelsRevision) return true
  if (expect.history !== null && expect.history !== historyRevision(members)) return true
  if (expect.memory !== null && expect.memory !== memoryRevision) return true
  if (expect.person !== null && expect.person !== done) return true
  if (!same(expect.heads, heads)) return true
  return !members.every(({ tools }) => tools.some((pattern) => matches(pattern, tool)))
}

const matches = (pattern: string, tool: string): boolean =>
  pattern === '*' || pattern === tool || (pattern.endsWith('/*') && tool.startsWith(pattern.slice(0, -1)))

/** A leg goes free only behind a first call of this very task and tool; one that claims a strange chain pays like any. */
function* isLeg(request: IntendRequest): Verb<boolean> {
  const rows = yield query(
    'select call from calls where call = $1 and task = $2 and tool = $3 and agent = $4',
    request.chain,
    request.task,
    request.tool,
    request.agent,
  )
  return rows.length > 0
}

/** Names the limit that one more call would pass, nearest task first, or null. */
function findOverspent(effects: readonly Effect[], members: readonly Spender[]): string | null {
  for (const [depth, { id, budget, used }] of members.entries()) {
    const what = overspent(budget, use(used, effects))
    if (what !== null) return depth === 0 ? what : `${what} of the task above it, \`${id}\``
  }
  return null
}

/** Compare and swap: of two calls that carry the same approval, one finds it consumed. */
function* consume(ask: string, request: IntendRequest): Verb<boolean> {
  const rows = yield query(
    `update asks set state = 'consumed'
     where id = $1 and state = 'approved' and expires_at > $2 and task = $3 and agent = $4 and tool = $5 returning id`,
    ask,
    request.at,
    request.task,
    request.agent,
    request.tool,
  )
  return rows.length === 1
}

function* begin(member: Spender, request: IntendRequest, pays: boolean): Verb<void> {
  const { called } = member
  yield query(
    `update tasks set used = $2, called = $3, last_call_at = $4, in_flight = in_flight + 1,
       history_revision = history_revision + 1 where id = $1`,
    member.id,
    toJson(pays ? use(member.used, request.effects) : member.used),
    toJson(called.includes(request.tool) ? called : [...called, request.tool].sort()),
    Math.max(member.lastCallAt, request.at),
  )
}

function* record(request: IntendRequest): Verb<void> {
  yield query(
    `insert into calls (call, chain, task, agent, tool, effects, fingerprint, broker, ask, at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    request.call,
    request.chain,
    request.task,
    request.agent,
    request.tool,
    toJson(request.effects),
    request.fingerprint,
    request.broker,
    request.ask,
    request.at,
  )
}

/** See `CallStore.settle`. Holds for closed tasks too: what was intended gets its outcome whatever happened since. */
export function* settle(request: SettleRequest): Verb<SettleResult> {
  const { call, task, outcome, at } = request
  const intended = yield* made(call, task)
  if (intended === null) return { problem: 'no-intent' }
  if (intended.isSettled) return { problem: 'already-settled' }
  const { agent, effects, fingerprint, members } = intended
  const late = request.expect === null ? null : tooLate(intended, request.expect)
  if (late !== null) return late
  yield query('update calls set outcome = $2, settled_at = $3 where call = $1', call, outcome, at)
  yield* finish(members, agent, request.raise)
  if (outcome === 'unknown')
    yield* keepMemory(agent, remember(yield* memory(agent), fingerprint, changesSomething(effects)))
  if (request.taught !== null) yield* addRow(taskScope(task), { call, at, body: request.taught })
  if (request.spilled !== null) yield* addRow(sinkScope, { call, at, body: request.spilled })
  if (request.lease !== null) yield query('delete from leases where id = $1', request.lease)
  yield* appendEntry(request.entry, { kind: 'outcome', call, task, agent, at })
  yield* keepPayload(request.payload, call, at)
  return { settled: true }
}

/** What was revoked or ended on another node while the server worked: an answer to it is withheld, so it is not settled yet. */
function tooLate({ members, heads }: Made, expect: { readonly revocations: number }): SettleResult | null {
  const ended = members.find(({ state }) => state === 'closed')?.id ?? null
  return ended === null && heads.revocations === expect.revocations
    ? null
    : { problem: 'moved', heads, ended }
}

/** The result has been read by the task, so by all that it was opened for: labels rise up to the first task (I6). */
function* finish(members: readonly Reader[], agent: string, raise: Labels): Verb<void> {
  let moved = false
  for (const { id, labels: before } of members) {
    const labels = toJson(join(before, raise))
    const rises = labels !== toJson(before)
    yield query(
      `update tasks set in_flight = in_flight - 1, history_revision = history_revision + 1, labels = $2,
         labels_revision = labels_revision + $3 where id = $1`,
      id,
      labels,
      rises ? 1 : 0,
    )
    moved ||= rises
  }
  if (moved) yield* spread(agent, raise)
}

/**
 * One agent is one memory: what a task of it has read, its other open tasks know. Or an agent would open two tasks
 * before it reads, read in one and send in the other (I6). A task that a person lowered stays so until something new is
 * read.
 */
function* spread(agent: string, raise: Labels): Verb<void> {
  const rows = yield query("select id, labels from tasks where agent = $1 and state = 'open'", agent)
  for (const row of rows) {
    const labels = toJson(join(json<Labels>(row, 'labels'), raise))
    if (labels === text(row, 'labels')) continue
    yield query(
      'update tasks set labels = $2, labels_revision = labels_revision + 1 where id = $1',
      text(row, 'id'),
      labels,
    )
  }
}

export function* unsettled(living: readonly string[]): Verb<readonly UnsettledCall[]> {
  const rows = yield query(
    `select call, task, tool, effects, broker, at from calls where outcome is null order by at limit ${maxUnsettled}`,
  )
  return rows
    .filter((row) => !living.includes(text(row, 'broker')))
    .map((row) => ({
      call: text(row, 'call'),
      task: text(row, 'task'),
      tool: text(row, 'tool'),
      effects: json<readonly Effect[]>(row, 'effects'),
      broker: text(row, 'broker'),
      at: int(row, 'at'),
    }))
}

/**
 * A later hold of the same call takes the place of the earlier: it waits on another ask now. Of equal calls that wait on
 * one ask the first, the newest and some others are kept: an agent must not fill the disk by repeating one call while a person thinks.
 */
export function* hold(held: HeldCall): Verb<void> {
  yield query('delete from held where expires_at < $1', held.expiresAt - heldKeptMs)
  // All that wait on one ask end with it: the index on the end finds them.
  yield query(
    `delete from held where expires_at = $1 and ask = $2 and call <> $3
       and call <> (select call from asks where id = $2)
       and call not in (select call from held where expires_at = $1 and ask = $2 order by call limit ${mostHeld - 1})`,
    held.expiresAt,
    held.ask,
    held.call,
  )
  yield query(
    `insert into held (call, task, agent, ask, wanted, arguments, expires_at) values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (call) do update set ask = excluded.ask, expires_at = excluded.expires_at
     where held.task = excluded.task and held.agent = excluded.agent`,
    held.call,
    held.task,
    held.agent,
    held.ask,
    toJson(held.wanted),
    toJson(held.arguments),
    held.expiresAt,
  )
}

export function* held(call: string): Verb<HeldCall | null> {
  const [row] = yield query(
    'select task, agent, ask, wanted, arguments, expires_at from held where call = $1',
    call,
  )
  if (row === undefined) return null
  return {
    call,
    task: text(row, 'task'),
    agent: text(row, 'agent'),
    wanted: json<HeldCall['wanted']>(row, 'wanted'),
    arguments: json<JsonObject>(row, 'arguments'),
    ask: text(row, 'ask'),
    expiresAt: int(row, 'expires_at'),
  }
}
