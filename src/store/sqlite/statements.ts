import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { query } from '../query.ts'
import type { Query, Row, Rows, Step, Value, Verb } from '../query.ts'

/** Runs verbs on one connection. Statements are prepared once: the SQL of verbs is a finite set of constants. */
export type Runner = {
  run<Result>(verb: Verb<Result>): Result
  execute(query: Query): Rows
}

type Prepared = { readonly statement: StatementSync; readonly columns: readonly string[] }

export function runner(database: DatabaseSync): Runner {
  const known = new Map<string, Prepared>()
  const prepare = (sql: string): Prepared => {
    // To SQLite `$1` is a name and `?1` a position; node:sqlite binds positions much faster than names.
    const statement = database.prepare(sql.replaceAll('$', '?'))
    const prepared = { statement, columns: statement.columns().map(({ name }) => name) }
    statement.setReturnArrays(true)
    known.set(sql, prepared)
    return prepared
  }
  const execute = ({ sql, params }: Query): Rows => {
    const { statement, columns } = known.get(sql) ?? prepare(sql)
    if (columns.length > 0) return rowsOf(columns, statement.all(...params))
    statement.run(...params)
    return none
  }
  const take = (step: Step): Rows => {
    if ('sql' in step) return execute(step)
    // Whoever writes is alone: the next index is the next index.
    if ('append' in step) return execute(query(append, ...step.append))
    return execute(query(keep, ...step.keep))
  }
  return {
    execute,
    run: (verb) => {
      let step = verb.next(none)
      while (step.done !== true) step = verb.next(take(step.value))
      return step.value
    },
  }
}

/**
 * Rows as objects of one shape a statement. The engine's own are dictionaries, which it makes name by name and which
 * every reader after it looks up by hash.
 */
function rowsOf(columns: readonly string[], found: readonly unknown[]): Rows {
  const rows: Row[] = []
  for (const values of found) if (Array.isArray(values)) rows.push(rowOf(columns, values))
  return rows
}

function rowOf(columns: readonly string[], values: readonly Value[]): Row {
  const row: { [column: string]: Value } = {}
  for (let at = 0; at < columns.length; at++) row[columns[at] ?? ''] = values[at] ?? null
  return row
}

const append = `insert into entries (idx, leaf, bytes, kind, call, task, agent, at)
  values (coalesce((select max(idx) from entries), -1) + 1, $1, $2, $3, $4, $5, $6, $7)`

const keep = `insert into payloads (commitment, salt, bytes, kind, call, at) values ($1, $2, $3, $4, $5, $6)
  on conflict (commitment) do nothing`

const none: Rows = []
