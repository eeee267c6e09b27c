import { notSent, type NotSent } from './channel.ts'

/** Lets so many calls to one server be under way; the rest waits, briefly and in a short queue. */
export type Gate = {
  /** `null`: inside, and `leave` must be called once. */
  enter(options: {
    readonly width: number
    readonly waitMs: number
    readonly signal: AbortSignal
  }): Promise<NotSent | null>
  leave(): void
}

/** The longest queue, as a multiple of what may be under way at once. */
const queueFactor = 4

export function createGate(): Gate {
  const waiting = new Set<() => void>()
  let inside = 0

  return {
    enter({ width, waitMs, signal }) {
      if (signal.aborted) return Promise.resolve(notSent('cancelled', 'cancelled before it was sent'))
      if (inside < width) {
        inside++
        return Promise.resolve(null)
      }
      const busy = notSent('busy', `${width} calls are under way already; try again later`)
      if (waiting.size >= width * queueFactor) return Promise.resolve(busy)
      return new Promise((resolve) => {
        const end = (outcome: NotSent | null) => {
          clearTimeout(timer)
          signal.removeEventListener('abort', cancel)
          waiting.delete(admit)
          resolve(outcome)
        }
        const admit = () => end(null)
        const cancel = () => end(notSent('cancelled', 'cancelled before it was sent'))
        const timer = setTimeout(() => end(busy), waitMs)
        signal.addEventListener('abort', cancel, { once: true })
        waiting.add(admit)
      })
    },
    leave() {
      const [next] = waiting
      // The place goes straight to the next in line: `inside` stays as it is.
      if (next === undefined) inside--
      else next()
    },
  }
}
