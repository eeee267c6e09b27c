import { databaseOf } from './database.ts'
import { injectStoreFault, type StoreFaults } from '../store/fault.ts'
import { join } from 'node:path'
import { openSqlite } from '../store/sqlite.ts'
import type { Clock } from '../lib/clock.ts'
import type { Config } from '../config/schema.ts'
import type { Store } from '../store/ports.ts'

/** The engine that the configuration names: a file of this broker's own, or a database that several nodes share. */
export async function openStore(
  config: Config,
  parts: { readonly broker: string; readonly clock: Clock; readonly fault?: StoreFaults | undefined },
): Promise<Store> {
  const common = {
    clock: parts.clock,
    pendingPerAgent: config.approvals.pendingPerAgent,
    ...(parts.fault === undefined ? {} : { [injectStoreFault]: parts.fault }),
  }
  if (config.store === undefined)
    return openSqlite({ ...common, path: join(config.home, 'store', 'countersign.db') })
  // Loaded when it is used: the embedded default pays nothing for it.
  const { openPostgres } = await import('../store/postgres.ts')
  return openPostgres({
    ...common,
    database: await databaseOf(config.store),
    broker: parts.broker,
    maxConnections: config.store.maxConnections,
    answerMs: config.store.answerMs,
  })
}
