import { StoreRefused } from '../conflict.ts'
import { demandCurrent, migrate, postgres } from '../migrate.ts'
import { migrations } from '../migrations.ts'
import { query, text } from '../query.ts'
import type { Verb } from '../query.ts'
import { lift, openSession } from './durable.ts'
import type { Opening } from './durable.ts'
import { schemaLock } from './locks.ts'
import { ask } from './session.ts'
import type { Session } from './session.ts'

/** Stands in statements as it is: letters that need no quoting, and no name of PostgreSQL's own. */
export function demandSchemaName(schema: string): void {
  if (!/^[a-z][a-z0-9_]{0,62}$/.test(schema) || schema.startsWith('pg_') || schema === 'information_schema')
    throw new StoreRefused(
      'path',
      `expected small letters, digits and \`_\` as the name of the schema, got \`${schema}\``,
    )
}

/**
 * Brings the schema up to date, in one transaction. Nodes that start at once do it one after the other: the second finds
 * it done. Throws `StoreRefused` as `migrate` does, or (`foreign`) when the schema holds another program's tables.
 */
export async function prepareSchema(opening: Opening, at: number): Promise<void> {
  const session = await openSession(opening, 'write')
  try {
    // A large table may take its time; the others wait at the lock for as long.
    await lift(session)
    await ask(session, 'begin')
    await ask(session, 'select pg_advisory_xact_lock($1)', schemaLock(opening.schema))
    await demandOurs(session, opening.schema)
    await ask(session, `create schema if not exists "${opening.schema}"`)
    await runOn(session, migrate(migrations, postgres, at))
    await ask(session, 'commit')
  } catch (error) {
    session.destroy('the schema could not be prepared')
    throw error
  }
  await session.close()
}

/** For who only looks. Throws `StoreRefused` when this program does not know what is there. */
export async function demandPrepared(session: Session, schema: string): Promise<void> {
  if (!(await isOurs(session, schema)))
    throw new StoreRefused('path', `there is no store in the schema \`${schema}\`; start a broker on it once`)
  await runOn(session, demandCurrent(migrations))
}

async function demandOurs(session: Session, schema: string): Promise<void> {
  if ((await isOurs(session, schema)) || (await tablesOf(session, schema)).length === 0) return
  throw new StoreRefused(
    'foreign',
    `the schema \`${schema}\` holds another program's tables; give the store a schema or a database of its own`,
  )
}

const isOurs = async (session: Session, schema: string): Promise<boolean> => {
  const tables = await tablesOf(session, schema)
  return ['migrations', 'entries', 'heads'].every((name) => tables.includes(name))
}

const tablesOf = async (session: Session, schema: string): Promise<readonly string[]> =>
  (await ask(session, 'select tablename::text as name from pg_tables where schemaname = $1', schema)).map(
    (row) => text(row, 'name'),
  )

async function runOn(session: Session, verb: Verb<void>): Promise<void> {
  let step = verb.next([])
  while (step.done !== true) {
    if (!('sql' in step.value)) throw new TypeError('expected statements alone')
    step = verb.next((await session.send(query(step.value.sql, ...step.value.params))).rows)
  }
}
