import { closeSync, existsSync, mkdirSync, openSync, realpathSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { StoreRefused } from '../conflict.ts'
import { migrate, sqlite } from '../migrate.ts'
import { migrations } from '../migrations.ts'
import { runner } from './statements.ts'

/** "csgn": marks the file as a store, so that no other program's database is taken for one. */
const applicationId = 0x6373676e
/** SQLite keeps the write-ahead log at most so large once it was copied back. */
const walBytes = 64 * 1024 * 1024
/** Of pages kept in memory, at most; taken as it is needed. */
const cacheKiB = 32 * 1024

export type Opening = {
  readonly path: string
  readonly busyMs: number
  readonly maxPages: number | null
  readonly at: number
}
export type OpenFile = { readonly database: DatabaseSync; close(): void }

/**
 * The one name of the file, whatever link leads to it, so that two brokers cannot take one store under two names.
 * Makes folder (0700) and file (0600) when they are missing: payloads and asks are readable by their owner only.
 */
export function prepareFile(path: string): string {
  if (path === '' || path.startsWith(':') || path.startsWith('file:'))
    throw new StoreRefused('path', `expected the path of a file for the store, got \`${path}\``)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600))
  return realpathSync(path)
}

/** Opens for writing: takes the lock, checks whose file it is, brings the schema up to date. */
export function openFile(opening: Opening): OpenFile {
  const lock = takeLock(`${opening.path}.lock`, opening.path)
  try {
    const database = openDatabase(opening)
    return {
      database,
      close: () => {
        database.close()
        lock.close()
      },
    }
  } catch (error) {
    lock.close()
    throw error
  }
}

/**
 * An exclusive lock of the operating system, held by an open connection to a file beside the store. It ends with the
 * process, however that ends; a file with a process id would outlive a crash and could name a stranger.
 */
function takeLock(path: string, store: string): DatabaseSync {
  if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600))
  const lock = new DatabaseSync(path, { timeout: 0 })
  try {
    lock.exec('pragma locking_mode = exclusive; begin exclusive')
    return lock
  } catch {
    lock.close()
    throw new StoreRefused(
      'locked',
      `the store \`${store}\` is in use by another broker; stop that one, or give this one a \`home\` of its own`,
    )
  }
}

function openDatabase({ path, busyMs, maxPages, at }: Opening): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: busyMs, enableForeignKeyConstraints: true })
  try {
    demandOurs(database, path)
    // FULL: a COMMIT returns after the write-ahead log is synced. secure_delete: what was erased is overwritten.
    database.exec(`pragma journal_mode = wal; pragma synchronous = full; pragma secure_delete = on;
      pragma journal_size_limit = ${walBytes}; pragma cache_size = ${-cacheKiB};
      pragma temp_store = memory; pragma trusted_schema = off; pragma application_id = ${applicationId}`)
    database.exec('begin immediate')
    runner(database).run(migrate(migrations, sqlite, at))
    database.exec('commit')
    if (maxPages !== null) database.exec(`pragma max_page_count = ${maxPages}`)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** Throws `StoreRefused` when the file is another program's. One that is empty is ours to make. */
export function demandOurs(database: DatabaseSync, path: string): void {
  const { application_id: id } = pragma(database, path)
  const tables = database
    .prepare("select count(*) as tables from sqlite_schema where type = 'table'")
    .get()?.['tables']
  if (id !== applicationId && (id !== 0 || tables !== 0))
    throw new StoreRefused(
      'foreign',
      `\`${path}\` is another program's database; give the store a path of its own`,
    )
}

function pragma(database: DatabaseSync, path: string) {
  try {
    return database.prepare('pragma application_id').get() ?? {}
  } catch {
    throw new StoreRefused(
      'foreign',
      `\`${path}\` is no SQLite file; give the store a path of its own, or restore a backup`,
    )
  }
}
