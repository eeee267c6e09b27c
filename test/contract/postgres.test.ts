import { after, before } from 'node:test'
import { openPostgres } from '../../src/store/postgres.ts'
import { storeContract } from '../../src/testing.ts'
import { startCluster } from '../postgres.ts'
import { guardRows } from '../store/guard.ts'
import type { Cluster } from '../postgres.ts'

const held: { cluster: Cluster | null } = { cluster: null }
before(async () => void (held.cluster = await startCluster()))
after(() => held.cluster?.end())

/** Two brokers on each database; the database itself refuses a row that is written without the lock of its agent. */
storeContract('PostgreSQL', async (rules) => {
  if (held.cluster === null) throw new Error('expected a cluster')
  const database = await held.cluster.database()
  const open = () => openPostgres({ database, ...rules })
  const opened = { store: await open() }
  const other = await open()
  await guardRows(held.cluster, database)
  return {
    store: opened.store,
    others: [other],
    reopen: async () => {
      await opened.store.close()
      return (opened.store = await open())
    },
    dispose: async () => {
      await opened.store.close()
      await other.close()
    },
  }
})
