import type { DatabaseSync } from 'node:sqlite'
import type { StoreFault } from '../fault.ts'
import { describeError, failed, start, unavailable } from '../jobs.ts'
import type { Job, Reply } from '../jobs.ts'
import { query } from '../query.ts'
import { runner } from './statements.ts'
import type { Runner } from './statements.ts'

export type Batched = {
  readonly replies: readonly Reply[]
  /** Set when the file can no longer be trusted to keep what it accepts: the writer must not be used again. */
  readonly broken: string | null
}

const begin = query('begin immediate')
const commit = query('commit')
const rollback = query('rollback')
const savepoint = query('savepoint one')
const release = query('release one')
const undo = query('rollback to one')

/** SQLite's primary result codes that concern one statement; all others (full, I/O, corrupt …) concern the file. */
const ofOneStatement: ReadonlySet<number> = new Set([1, 18, 19, 20, 21, 25])
/** FULL, BUSY, LOCKED: nothing was written, and it may work again later. */
const passing: ReadonlySet<number> = new Set([5, 6, 13])

/**
 * Group commit: all verbs in one transaction, answered after COMMIT has returned (synced). After a failure whose effect
 * on the file is unknown nothing more is written by this process: on Linux a second sync may report success for pages
 * that the first one lost.
 */
export function writeBatch(database: DatabaseSync, faults: (at: StoreFault['at']) => void) {
  const on = runner(database)
  const inTransaction = (body: () => readonly Reply[]): readonly Reply[] => {
    on.execute(begin)
    const replies = body()
    faults('before-commit')
    faults('commit')
    on.execute(commit)
    faults('after-commit')
    return replies
  }
  return (jobs: readonly Job[]): Batched => {
    try {
      const replies =
        tryTogether(() => inTransaction(() => jobs.map((job) => writeBare(on, job)))) ?? undoAndApart()
      if (jobs.some(({ name }) => name === 'log.erase')) emptyWal(on)
      return { replies, broken: null }
    } catch (error) {
      if (database.isTransaction) tryRollback(on)
      const message = `the store could not make a change durable: ${describeError(error)}`
      const code = resultCode(error)
      return {
        replies: jobs.map((job) => unavailable(job, message)),
        broken: code !== null && passing.has(code) ? null : message,
      }
    }
    function undoAndApart(): readonly Reply[] {
      if (database.isTransaction) on.execute(rollback)
      return inTransaction(() => jobs.map((job) => writeApart(on, job)))
    }
  }
}

/** The replies, or null when one verb threw something of its own: the whole is to be undone and run again, apart. */
function tryTogether(together: () => readonly Reply[]): readonly Reply[] | null {
  try {
    return together()
  } catch (error) {
    if (error instanceof OfOneVerb) return null
    throw error
  }
}

class OfOneVerb extends Error {}

const writeBare = (on: Runner, job: Job): Reply => {
  try {
    return { id: job.id, kind: 'done', value: on.run(start(job)) }
  } catch (error) {
    throw isOfOneVerb(error) ? new OfOneVerb() : error
  }
}

function writeApart(on: Runner, job: Job): Reply {
  on.execute(savepoint)
  try {
    const value = on.run(start(job))
    on.execute(release)
    return { id: job.id, kind: 'done', value }
  } catch (error) {
    if (!isOfOneVerb(error)) throw error
    on.execute(undo)
    on.execute(release)
    return failed(job, error)
  }
}

function isOfOneVerb(error: unknown): boolean {
  const code = resultCode(error)
  return code === null || ofOneStatement.has(code)
}

/** What was erased is still in the write-ahead log until that is copied back and cut. A reader may hold it up: the next one does it. */
const emptyWal = (on: Runner): void => void on.execute(query('pragma wal_checkpoint(truncate)'))

function tryRollback(on: Runner): void {
  try {
    on.execute(rollback)
  } catch {
    // Closing the connection undoes it; the batch has failed either way.
  }
}

/** SQLite's primary result code, or null when the error is not SQLite's. */
function resultCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return null
  return error.errcode & 0xff
}
