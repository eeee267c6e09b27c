import type { ServerResponse } from 'node:http'

/** Bytes of answers that their readers have not taken yet. */
export type UnreadLimits = {
  readonly total: number
  readonly each: number
  /** A reader that takes nothing for so long has stopped reading. Milliseconds. */
  readonly stalledMs: number
}

/**
 * Answers wait in this process until they are read, and their outcomes are recorded already: whoever does not read
 * only holds memory. Beyond the limits the oldest unread answer of whoever holds the most is cut.
 */
export type Unread = {
  /** To be told after each write, and after the end of an answer. `who` is null for strangers: one holder together. */
  wrote(res: ServerResponse, who: string | null): void
  bytes(): number
}

type Left = { bytes: number; readonly who: string }

export function watchUnread({ total, each, stalledMs }: UnreadLimits): Unread {
  const left = new Map<ServerResponse, Left>()
  const sums = new Map<string, number>()
  let all = 0

  const count = (res: ServerResponse, bytes: number): void => {
    const one = left.get(res)
    if (one === undefined) return
    const sum = (sums.get(one.who) ?? 0) + bytes - one.bytes
    all += bytes - one.bytes
    one.bytes = bytes
    if (sum > 0) sums.set(one.who, sum)
    else sums.delete(one.who)
  }
  const isOver = (who: string | null): boolean => (who === null ? all > total : (sums.get(who) ?? 0) > each)
  const forget = (res: ServerResponse): void => {
    count(res, 0)
    left.delete(res)
  }
  const cutOldestOf = (who: string): void => {
    for (const [res, one] of left) {
      if (one.who !== who || one.bytes === 0) continue
      forget(res)
      return void res.destroy()
    }
  }
  const mostHolding = (): string => {
    let [who, most] = ['', 0]
    for (const [one, sum] of sums) if (sum > most) [who, most] = [one, sum]
    return who
  }

  return {
    wrote(res, who) {
      if (res.destroyed || res.writableFinished) return
      if (!left.has(res)) {
        // The system has taken all of it, as it does with nearly every answer: nothing of it is held here.
        if (res.writableLength === 0) return
        left.set(res, { bytes: 0, who: who ?? '' })
        for (const event of ['finish', 'close']) res.once(event, () => forget(res))
        res.on('drain', () => count(res, res.writableLength))
      }
      count(res, res.writableLength)
      // Node looks at what the system has taken, too: a slow reader of a large answer is not cut.
      if (res.writableEnded && res.writableLength > 0) res.socket?.setTimeout(stalledMs)
      while (isOver(who ?? '')) cutOldestOf(who ?? '')
      while (isOver(null)) cutOldestOf(mostHolding())
    },
    bytes: () => all,
  }
}
