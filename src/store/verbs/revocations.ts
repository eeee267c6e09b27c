import type { Revocation } from '../../revocation/revocations.ts'
import { int, query, text } from '../query.ts'
import type { Verb } from '../query.ts'
import { appendAct } from './log.ts'

/** Moves with every change. `intend` compares it, so that no call slips in between a revocation and the node that has not heard of it. */
export function* epoch(): Verb<number> {
  const [row] = yield query("select value from heads where name = 'revocations'")
  return row === undefined ? 0 : int(row, 'value')
}

function* advance(): Verb<number> {
  const [row] = yield query("update heads set value = value + 1 where name = 'revocations' returning value")
  if (row === undefined) throw new TypeError('expected the head `revocations`')
  return int(row, 'value')
}

export function* add(input: { readonly revocation: Revocation; readonly entry: Uint8Array }): Verb<number> {
  const { key, by, reason, at } = input.revocation
  yield query(
    `insert into revocations (key, person, reason, at) values ($1, $2, $3, $4)
     on conflict (key) do update set person = excluded.person, reason = excluded.reason, at = excluded.at`,
    key,
    by,
    reason,
    at,
  )
  yield* appendAct(input.entry)
  return yield* advance()
}

/** Nothing was revoked under the key: nothing moves and nothing is recorded. */
export function* lift(input: { readonly key: string; readonly entry: Uint8Array }): Verb<number> {
  const rows = yield query('delete from revocations where key = $1 returning key', input.key)
  if (rows.length === 0) return yield* epoch()
  yield* appendAct(input.entry)
  return yield* advance()
}

export function* all(): Verb<{ readonly epoch: number; readonly revocations: readonly Revocation[] }> {
  const rows = yield query('select key, person, reason, at from revocations order by key')
  const revocations = rows.map((row) => ({
    key: text(row, 'key'),
    by: text(row, 'person'),
    reason: text(row, 'reason'),
    at: int(row, 'at'),
  }))
  return { epoch: yield* epoch(), revocations }
}
