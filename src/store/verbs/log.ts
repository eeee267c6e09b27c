import { createHash } from 'node:crypto'
import type { Payload } from '../../audit/entry.ts'
import type { LogStore, StoredEntry } from '../ports.ts'
import { StoreConflict } from '../conflict.ts'
import { bytes, int, query, text } from '../query.ts'
import type { Param, Row, Verb } from '../query.ts'
import { describe } from './about.ts'
import type { About, Described } from './about.ts'

/** C2SP tiles give an entry's length 16 bits. */
const maxEntryBytes = 65_535
/** What a log is searched by is kept in indexes, which take no row beyond some 2,700 bytes. */
const maxNameLength = 800
/** At most so many entries are read at once, so that no reader can hold the broker up. */
const maxRead = 1024

/** Refusals that count in a task's history: policy or a person said no. Faults, bad arguments and waiting do not. */
const counted: ReadonlySet<string | null> = new Set(['denied', 'flow-forbidden', 'approval-refused'])

/** RFC 6962 section 2.1: the leaf's hash is SHA-256 over 0x00 and the entry, so that no entry can pose as a node. */
export const leafHash = (entry: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(new Uint8Array(1)).update(entry).digest())

/** Gives the entry the next index and keeps it: see `Append`. */
export function* appendEntry(entry: Uint8Array, about: About): Verb<void> {
  if (entry.length > maxEntryBytes)
    throw new StoreConflict(`expected an entry of at most ${maxEntryBytes} bytes, got ${entry.length}`)
  const { kind, call, task, agent, at } = about
  for (const name of [kind, call, task, agent])
    if (name !== null && name.length > maxNameLength)
      throw new StoreConflict(`expected names of at most ${maxNameLength} characters in an entry`)
  yield { append: [leafHash(entry), entry, kind, call, task, agent, at] }
}

/** Appends the entry of an act; `known` is what the verb knows better than the entry's words. */
export function* appendAct(entry: Uint8Array, known: Partial<About> = {}): Verb<void> {
  yield* appendEntry(entry, { ...describe(entry), ...known })
}

/** Keeps a payload beside the log. The salt makes equal commitments equal payloads, so a second one adds nothing. */
export function* keepPayload(payload: Payload | null, call: string | null, at: number): Verb<void> {
  if (payload === null) return
  const { commitment, salt, bytes, kind } = payload
  yield { keep: [commitment, salt, bytes, kind, call, at] }
}

export function* append(input: { readonly entry: Uint8Array; readonly payload: Payload | null }): Verb<void> {
  const about = describe(input.entry)
  yield* appendEntry(input.entry, about)
  yield* keepPayload(input.payload, about.call, about.at)
  const task = taskRefused(about)
  if (task !== null) yield* countRefused(task, about.count)
}

/** The task in whose history an entry counts as a refusal, or null. */
export const taskRefused = (about: Described): string | null =>
  about.kind === 'refused' && counted.has(about.code) ? about.task : null

/** A refusal in a sub-task is one of its ancestors' too: an agent must not get a clean history by opening another. */
function* countRefused(task: string, count: number): Verb<void> {
  yield query(
    `with recursive line (id, parent) as (
       select id, parent from tasks where id = $1
       union all select t.id, t.parent from tasks t join line on t.id = line.parent)
     update tasks set refused = refused + $2, history_revision = history_revision + 1
     where id in (select id from line)`,
    task,
    count,
  )
}

export function* size(): Verb<number> {
  const [row] = yield query('select max(idx) as last from entries')
  return row === undefined || row['last'] === null ? 0 : int(row, 'last') + 1
}

export function* read(from: number, count: number): Verb<readonly StoredEntry[]> {
  const rows = yield query(
    'select idx, leaf, bytes from entries where idx >= $1 order by idx limit $2',
    Math.max(0, from),
    Math.min(Math.max(0, count), maxRead),
  )
  return rows.map(toStored)
}

