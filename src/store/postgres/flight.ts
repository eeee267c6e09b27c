import { DatabaseError } from 'pg'
import type { Connection, Submittable } from 'pg'
import { createHash } from 'node:crypto'
import type { Row, Value } from '../query.ts'
import { NotReached, SessionLost } from './errors.ts'
import { decoderOf } from './values.ts'

export type Answer = { readonly rows: readonly Row[]; readonly command: string }

export type Statement = {
  readonly sql: string
  readonly values: (Buffer | string | null)[]
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

type Column = { readonly name: string; readonly decode: (text: string) => Value }
type Plan = { readonly name: string; columns: readonly Column[] }
/** Statements that the server has prepared on this connection, by their text. */
export type Plans = Map<string, Plan>

/** So many at most: verbs have far fewer. Beyond, a statement is prepared each time. */
const maxPlans = 500

/**
 * Statements that leave together, with one Sync behind them: the server runs them in order and answers all at once, and
 * after an error it runs none of the rest. One statement at a time, as the driver's own queries go, costs both sides twice
 * to five times as much. This is the driver's door for queries of one's own (`Submittable`); what it is told, a Client
 * tells it.
 */
export function flight(
  statements: readonly Statement[],
  plans: Plans,
  /** Called once, when the next may leave. `failed`: the server has refused a statement. */
  landed: (failed: boolean) => void,
): Submittable & Flight {
  const opened: Plans = new Map()
  const planOf = (sql: string): Plan | undefined => plans.get(sql) ?? opened.get(sql)
  let at = 0
  let rows: Row[] = []

  const open = (connection: Connection, sql: string): Plan => {
    const isKept = plans.size + opened.size < maxPlans
    const name = isKept ? createHash('sha256').update(sql).digest('hex').slice(0, 32) : ''
    // An error may have left one of this name behind.
    if (isKept) connection.close({ type: 'S', name }, true)
    connection.parse({ name, text: sql, types: [] }, true)
    connection.describe({ type: 'S', name }, true)
    const plan: Plan = { name, columns: [] }
    opened.set(sql, plan)
    return plan
  }
  const end = (failed: boolean): void => {
    at = statements.length
    landed(failed)
  }
  return {
    submit: (connection) => {
      // What is written in one turn leaves in one packet.
      connection.stream.cork()
      for (const { sql, values } of statements) {
        const { name } = planOf(sql) ?? open(connection, sql)
        connection.bind({ statement: name, values }, true)
        connection.execute(null, true)
        // Without a name there is room for one at a time.
        if (name === '') opened.delete(sql)
      }
      connection.sync()
      connection.stream.uncork()
    },
    handleRowDescription: ({ fields }) => {
      const sql = statements[at]?.sql ?? ''
      const plan = opened.get(sql) ?? { name: '', columns: [] }
      plan.columns = fields.map(({ name, dataTypeID }) => ({ name, decode: decoderOf(dataTypeID) }))
      opened.set(sql, plan)
    },
    handleDataRow: ({ fields }) => {
      const columns = planOf(statements[at]?.sql ?? '')?.columns ?? []
      const row: { [column: string]: Value } = {}
      for (const [n, { name, decode }] of columns.entries()) {
        const text = fields[n] ?? null
        row[name] = text === null ? null : decode(text)
      }
      rows.push(row)
    },
    handleCommandComplete: ({ text }) => {
      const statement = statements[at]
      if (statement === undefined) return
      const plan = opened.get(statement.sql)
      if (plan !== undefined && plan.name !== '') plans.set(statement.sql, plan)
      const answer = { rows, command: text }
      rows = []
      at += 1
      statement.resolve(answer)
    },
    handleError: (error) => {
      const refused = error instanceof DatabaseError
      const [first, ...rest] = statements.slice(at)
      first?.reject(refused ? error : new SessionLost(error.message))
      for (const { reject } of rest) reject(refused ? new NotReached() : new SessionLost(error.message))
      end(true)
    },
    handleReadyForQuery: () => end(false),
    handleEmptyQuery: () => undefined,
    handlePortalSuspended: () => undefined,
  }
}

/** What a Client tells its query; the driver's types leave it out. */
type Flight = {
  handleRowDescription(message: {
    readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[]
  }): void
  handleDataRow(message: { readonly fields: readonly (string | null)[] }): void
  handleCommandComplete(message: { readonly text: string }): void
  handleError(error: Error): void
  handleReadyForQuery(): void
  handleEmptyQuery(): void
  handlePortalSuspended(): void
}
