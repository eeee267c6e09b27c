import { toError } from './jobs.ts'
import type { ChangeName } from './changes.ts'
import type { Reply } from './jobs.ts'

export type Limits = {
  /** Changes that may wait for their answer at once, and their bytes together; what ends something gets a quarter more. */
  readonly maxQueued: number
  readonly maxQueuedBytes: number
  /** No answer for so long: whoever writes is taken for dead, in milliseconds. */
  readonly answerMs: number
}

type Waiting = {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  readonly size: number
  readonly since: number
}

/** The changes that wait for their answer, oldest first. Each settles once: by its reply, or with all others. */
export type Pending = {
  /** Why this change cannot be taken any more, or null. */
  full(name: ChangeName, size: number): string | null
  wait(size: number, put: (id: number) => void): Promise<unknown>
  settle(reply: Reply): void
  rejectAll(error: Error): void
  count(): number
  /** How long the oldest has waited, in milliseconds; 0 when none waits. */
  oldestMs(): number
}

/**
 * What ends something, stops somebody, or says that this node lives. It finds room when nothing new does: a call that
 * was made must be settled, and a flood of calls must not hold up the person who stops it.
 */
const endings: ReadonlySet<ChangeName> = new Set([
  'calls.settle',
  'tasks.close',
  'revocations.add',
  'secrets.closeLease',
  'approvals.answer',
  'log.putCheckpoint',
  'settings.beat',
])
/** Of the queue, on top of it. */
export const keptForEndings = 0.25

/** A change's own size in the queue besides its bytes: names, ids, numbers. */
const baseSize = 1024

/** Roughly what a change holds while it waits. */
export function sizeOf(input: object): number {
  let size = baseSize
  for (const member of Object.values(input)) {
    if (member instanceof Uint8Array) size += member.byteLength
    else if (typeof member === 'object' && member !== null)
      for (const inner of Object.values(member)) if (inner instanceof Uint8Array) size += inner.byteLength
  }
  return size
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
    full: (name, size) => {
      const room = endings.has(name) ? 1 + keptForEndings : 1
      if (waiting.size < limits.maxQueued * room && bytes + size <= limits.maxQueuedBytes * room) return null
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
