import { maxBatch } from '../jobs.ts'
import type { Job } from '../jobs.ts'

/** A change with the numbers of its locks; `all` is held by changes that must be alone. */
export type Planned = {
  readonly job: Job
  readonly locks: readonly string[]
  readonly alone: boolean
  readonly size: number
  /** When it was asked for, by `performance.now()`. */
  readonly since: number
}

export type Batch = { readonly planned: readonly Planned[]; readonly alone: boolean }

/** So many bytes at most in one transaction, so that the others wait for no flood of payloads. */
const maxBatchBytes = 16 * 1024 * 1024

/**
 * Changes that wait for a connection. What shares a lock with a batch under way here stays until that is done: inside the
 * database it would only wait, and keep a connection busy with it. The database keeps nodes apart.
 */
export type Queue = {
  put(planned: Planned): void
  /** What may run now, oldest first, or null. `free` connections have nothing to do: each gets its share of what is much. */
  take(free: number): Batch | null
  done(batch: Batch): void
  /** Removes and returns what was asked for before that time. */
  removeBefore(since: number): readonly Planned[]
  removeAll(): readonly Planned[]
}

export function createQueue(): Queue {
  let sharing: Planned[] = []
  let lonely: Planned[] = []
  const busy = new Set<string>()
  let aloneNow = false
  // They take turns when both wait: neither a flood of calls nor one of acts keeps the other out.
  let turn: 'alone' | 'shared' = 'alone'

  const takeAlone = (): Batch | null => {
    const planned = takeWhile(lonely)
    if (planned.length === 0) return null
    lonely = lonely.slice(planned.length)
    aloneNow = true
    turn = 'shared'
    return { planned, alone: true }
  }
  const takeShared = (lanes: number): Batch | null => {
    const reserved = new Set(busy)
    const free = sharing.filter((one) => {
      if (one.locks.every((lock) => !reserved.has(lock))) return true
      // What is behind it in the queue and shares a lock does not overtake it.
      for (const lock of one.locks) reserved.add(lock)
      return false
    })
    const planned = shareOf(takeWhile(free), lanes)
    if (planned.length === 0) return null
    const taken = new Set(planned)
    sharing = sharing.filter((one) => !taken.has(one))
    for (const lock of planned.flatMap(({ locks }) => locks)) busy.add(lock)
    turn = 'alone'
    return { planned, alone: false }
  }

  return {
    put: (planned) => void (planned.alone ? lonely : sharing).push(planned),
    // While one of ours waits to be alone or is, what shares would wait behind it.
    take: (lanes) => {
      if (aloneNow) return null
      return turn === 'alone' ? (takeAlone() ?? takeShared(lanes)) : (takeShared(lanes) ?? takeAlone())
    },
    done: ({ planned, alone }) => {
      if (alone) aloneNow = false
      else for (const lock of planned.flatMap(({ locks }) => locks)) busy.delete(lock)
    },
    removeBefore: (since) => {
      const isOld = (one: Planned): boolean => one.since < since
      const old = [...lonely.filter(isOld), ...sharing.filter(isOld)]
      lonely = lonely.filter((one) => !isOld(one))
      sharing = sharing.filter((one) => !isOld(one))
      return old
    },
    removeAll: () => [...lonely.splice(0), ...sharing.splice(0)],
  }
}

/** From the front, as many as fit into one transaction; one always does. */
function takeWhile(waiting: readonly Planned[]): readonly Planned[] {
  let bytes = 0
  const end = waiting.slice(0, maxBatch).findIndex(({ size }, n) => {
    bytes += size
    return n > 0 && bytes > maxBatchBytes
  })
  return waiting.slice(0, end === -1 ? maxBatch : end)
}

/** A commit costs the same for few and for many, so that only what is much is shared out. */
const muchForOne = 32

/** The first of them, with all that share a lock with these: they would wait for them anyway. */
function shareOf(waiting: readonly Planned[], lanes: number): readonly Planned[] {
  const share = Math.max(muchForOne, Math.ceil(waiting.length / Math.max(1, lanes)))
  if (waiting.length <= share) return waiting
  const locks = new Set(waiting.slice(0, share).flatMap((one) => one.locks))
  return waiting.filter((one, n) => n < share || one.locks.some((lock) => locks.has(lock)))
}
