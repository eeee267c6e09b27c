import { databaseOf } from './database.ts'
import { join } from 'node:path'
import { viewSqlite } from '../store/sqlite.ts'
import type { Config } from '../config/schema.ts'
import type { Viewing } from '../store/engine.ts'

/** A whole store may be read in one view: that takes as long as it takes. */
const dayMs = 86_400_000

/**
 * Looks at the store that the configuration names, beside a broker that runs or without one. Rejects with `StoreRefused`
 * when there is none, or when this program does not know it.
 */
export async function viewStore({ home, store }: Pick<Config, 'home' | 'store'>): Promise<Viewing> {
  if (store === undefined) return viewSqlite({ path: join(home, 'store', 'countersign.db') })
  const { viewPostgres } = await import('../store/postgres.ts')
  return viewPostgres({ database: await databaseOf(store), answerMs: dayMs })
}