export function* byCall(call: string): Verb<readonly StoredEntry[]> {
  const rows = yield query(
    `select idx, leaf, bytes from entries where call = $1 order by idx limit ${maxRead}`,
    call,
  )
  return rows.map(toStored)
}

type RecentFilter = Parameters<LogStore['recent']>[0]

export function* recent(filter: RecentFilter): Verb<readonly StoredEntry[]> {
  const params: Param[] = [Math.min(Math.max(0, filter.limit), maxRead)]
  const tests: string[] = []
  const test = (column: string, value: Param | undefined) => {
    if (value !== undefined) tests.push(`${column} $${params.push(value)}`)
  }
  test('idx <', filter.before)
  test('task =', filter.task)
  test('agent =', filter.agent)
  // As a literal: only then an engine sees that the index over the rare kinds holds all that is asked for.
  if (filter.kind === 'act' || filter.kind === 'refused') tests.push(`kind = '${filter.kind}'`)
  else test('kind =', filter.kind)
  const where = tests.length === 0 ? '' : `where ${tests.join(' and ')}`
  const rows = yield query(
    `select idx, leaf, bytes from entries ${where} order by idx desc limit $1`,
    ...params,
  )
  return rows.map(toStored)
}

export function* payload(commitment: string): Verb<Payload | null> {
  const [row] = yield query(
    'select commitment, salt, bytes, kind from payloads where commitment = $1',
    commitment,
  )
  if (row === undefined) return null
  const kind = text(row, 'kind') === 'result' ? 'result' : 'arguments'
  return { commitment: text(row, 'commitment'), salt: bytes(row, 'salt'), bytes: bytes(row, 'bytes'), kind }
}

type Erasure = { readonly what: Parameters<LogStore['erase']>[0]; readonly entry: Uint8Array }

/**
 * Erases payloads, and with them the copies of arguments in asks that nobody can answer any more and in held calls.
 * Nothing erased: nothing recorded.
 */
export function* erase({ what, entry }: Erasure): Verb<number> {
  const about = describe(entry)
  const [column, value] = 'commitment' in what ? ['commitment =', what.commitment] : ['at <', what.olderThan]
  const rows = yield query(`delete from payloads where ${column} $1 returning kind, call`, value)
  if ('olderThan' in what) {
    yield query('delete from asks where asked_at < $1 and expires_at < $2', what.olderThan, about.at)
    yield query('delete from held where expires_at < $1', what.olderThan)
  } else {
    for (const row of rows) yield* forgetArguments(row, about.at)
  }
  if (rows.length > 0) yield* appendEntry(entry, about)
  return rows.length
}

function* forgetArguments(row: Row, at: number): Verb<void> {
  if (text(row, 'kind') !== 'arguments' || row['call'] === null) return
  const call = text(row, 'call')
  yield query("delete from asks where call = $1 and (state = 'consumed' or expires_at < $2)", call, at)
  yield query('delete from held where call = $1', call)
}

type Checkpoint = { readonly size: number; readonly text: string }

export function* checkpoint(): Verb<Checkpoint | null> {
  const [row] = yield query("select size, text from checkpoint where name = 'newest'")
  return row === undefined ? null : { size: int(row, 'size'), text: text(row, 'text') }
}

/** Refuses one that is smaller than the kept one (a log never shrinks) or larger than the log (nothing to prove it). */
export function* putCheckpoint(put: Checkpoint): Verb<{ readonly ok: boolean }> {
  if (put.size > (yield* size())) return { ok: false }
  const rows = yield query(
    `insert into checkpoint (name, size, text) values ('newest', $1, $2)
     on conflict (name) do update set size = excluded.size, text = excluded.text
     where excluded.size >= checkpoint.size returning size`,
    put.size,
    put.text,
  )
  return { ok: rows.length === 1 }
}

const toStored = (row: Row): StoredEntry => ({
  index: int(row, 'idx'),
  leaf: bytes(row, 'leaf'),
  bytes: bytes(row, 'bytes'),
})
