import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqlite } from '../../src/store/sqlite.ts'
import { storeContract } from '../../src/testing.ts'

storeContract('SQLite', async (rules) => {
  const home = await mkdtemp(join(tmpdir(), 'countersign-store-'))
  const open = () => openSqlite({ path: join(home, 'store.db'), ...rules })
  const held = { store: await open() }
  return {
    store: held.store,
    reopen: async () => {
      await held.store.close()
      return (held.store = await open())
    },
    dispose: async () => {
      await held.store.close()
      await rm(home, { recursive: true })
    },
  }
})
