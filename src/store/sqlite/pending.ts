import { toError } from './writer.ts'
import type { Reply } from './writer.ts'

export type Limits = {
  /** Changes that may wait for their answer at once, and their bytes together. */
  readonly maxQueued: number
  readonly maxQueuedBytes: number
  /** No answer for so long: the writer is taken for dead, in milliseconds. */
  readonly answerMs: number
}

type Waiting = {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  readonly size: number
  readonly since: number
}

/** The changes that wait for the writer's answer, oldest first. Each settles once: by its reply, or with all others. */
export type Pending = {
  /** Why no more can be taken, or null. */
  full(size: number): string | null
  wait(size: number, put: (id: number) => void): Promise<unknown>
  settle(reply: Reply): void
  rejectAll(error: Error): void
  count(): number
  /** How long the oldest has waited, in milliseconds; 0 when none waits. */
  oldestMs(): number
}

export function keepPending(limits: Limits): Pending {
  const waiting = new Map<number, Waiting>()
  let bytes = 0
  let last = 0
  const take = (id: number): Waiting | null => {
    const one = waiting.get(id)
    if (one === undefined) return null
    waiting.delete(id)
    bytes -= one.size
    return one
  }
  return {
    full: (size) => {
      if (waiting.size < limits.maxQueued && bytes + size <= limits.maxQueuedBytes) return null
      return `${waiting.size} changes wait to be written already; try again later`
    },
    wait: (size, put) =>
      new Promise((resolve, reject) => {
        last += 1
        waiting.set(last, { resolve, reject, size, since: performance.now() })
        bytes += size
        put(last)
      }),
    settle: (reply) => {
      const one = take(reply.id)
      if (reply.kind === 'done') one?.resolve(reply.value)
      else one?.reject(toError(reply))
    },
    rejectAll: (error) => {
      for (const id of waiting.keys()) take(id)?.reject(error)
    },
    count: () => waiting.size,
    oldestMs: () => {
      const [oldest] = waiting.values()
      return oldest === undefined ? 0 : performance.now() - oldest.since
    },
  }
}
