import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { existsSync } from 'node:fs'
import { databaseOf } from '../../compose/database.ts'
import { runner } from '../../store/sqlite/statements.ts'
import type { Config } from '../../config/schema.ts'
import type { Client } from 'pg'
import type { Row, Rows, Step, Verb } from '../../store/query.ts'

/** A view of the store that cannot change it, beside a broker that runs or without one. */
export type Look = {
  readonly engine: 'sqlite' | 'postgres'
  view<Result>(verb: Verb<Result>): Promise<Result>
  close(): Promise<void>
}

const answerMs = 5000

export const storePath = (home: string): string => join(home, 'store', 'countersign.db')

/** Null when there is no store yet. Rejects when there is one that cannot be reached or read. */
export async function openLook({ home, store }: Pick<Config, 'home' | 'store'>): Promise<Look | null> {
  if (store !== undefined) return lookIntoDatabase(store)
  const path = storePath(home)
  return existsSync(path) ? lookIntoFile(path) : null
}

function lookIntoFile(path: string): Look {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 2000 })
  const on = runner(database)
  return {
    engine: 'sqlite',
    view: async (verb) => on.run(verb),
    close: async () => database.close(),
  }
}

async function read(client: Client, step: Step): Promise<Rows> {
  if ('append' in step || 'keep' in step) throw new TypeError('expected a verb that only reads')
  return (await client.query<Row>(step.sql, [...step.params])).rows
}

async function lookIntoDatabase(store: NonNullable<Config['store']>): Promise<Look> {
  const { default: pg } = await import('pg')
  const { decoderOf } = await import('../../store/postgres/values.ts')
  const database = await databaseOf(store)
  const { password } = database
  const client = new pg.Client({
    ...database,
    // Asked for even when there is none, or the driver would look into the environment and the home folder.
    password: async () => (password === undefined ? '' : password()),
    types: { getTypeParser: (type: number) => decoderOf(type) },
    application_name: 'countersign doctor',
    connectionTimeoutMillis: answerMs,
    query_timeout: answerMs,
  })
  // A connection that breaks rejects what waits for it; unheard, it would end the command.
  client.on('error', () => undefined)
  try {
    await client.connect()
    // The schema of the engine; one of another name takes no place of a table in it.
    await client.query('set search_path to countersign, pg_temp')
    await client.query('begin transaction isolation level repeatable read read only')
  } catch (problem) {
    await client.end().catch(() => undefined)
    throw problem
  }
  return {
    engine: 'postgres',
    async view(verb) {
      let step = verb.next([])
      while (step.done !== true) {
        step = verb.next(await read(client, step.value))
      }
      return step.value
    },
    close: () => client.end(),
  }
}
