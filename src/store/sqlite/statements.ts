import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Query, Rows, Verb } from '../query.ts'

/** Runs verbs on one connection. Statements are prepared once: the SQL of verbs is a finite set of constants. */
export type Runner = {
  run<Result>(verb: Verb<Result>): Result
  execute(query: Query): Rows
}

type Prepared = { readonly statement: StatementSync; readonly gives: boolean }

export function runner(database: DatabaseSync): Runner {
  const known = new Map<string, Prepared>()
  const prepare = (sql: string): Prepared => {
    // To SQLite `$1` is a name and `?1` a position; node:sqlite binds positions much faster than names.
    const statement = database.prepare(sql.replaceAll('$', '?'))
    const prepared = { statement, gives: statement.columns().length > 0 }
    known.set(sql, prepared)
    return prepared
  }
  const execute = ({ sql, params }: Query): Rows => {
    const { statement, gives } = known.get(sql) ?? prepare(sql)
    if (gives) return statement.all(...params)
    statement.run(...params)
    return none
  }
  return {
    execute,
    run: (verb) => {
      let step = verb.next(none)
      while (step.done !== true) step = verb.next(execute(step.value))
      return step.value
    },
  }
}

const none: Rows = []
