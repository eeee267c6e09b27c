import { isRefused, type Refused } from '../call/refusal.ts'
import type { Arrival, Settled } from '../call/states.ts'
import type { Ask } from '../approval/ask.ts'
import type { Clock } from '../lib/clock.ts'

/**
 * The path never waits for people; the door does. It holds the call, and when the ask is answered everything runs again
 * from stage 1 under the same call id: the answer is read by the path, never handed over here (I4).
 */
export type Hold = {
  /** Runs the arrival; while it waits for a person, holds it for `forMs` at most. `waiting` is told when it begins to and now and again. */
  run(arrival: Arrival, wait: Wait): Promise<Held>
  /** Calls that are held now. */
  count(): number
  close(): void
}

export type Wait = {
  readonly forMs: number
  /** Aborts when waiting has no use any more though the caller is still there: the door closes. */
  readonly closing: AbortSignal
  readonly waiting: () => void
  /** How often `waiting` is told again while it waits. Milliseconds. */
  readonly everyMs: number
}

export type Held =
  | { readonly kind: 'done'; readonly result: Settled | Refused }
  /** Still unanswered: nothing was done. The ask stays open. */
  | { readonly kind: 'waiting'; readonly refused: Refused }
  /** The caller has gone while waiting. The ask stays open: a dropped stream is no withdrawal. */
  | { readonly kind: 'gone' }

export type HoldPorts = {
  readonly run: (arrival: Arrival) => Promise<Settled | Refused>
  readonly approvals: {
    get(id: string): Promise<Ask | null>
    /** Calls back with the ask's id after each answer is durable. Returns how to stop it. */
    onAnswer(told: (ask: string) => void): () => void
  }
  readonly clock: Clock
  /** How often to look without being told: another node may have taken the answer. Milliseconds. */
  readonly pollMs: number
  /** Calls held at once; beyond it a call is not held but told to come back. */
  readonly atOnce: number
}

/** Runs of one call within one leg: answers that change nothing must not spin. */
const maxRuns = 16

export function createHold(ports: HoldPorts): Hold {
  const waiters = new Map<string, Set<() => void>>()
  const stop = ports.approvals.onAnswer((ask) => waiters.get(ask)?.forEach((wake) => wake()))
  let held = 0
  return {
    run: async (arrival, wait) => {
      const until = performance.now() + wait.forMs
      let begun = false
      try {
        for (let runs = 1; ; runs += 1) {
          const result = await ports.run(arrival)
          if (!isRefused(result) || result.code !== 'approval-required' || result.ask === null)
            return { kind: 'done', result }
          if (!begun && held >= ports.atOnce) return { kind: 'waiting', refused: result }
          if (!begun) {
            begun = true
            held += 1
            wait.waiting()
          }
          const left = until - performance.now()
          const woken =
            runs < maxRuns && left > 0
              ? await answered(ports, waiters, { ask: result.ask, forMs: left, arrival, wait })
              : 'timeout'
          if (woken === 'gone') return { kind: 'gone' }
          if (woken === 'timeout') return { kind: 'waiting', refused: result }
        }
      } finally {
        if (begun) held -= 1
      }
    },
    count: () => held,
    close: stop,
  }
}

type Waiting = {
  readonly ask: { readonly id: string; readonly expiresAt: number }
  readonly forMs: number
  readonly arrival: Arrival
  readonly wait: Wait
}

/** Resolves when the ask was answered or has run out, the caller has gone, or time is up. */
async function answered(
  ports: HoldPorts,
  waiters: Map<string, Set<() => void>>,
  { ask, forMs, arrival, wait }: Waiting,
): Promise<'answered' | 'gone' | 'timeout'> {
  if (arrival.signal.aborted) return 'gone'
  if (wait.closing.aborted) return 'timeout'
  const ended = new AbortController()
  const woken = new Promise<'answered' | 'gone' | 'timeout'>((resolve) => {
    const expiry = Math.max(0, ask.expiresAt - ports.clock.now())
    const timers = [
      setTimeout(() => resolve('timeout'), forMs),
      setTimeout(() => resolve('answered'), Math.min(expiry, 2 ** 31 - 1)),
    ]
    const look = () => void isAnswered(ports, ask.id).then((yes) => (yes ? resolve('answered') : undefined))
    const poll = setInterval(look, ports.pollMs)
    const beat = setInterval(wait.waiting, wait.everyMs)
    const release = listen(waiters, ask.id, () => resolve('answered'))
    const { signal } = ended
    arrival.signal.addEventListener('abort', () => resolve('gone'), { signal })
    wait.closing.addEventListener('abort', () => resolve('timeout'), { signal })
    signal.addEventListener('abort', () => {
      timers.forEach(clearTimeout)
      clearInterval(poll)
      clearInterval(beat)
      release()
    })
    // After listening, or an answer in between would be missed.
    look()
  })
  return woken.finally(() => ended.abort())
}

/** A fault while looking is no answer; the next look may tell. */
async function isAnswered(ports: HoldPorts, id: string): Promise<boolean> {
  try {
    const ask = await ports.approvals.get(id)
    return ask !== null && ask.state !== 'pending'
  } catch {
    return false
  }
}

function listen(waiters: Map<string, Set<() => void>>, ask: string, wake: () => void): () => void {
  const set = waiters.get(ask) ?? new Set()
  waiters.set(ask, set.add(wake))
  return () => {
    set.delete(wake)
    if (set.size === 0 && waiters.get(ask) === set) waiters.delete(ask)
  }
}
