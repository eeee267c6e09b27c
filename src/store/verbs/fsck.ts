import type { Agent } from '../../identity/caller.ts'
import type { Answer, Ask } from '../../approval/ask.ts'
import type { Budget, Usage } from '../../task/task.ts'
import type { Effect, Tool } from '../../registry/tool.ts'
import type { Labels } from '../../flow/labels.ts'
import type { Payload } from '../../audit/entry.ts'
import { bytes, int, intOrNull, json, query, text, textOrNull } from '../query.ts'
import type { Row, Verb } from '../query.ts'

/*
 * What `audit fsck` reads: rows as they stand, page by page, judged elsewhere (`audit/fsck.ts`). Nothing here changes
 * anything, and nothing here leaves out what an ordinary verb would hide.
 */

/** Rows in a page. */
export const pageSize = 512

/** A call as the store knows it. */
export type MadeCall = {
  readonly call: string
  readonly chain: string
  readonly task: string
  readonly agent: string
  readonly tool: string
  readonly effects: readonly Effect[]
  readonly fingerprint: string
  readonly broker: string
  readonly ask: string | null
  readonly at: number
  readonly outcome: string | null
}

/** An entry with what it is found by, and the call that it is of, if the store knows one. */
export type Logged = {
  readonly index: number
  readonly leaf: Uint8Array
  readonly bytes: Uint8Array
  readonly kind: string
  readonly call: string | null
  readonly task: string | null
  readonly at: number
  readonly made: MadeCall | null
}

const callColumns = `c.chain as c_chain, c.task as c_task, c.agent as c_agent, c.tool as c_tool, c.effects as c_effects,
  c.fingerprint as c_fingerprint, c.broker as c_broker, c.ask as c_ask, c.at as c_at, c.outcome as c_outcome`

const toCall = (row: Row, call: string): MadeCall => ({
  call,
  chain: text(row, 'c_chain'),
  task: text(row, 'c_task'),
  agent: text(row, 'c_agent'),
  tool: text(row, 'c_tool'),
  effects: json<readonly Effect[]>(row, 'c_effects'),
  fingerprint: text(row, 'c_fingerprint'),
  broker: text(row, 'c_broker'),
  ask: textOrNull(row, 'c_ask'),
  at: int(row, 'c_at'),
  outcome: textOrNull(row, 'c_outcome'),
})

/** A page of the log from `from` on. */
export function* entries(from: number): Verb<readonly Logged[]> {
  const rows = yield query(
    `select e.idx, e.leaf, e.bytes, e.kind, e.call, e.task, e.at, ${callColumns}
     from entries e left join calls c on c.call = e.call where e.idx >= $1 order by e.idx limit ${pageSize}`,
    from,
  )
  return rows.map((row) => ({
    index: int(row, 'idx'),
    leaf: bytes(row, 'leaf'),
    bytes: bytes(row, 'bytes'),
    kind: text(row, 'kind'),
    call: textOrNull(row, 'call'),
    task: textOrNull(row, 'task'),
    at: int(row, 'at'),
    made: row['c_chain'] === null ? null : toCall(row, text(row, 'call')),
  }))
}

/** The bytes of a page of acts. They are few, and there is an index over them. */
export function* acts(from: number): Verb<readonly { readonly index: number; readonly bytes: Uint8Array }[]> {
  const rows = yield query(
    `select idx, bytes from entries where kind = 'act' and idx >= $1 order by idx limit ${pageSize}`,
    from,
  )
  return rows.map((row) => ({ index: int(row, 'idx'), bytes: bytes(row, 'bytes') }))
}

export function* madeCall(call: string): Verb<MadeCall | null> {
  const [row] = yield query(`select ${callColumns} from calls c where c.call = $1`, call)
  return row === undefined ? null : toCall(row, call)
}

/** Calls without an entry of the kind that they must have; a page, in no order. */
export function* callsWithout(kind: 'intent' | 'outcome'): Verb<readonly string[]> {
  const settled = kind === 'outcome' ? 'c.outcome is not null and' : ''
  const rows = yield query(
    `select c.call from calls c where ${settled} not exists
       (select 1 from entries e where e.call = c.call and e.kind = '${kind}') limit ${pageSize}`,
  )
  return rows.map((row) => text(row, 'call'))
}

export function* openCalls(): Verb<readonly MadeCall[]> {
  const rows = yield query(
    `select c.call, ${callColumns} from calls c where c.outcome is null order by c.at limit 10000`,
  )
  return rows.map((row) => toCall(row, text(row, 'call')))
}

/** So many payloads are looked up at once: each may be as large as a result. */
export const payloadsAtOnce = 8
const payloadColumns = 'commitment, salt, bytes, kind, call'
const eight = Array.from({ length: payloadsAtOnce }, (_, n) => `$${n + 1}`).join(', ')

export type KeptPayload = Payload & { readonly call: string | null }

