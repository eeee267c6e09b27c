import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { openSqlite } from '../../src/store/sqlite.ts'
import type { SqliteOptions } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/ports.ts'

/** The path of a store in a folder of its own, removed after the test. */
export function aPath(t: TestContext): string {
  const home = mkdtempSync(join(tmpdir(), 'countersign-store-'))
  t.after(() => rmSync(home, { recursive: true }))
  return join(home, 'store.db')
}

/** Opens and closes after the test, before its folder goes. */
export async function opened(t: TestContext, options: SqliteOptions): Promise<Store> {
  const store = await openSqlite(options)
  t.after(() => store.close())
  return store
}
