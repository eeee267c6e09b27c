import { after, before } from 'node:test'
import type { Clock } from '../../lib/clock.ts'
import type { Store } from '../../store/ports.ts'

/** An opened engine under test. `reopen` closes it and opens the same data again; `dispose` closes it and removes the data. */
export type OpenedStore = {
  readonly store: Store
  /** Further brokers on the same data, of an engine that takes several. */
  readonly others?: readonly Store[]
  reopen(): Promise<Store>
  dispose(): Promise<void>
}

/** Opens an engine on data of its own, empty. The suite moves the clock and sets how many asks may wait. */
export type OpenStore = (rules: {
  readonly clock: Clock
  readonly pendingPerAgent: number
}) => Promise<OpenedStore>

export type Fixture = {
  readonly store: () => Store
  /** Every broker on the data, `store()` among them. */
  readonly nodes: () => readonly Store[]
  readonly reopen: () => Promise<Store>
  /** Moves what the store's clock says. */
  readonly setNow: (now: number) => void
}

export const pendingPerAgent = 3

/** One store for all tests of a part: each test uses ids of its own, as tasks in one broker do. */
export function fixture(open: OpenStore): Fixture {
  const held: { opened: OpenedStore | null; store: Store | null; now: number } = {
    opened: null,
    store: null,
    now: 2000,
  }
  before(async () => {
    held.opened = await open({ clock: { now: () => held.now }, pendingPerAgent })
    held.store = held.opened.store
  })
  after(async () => {
    await held.opened?.dispose()
  })
  return {
    store: () => demand(held.store),
    nodes: () => [demand(held.store), ...(demand(held.opened).others ?? [])],
    reopen: async () => (held.store = await demand(held.opened).reopen()),
    setNow: (now) => void (held.now = now),
  }
}

function demand<One>(one: One | null): One {
  if (one === null) throw new Error('expected an opened store')
  return one
}
