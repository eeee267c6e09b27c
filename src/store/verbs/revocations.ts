import type { Revocation } from '../../revocation/revocations.ts'
import { int, query, text } from '../query.ts'
import type { Verb } from '../query.ts'
import { advance, heads } from './heads.ts'
import { appendAct } from './log.ts'

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
  return yield* advance('revocations')
}

/** Nothing was revoked under the key: nothing moves and nothing is recorded. */
export function* lift(input: { readonly key: string; readonly entry: Uint8Array }): Verb<number> {
  const rows = yield query('delete from revocations where key = $1 returning key', input.key)
  if (rows.length === 0) return (yield* heads()).revocations
  yield* appendAct(input.entry)
  return yield* advance('revocations')
}

export function* all(): Verb<{ readonly epoch: number; readonly revocations: readonly Revocation[] }> {
  const rows = yield query('select key, person, reason, at from revocations order by key')
  const revocations = rows.map((row) => ({
    key: text(row, 'key'),
    by: text(row, 'person'),
    reason: text(row, 'reason'),
    at: int(row, 'at'),
  }))
  return { epoch: (yield* heads()).revocations, revocations }
}
