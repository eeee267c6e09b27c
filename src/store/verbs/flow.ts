import { factsKeptMs } from '../../flow/fact.ts'
import { sinksKeptMs } from '../../flow/sinks.ts'
import { int, query, text } from '../query.ts'
import type { FlowRow, FlowScope } from '../ports.ts'
import type { Verb } from '../query.ts'

/** So many rows of one scope at a time: whoever is behind asks again. */
export const mostRows = 1000

export const taskScope = (id: string): string => `task:${id}`
export const personScope = (name: string): string => `person:${name}`
export const sinkScope = 'sinks'

/** The last number of a scope, for columns of a query over `tasks`; null while it is empty. */
export const lastOf = (scope: string): string => `(select max(seq) from flow where scope = ${scope})`

/**
 * Adds the next row of a scope. Whoever calls holds what keeps two from taking one number (PostgreSQL: the locks of the
 * change; SQLite: there is one writer).
 */
export function* addRow(scope: string, row: Omit<FlowRow, 'scope' | 'seq'>): Verb<void> {
  yield query(
    `insert into flow (scope, seq, call, at, body)
     select $1, coalesce(max(seq), -1) + 1, $2, $3, $4 from flow where scope = $1`,
    scope,
    row.call,
    row.at,
    row.body,
  )
}

export function* since(scopes: readonly FlowScope[]): Verb<readonly FlowRow[]> {
  const found: FlowRow[] = []
  for (const { scope, from, notBefore } of scopes) {
    const rows = yield query(
      `select seq, call, at, body from flow where scope = $1 and seq >= $2 and at >= $3 order by seq limit ${mostRows}`,
      scope,
      from,
      notBefore,
    )
    for (const row of rows)
      found.push({
        scope,
        seq: int(row, 'seq'),
        call: text(row, 'call'),
        at: int(row, 'at'),
        body: text(row, 'body'),
      })
  }
  return found
}

/** Where to begin when a scope is longer than what is kept in memory of it. */
export function* tailOf(scope: string, most: number): Verb<number> {
  const [row] = yield query(`select coalesce(max(seq), -1) as last from flow where scope = $1`, scope)
  return row === undefined ? 0 : Math.max(0, int(row, 'last') + 1 - most)
}

/** Throws away what no decision looks at any more. The last row of a scope stays: its number is where the scope goes on. */
export function* prune(now: number): Verb<void> {
  for (const [test, before] of [
    ["scope <> 'sinks'", now - factsKeptMs],
    ["scope = 'sinks'", now - sinksKeptMs],
  ] as const)
    yield query(
      `delete from flow where at < $1 and ${test}
         and seq < (select max(seq) from flow last where last.scope = flow.scope)`,
      before,
    )
}