/** Those of the commitments (eight at most) that are kept. */
export function* payloads(commitments: readonly string[]): Verb<readonly KeptPayload[]> {
  const params = Array.from({ length: payloadsAtOnce }, (_, n) => commitments[n] ?? '')
  const rows = yield query(`select ${payloadColumns} from payloads where commitment in (${eight})`, ...params)
  return rows.map((row) => ({
    commitment: text(row, 'commitment'),
    salt: bytes(row, 'salt'),
    bytes: bytes(row, 'bytes'),
    kind: text(row, 'kind') === 'result' ? 'result' : 'arguments',
    call: textOrNull(row, 'call'),
  }))
}

export function* countPayloads(): Verb<number> {
  const [row] = yield query('select count(*) as payloads from payloads')
  return row === undefined ? 0 : int(row, 'payloads')
}

export type TaskRow = {
  readonly id: string
  readonly parent: string | null
  readonly agent: string
  readonly owner: string
  readonly tools: readonly string[]
  readonly budget: Budget
  readonly expiresAt: number
  readonly state: string
  readonly closedAt: number | null
  readonly labels: Labels
  readonly used: Usage
  readonly called: readonly string[]
  readonly refused: number
  readonly inFlight: number
}

/** A page of tasks behind the id `after`. */
export function* tasks(after: string): Verb<readonly TaskRow[]> {
  const rows = yield query(
    `select id, parent, agent, owner, tools, budget, expires_at, state, closed_at, labels, used, called, refused, in_flight
     from tasks where id > $1 order by id limit ${pageSize}`,
    after,
  )
  return rows.map((row) => ({
    id: text(row, 'id'),
    parent: textOrNull(row, 'parent'),
    agent: text(row, 'agent'),
    owner: text(row, 'owner'),
    tools: json<readonly string[]>(row, 'tools'),
    budget: json<Budget>(row, 'budget'),
    expiresAt: int(row, 'expires_at'),
    state: text(row, 'state'),
    closedAt: intOrNull(row, 'closed_at'),
    labels: json<Labels>(row, 'labels'),
    used: json<Usage>(row, 'used'),
    called: json<readonly string[]>(row, 'called'),
    refused: int(row, 'refused'),
    inFlight: int(row, 'in_flight'),
  }))
}

export type AskRow = Pick<Ask, 'id' | 'call' | 'task' | 'agent' | 'owner' | 'requirement' | 'answers'> & {
  readonly state: string
}

/** A page of asks behind the id `after`, by the state that is written. */
export function* asks(after: string): Verb<readonly AskRow[]> {
  const rows = yield query(
    `select id, call, task, agent, owner, state, body, answers from asks where id > $1 order by id limit ${pageSize}`,
    after,
  )
  return rows.map((row) => ({
    id: text(row, 'id'),
    call: text(row, 'call'),
    task: text(row, 'task'),
    agent: text(row, 'agent'),
    owner: text(row, 'owner'),
    state: text(row, 'state'),
    requirement: json<Pick<Ask, 'requirement'>>(row, 'body').requirement,
    answers: json<readonly Answer[]>(row, 'answers'),
  }))
}

export type Remembered = { readonly unknown: ReadonlySet<string>; readonly forgotten: boolean }

/** What agents remember of calls whose outcome is unknown, by agent. */
export function* memories(): Verb<ReadonlyMap<string, Remembered>> {
  const rows = yield query('select agent, unknown, forgotten from memories')
  return new Map(
    rows.map((row) => {
      const unknown = json<readonly [string, 0 | 1][]>(row, 'unknown').map(([fingerprint]) => fingerprint)
      return [text(row, 'agent'), { unknown: new Set(unknown), forgotten: int(row, 'forgotten') === 1 }]
    }),
  )
}

export type LeaseRow = {
  readonly id: string
  readonly task: string
  readonly until: number
  /** Of the task; null when there is no such task, or while it is open. */
  readonly closedAt: number | null
  readonly known: boolean
}

export function* leases(): Verb<readonly LeaseRow[]> {
  const rows = yield query(
    `select l.id, l.task, l.until, t.id as known, t.closed_at from leases l left join tasks t on t.id = l.task
     order by l.at limit 10000`,
  )
  return rows.map((row) => ({
    id: text(row, 'id'),
    task: text(row, 'task'),
    until: int(row, 'until'),
    closedAt: intOrNull(row, 'closed_at'),
    known: row['known'] !== null,
  }))
}

/** What gives or takes authority, as it stands. */
export type Authority = {
  readonly revocations: readonly string[]
  readonly agents: readonly Pick<Agent, 'name' | 'state'>[]
  /** Tools that can be called, with the digest that was reviewed. */
  readonly reviewed: readonly { readonly id: string; readonly digest: string | null }[]
}

export function* authority(): Verb<Authority> {
  const revocations = yield query('select key from revocations order by key')
  const agents = yield query('select body from agents order by name')
  const tools = yield query("select body from tools where state = 'reviewed' order by id")
  return {
    revocations: revocations.map((row) => text(row, 'key')),
    agents: agents.map((row) => json<Agent>(row, 'body')),
    reviewed: tools.map((row) => {
      const { id, review } = json<Tool>(row, 'body')
      return { id, digest: review?.digest ?? null }
    }),
  }
}
