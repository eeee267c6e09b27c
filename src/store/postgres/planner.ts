import { describeError, unavailable } from '../jobs.ts'
import type { Job } from '../jobs.ts'
import type { Pending } from '../pending.ts'
import type { LockFinder } from './lines.ts'
import { locksOf } from './locks.ts'
import type { Locks } from './locks.ts'
import type { Planned, Queue } from './queue.ts'

type Unknown = { readonly planned: Omit<Planned, 'locks' | 'alone'>; readonly wanted: Locks }

/** Finds what each change locks, and puts it into the queue. Those whose locks have to be looked up first share one look. */
export function startPlanner(parts: {
  readonly finder: LockFinder
  readonly queue: Queue
  readonly pending: Pending
  readonly wake: () => void
}) {
  const { finder, queue, pending, wake } = parts
  let unknown: Unknown[] = []
  let looking: Promise<void> | null = null

  const put = (planned: Unknown['planned'], locks: readonly string[]): void => {
    queue.put({ ...planned, locks, alone: locks === finder.all })
    wake()
  }
  const look = async (): Promise<void> => {
    // One turn of the loop: what is asked for together is looked up together.
    await new Promise(setImmediate)
    while (unknown.length > 0) {
      const these = unknown
      unknown = []
      try {
        await finder.look(these.map(({ wanted }) => wanted))
        for (const { planned, wanted } of these) put(planned, finder.known(wanted) ?? finder.all)
      } catch (error) {
        for (const { planned } of these) pending.settle(unavailable(planned.job, describeError(error)))
      }
    }
    looking = null
  }
  return {
    plan: (job: Job, size: number): void => {
      const planned = { job, size, since: performance.now() }
      const wanted = locksOf(job.name, job.input)
      const locks = finder.known(wanted)
      if (locks !== null) return put(planned, locks)
      if (wanted !== null) unknown.push({ planned, wanted })
      looking ??= look()
    },
    idle: async (): Promise<void> => {
      await looking
    },
  }
}
