import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { systemClock } from '../lib/clock.ts'
import type { Clock } from '../lib/clock.ts'
import type { ChangeResult } from './changes.ts'
import { StoreRefused } from './conflict.ts'
import { storeOn } from './engine.ts'
import type { Engine, Viewing } from './engine.ts'
import { injectStoreFault } from './fault.ts'
import type { StoreFaults } from './fault.ts'
import { demandCurrent } from './migrate.ts'
import { migrations } from './migrations.ts'
import { StoreUnavailable } from './ports.ts'
import type { Store } from './ports.ts'
import { query } from './query.ts'
import type { Verb } from './query.ts'
import { demandOurs, prepareFile } from './sqlite/file.ts'
import { runner } from './sqlite/statements.ts'
import type { Runner } from './sqlite/statements.ts'
import { startThread } from './sqlite/thread.ts'
import type { Writing } from './sqlite/thread.ts'

export type SqliteOptions = {
  /** The data file. Made, with its folder, when missing; `-wal`, `-shm` and `.lock` files lie beside it. */
  readonly path: string
  readonly clock?: Clock
  /** How many asks of one agent may wait for an answer at once. Default 20. */
  readonly pendingPerAgent?: number
  /** How long a statement waits for another connection, in milliseconds. Default 2,000. */
  readonly busyMs?: number
  /** Changes that may wait for their answer at once (default 4,096), and their bytes together (default 256 MiB). */
  readonly maxQueued?: number
  readonly maxQueuedBytes?: number
  /** No answer from the writer for so long: it is taken for dead, in milliseconds. Default 30,000. */
  readonly answerMs?: number
  /** The most pages of 4 KiB that the file may have; beyond, changes are refused as on a full disk. No limit by default. */
  readonly maxPages?: number
  readonly [injectStoreFault]?: StoreFaults
}

/**
 * The embedded engine. Writes go through one thread in groups (write-ahead log, full sync); reads are answered here, on
 * a connection that cannot write, and see every change whose promise has resolved.
 *
 * Rejects with `StoreRefused` when another broker holds the file, when a newer or a different program wrote it, or when
 * it is no store; with `StoreUnavailable` when it cannot be opened for any other reason.
 */
export async function openSqlite(options: SqliteOptions): Promise<Store> {
  const { clock = systemClock, pendingPerAgent = 20, busyMs = 2000 } = options
  const path = prepareFile(options.path)
  const writer = await startThread(
    {
      opening: { path, busyMs, maxPages: options.maxPages ?? null, at: clock.now() },
      fault: options[injectStoreFault] ?? null,
    },
    {
      maxQueued: options.maxQueued ?? 4096,
      maxQueuedBytes: options.maxQueuedBytes ?? 256 * 1024 * 1024,
      answerMs: options.answerMs ?? 30_000,
    },
  )
  return storeOn(engine(new DatabaseSync(path, { readOnly: true, timeout: busyMs }), writer), {
    clock,
    pendingPerAgent,
  })
}

/**
 * Looks at a store without being its broker: takes no lock, changes nothing, and sees one moment of it, whether or not a
 * broker runs. Each view is answered in one go.
 *
 * Throws `StoreRefused` when there is no store, when it is none of ours, or when this program does not know its schema.
 */
export function viewSqlite({ path, busyMs = 2000 }: Pick<SqliteOptions, 'path' | 'busyMs'>): Viewing {
  if (!existsSync(path))
    throw new StoreRefused('path', `there is no store \`${path}\`; start the broker once, or give its home`)
  const reader = new DatabaseSync(path, { readOnly: true, timeout: busyMs })
  try {
    demandOurs(reader, path)
    look(reader, runner(reader), demandCurrent(migrations))
  } catch (error) {
    reader.close()
    throw error
  }
  const on = runner(reader)
  return {
    view: async (verb) => look(reader, on, verb),
    close: async () => reader.close(),
  }
}

const begin = query('begin')
const end = query('commit')

function engine(reader: DatabaseSync, writer: Writing): Engine {
  const on = runner(reader)
  return {
    // The writer ran the verb of this very name: its value is that verb's result.
    change: async (name, input) => (await writer.write(name, input)) as ChangeResult<typeof name>,
    view: async (verb) => {
      if (!reader.isOpen) throw new StoreUnavailable('the store is closed')
      return look(reader, on, verb)
    },
    // One broker at a time holds the file: there is nobody to hear of.
    watch: () => () => undefined,
    close: async () => {
      // First, so that the writer is the last to close and can fold the write-ahead log back into the file.
      if (reader.isOpen) reader.close()
      await writer.close()
    },
  }
}

/** Synchronous: a transaction of the reader never spans a turn of the loop, so it cannot hold up the writer. */
function look<Result>(reader: DatabaseSync, on: Runner, verb: Verb<Result>): Result {
  try {
    on.execute(begin)
    return on.run(verb)
  } catch (error) {
    throw isSqliteError(error) ? new StoreUnavailable(`the store could not be read: ${error.message}`) : error
  } finally {
    if (reader.isTransaction) on.execute(end)
  }
}

const isSqliteError = (error: unknown): error is Error => error instanceof Error && 'errcode' in error
