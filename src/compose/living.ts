import type { Clock } from '../lib/clock.ts'
import type { SettingStore } from '../store/ports.ts'

/** An incarnation that has not beaten for so long is dead: `recover` settles what it left. */
export const livingMs = 30_000
/** Between two looks at most; after a longer gap nobody can say who was silent, and the time begins anew. */
const gapMs = 5000

/**
 * Which incarnations may still live, as this node has seen it with its own clock: one is dead when its heartbeat did not
 * move for `livingMs` while this node looked all the time. So neither clocks that differ nor a database that was away
 * make a living node look dead (a dead one is taken over somewhat later instead).
 */
export type Living = { look(): Promise<readonly string[]> }

type Seen = { readonly at: number; readonly since: number }

export function createLiving(parts: {
  readonly settings: Pick<SettingStore, 'beats'>
  readonly clock: Clock
  readonly broker: string
  /** Nobody else is on the store: every other incarnation is dead. */
  readonly alone: boolean
}): Living {
  const { broker, alone } = parts
  let seen: ReadonlyMap<string, Seen> = new Map()
  let last = -Infinity
  return {
    async look() {
      if (alone) return [broker]
      const beats = await parts.settings.beats()
      const now = parts.clock.now()
      const known = now - last <= gapMs ? seen : new Map<string, Seen>()
      last = now
      seen = new Map(
        beats.map(({ broker: one, at }) => {
          const before = known.get(one)
          return [one, before?.at === at ? before : { at, since: now }]
        }),
      )
      const living = [...seen].filter(([, { since }]) => now - since < livingMs).map(([one]) => one)
      return living.includes(broker) ? living : [...living, broker]
    },
  }
}
