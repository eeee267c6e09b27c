import { setTimeout as sleep } from 'node:timers/promises'
import type { Wanted } from './exchange.ts'

/** What an exchange notes down of its stream. */
export type Marks = Pick<Wanted, 'onEvent' | 'onId' | 'onRetry'>

/**
 * Where a stream of a legacy session was lost, and how often it has been taken up again for nothing. Bounded, so that a
 * server that closes every stream at once cannot keep us asking.
 */
export type Trail = {
  readonly marks: Required<Pick<Wanted, 'onId' | 'onRetry'>>
  /** Whether it makes sense to take it up again. */
  leads(): boolean
  /** Waits as long as the server wants, within bounds. */
  wait(): Promise<void>
  /** The id to go on from; counts as one more attempt. */
  take(): string | null
  /** The id, for a stream that is opened anew in any case. */
  last(): string | null
  /** Whether it has been taken up at least once. */
  taken(): boolean
}

const leastMs = 50
const unsaidMs = 1_000
const mostMs = 30_000
/** In a row, without an event in between. */
const maxAttempts = 20

export function leaveTrail(): Trail {
  let id: string | null = null
  let retryMs = unsaidMs
  let attempts = 0
  let ever = false
  return {
    marks: {
      onId: (seen) => {
        if (seen !== id) attempts = 0
        id = seen
      },
      onRetry: (ms) => (retryMs = Math.min(mostMs, Math.max(leastMs, ms))),
    },
    leads: () => id !== null && attempts < maxAttempts,
    wait: () => sleep(retryMs, undefined, { ref: false }),
    take: () => {
      attempts++
      ever = true
      return id
    },
    last: () => id,
    taken: () => ever,
  }
}
