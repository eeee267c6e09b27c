import { DatabaseError } from 'pg'

/** The connection is gone: what was sent and not answered may or may not have happened. */
export class SessionLost extends Error {
  override readonly name = 'SessionLost'
}

/** It had not left when the connection was lost: it certainly did not happen. */
export class NotSent extends SessionLost {}

/** It was sent behind a statement that the server refused, and so was never run. */
export class NotReached extends Error {
  override readonly name = 'NotReached'
}

/** PostgreSQL's five characters, or null when the error is not the server's. */
export const sqlState = (error: unknown): string | null =>
  error instanceof DatabaseError ? (error.code ?? '') : null

/**
 * What an error means for the changes that were under way. `one`: something of one change's own (data, constraints, what
 * SQL means), so that the others may go on without it. `again`: nothing was changed, and another attempt may fare better:
 * a deadlock, a statement that was prepared for a schema of yesterday. `all`: the server cannot do it now.
 */
export function concern(error: unknown): 'one' | 'again' | 'all' {
  if (error instanceof SessionLost) return 'again'
  const state = sqlState(error)
  if (state === null) return 'one'
  if (again.has(state) || state.startsWith('40')) return 'again'
  return ofOne.has(state.slice(0, 2)) ? 'one' : 'all'
}

/**
 * feature_not_supported (a cached plan whose result would change its type), invalid_sql_statement_name, and the ends of a
 * connection that the server tells of.
 */
const again: ReadonlySet<string> = new Set(['0A000', '26000', '25P03', '57P01', '57P02', '57P05'])

/** Classes: cardinality, data, integrity, subtransaction's data, syntax and access, `check option`, PL, limits of one row. */
const ofOne: ReadonlySet<string> = new Set(['21', '22', '23', '2B', '42', '44', 'P0', '54'])
