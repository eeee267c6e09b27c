import type { Subscription, Updates as Port } from '../../server/answer.ts'

/** Who is told when a resource has changed to which a call of theirs has subscribed. */
export type Updates = {
  /** Of a subscription that the path has made. Returns how it ends; call it once. */
  add(subscription: Subscription, told: () => void): () => void
  close(): void
}

export function createUpdates(port: Port): Updates {
  const told = new Map<string, Set<() => void>>()
  const stop = port.onUpdated((subscription) => {
    for (const tell of told.get(keyOf(subscription)) ?? []) tell()
  })
  return {
    add(subscription, tell) {
      const key = keyOf(subscription)
      const set = told.get(key) ?? new Set()
      // One function may be told of one resource twice over: each has its own place.
      const own = () => tell()
      told.set(key, set.add(own))
      return () => {
        if (!set.delete(own)) return
        if (set.size === 0 && told.get(key) === set) told.delete(key)
        port.unsubscribe(subscription)
      }
    },
    close: stop,
  }
}

const keyOf = ({ server, task, uri }: Subscription): string => JSON.stringify([server, task, uri])
