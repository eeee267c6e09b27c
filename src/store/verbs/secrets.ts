import type { SecretStore } from '../ports.ts'
import { bytes, int, json, query, text, textOrNull, toJson } from '../query.ts'
import type { Verb } from '../query.ts'
import { appendAct } from './log.ts'

type Sealed = { readonly name: string; readonly sealed: Uint8Array; readonly at: number }

export function* put(input: { readonly secret: Sealed; readonly entry: Uint8Array }): Verb<void> {
  const { name, sealed, at } = input.secret
  yield query(
    `insert into secrets (name, sealed, at) values ($1, $2, $3)
     on conflict (name) do update set sealed = excluded.sealed, at = excluded.at`,
    name,
    sealed,
    at,
  )
  yield* appendAct(input.entry)
}

export function* get(name: string): Verb<Sealed | null> {
  const [row] = yield query('select name, sealed, at from secrets where name = $1', name)
  return row === undefined
    ? null
    : { name: text(row, 'name'), sealed: bytes(row, 'sealed'), at: int(row, 'at') }
}

export function* list(): Verb<readonly { readonly name: string; readonly at: number }[]> {
  const rows = yield query('select name, at from secrets order by name')
  return rows.map((row) => ({ name: text(row, 'name'), at: int(row, 'at') }))
}

/** There was none: nothing is recorded. */
export function* remove(input: { readonly name: string; readonly entry: Uint8Array }): Verb<boolean> {
  const rows = yield query('delete from secrets where name = $1 returning name', input.name)
  if (rows.length > 0) yield* appendAct(input.entry)
  return rows.length > 0
}

/** Open leases only: what was lent and when it ended is in the outcome's entry. */
export function* openLease(lease: Parameters<SecretStore['openLease']>[0]): Verb<void> {
  yield query(
    `insert into leases (id, task, call, server, secrets, at, until) values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (id) do nothing`,
    lease.id,
    lease.task,
    lease.call,
    lease.server,
    toJson(lease.secrets),
    lease.at,
    lease.until,
  )
}

export function* closeLease(input: { readonly id: string }): Verb<void> {
  yield query('delete from leases where id = $1', input.id)
}

export function* openLeases(
  of?: Parameters<SecretStore['openLeases']>[0],
): Verb<Awaited<ReturnType<SecretStore['openLeases']>>> {
  const select =
    'select l.id, l.task, l.server, l.secrets, c.broker from leases l left join calls c on c.call = l.call'
  const order = 'order by l.at, l.id'
  const rows =
    of === undefined
      ? yield query(`${select} ${order}`)
      : 'task' in of
        ? yield query(`${select} where l.task = $1 ${order}`, of.task)
        : yield query(`${select} join tasks t on t.id = l.task and t.state = 'closed' ${order}`)
  return rows.map((row) => ({
    id: text(row, 'id'),
    task: text(row, 'task'),
    server: text(row, 'server'),
    secrets: json<readonly string[]>(row, 'secrets'),
    broker: textOrNull(row, 'broker'),
  }))
}
