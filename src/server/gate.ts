import { notSent, type NotSent } from './channel.ts'

/**
 * Lets so many calls to one server be under way; the rest waits, briefly and in a short queue. No agent can take all of
 * it: the last places are for agents that hold few, and a place that comes free goes to the one that holds the fewest.
 */
export type Gate = {
  /** `null`: inside, and `leave` must be called once for the same `who`. */
  enter(options: {
    readonly who: string
    readonly width: number
    readonly waitMs: number
    readonly signal: AbortSignal
  }): Promise<NotSent | null>
  leave(who: string): void
}

/** The longest queue, as a multiple of what may be under way at once; one agent may fill half of it. */
export const queueFactor = 4
/** One place of so many is kept for agents that hold fewer than are kept. */
export const keptOneIn = 8

/** Places of one agent; `kept` of them are of those that are kept for agents with few. */
type Holding = { all: number; kept: number }
type Waiting = { readonly who: string; readonly width: number; readonly admit: () => void }

export function createGate(): Gate {
  // In order of arrival.
  const waiting = new Set<Waiting>()
  const inside = new Map<string, Holding>()
  const used: Holding = { all: 0, kept: 0 }

  const held = (who: string): number => inside.get(who)?.all ?? 0
  /** Of which sort a place would be, or null when there is none. */
  const placeFor = (who: string, width: number): keyof Holding | null => {
    const kept = Math.floor(width / keptOneIn)
    if (used.all - used.kept < width - kept) return 'all'
    return used.kept < kept && held(who) < kept ? 'kept' : null
  }
  const enter = (who: string, place: keyof Holding): void => {
    const mine = inside.get(who) ?? { all: 0, kept: 0 }
    for (const holding of [mine, used]) {
      holding.all += 1
      if (place === 'kept') holding.kept += 1
    }
    inside.set(who, mine)
  }
  const leave = (who: string): void => {
    const mine = inside.get(who)
    if (mine === undefined) return
    const isKept = mine.kept > 0
    for (const holding of [mine, used]) {
      holding.all -= 1
      if (isKept) holding.kept -= 1
    }
    if (mine.all === 0) inside.delete(who)
  }
  const isFull = (who: string, width: number): boolean => {
    const mine = [...waiting].filter((one) => one.who === who).length
    return waiting.size >= width * queueFactor || mine >= Math.ceil((width * queueFactor) / 2)
  }
  const admitNext = (): boolean => {
    let found: Waiting | null = null
    for (const one of waiting)
      if (placeFor(one.who, one.width) !== null && (found === null || held(one.who) < held(found.who)))
        found = one
    const place = found === null ? null : placeFor(found.who, found.width)
    if (found === null || place === null) return false
    enter(found.who, place)
    found.admit()
    return true
  }

  return {
    enter({ who, width, waitMs, signal }) {
      if (signal.aborted) return Promise.resolve(notSent('cancelled', 'cancelled before it was sent'))
      const place = placeFor(who, width)
      if (place !== null) {
        enter(who, place)
        return Promise.resolve(null)
      }
      const busy = notSent('busy', `${width} calls are under way already; try again later`)
      if (isFull(who, width)) return Promise.resolve(busy)
      return new Promise((resolve) => {
        const end = (outcome: NotSent | null) => {
          clearTimeout(timer)
          signal.removeEventListener('abort', cancel)
          waiting.delete(mine)
          resolve(outcome)
        }
        const mine: Waiting = { who, width, admit: () => end(null) }
        const cancel = () => end(notSent('cancelled', 'cancelled before it was sent'))
        const timer = setTimeout(() => end(busy), waitMs)
        signal.addEventListener('abort', cancel, { once: true })
        waiting.add(mine)
      })
    },
    leave(who) {
      leave(who)
      while (admitNext());
    },
  }
}
