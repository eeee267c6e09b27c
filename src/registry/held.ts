import { createView } from './view.ts'
import { StoreMoved } from '../store/conflict.ts'
import type { RegistryStore, ServerRecord } from '../store/ports.ts'
import type { Tool, ToolId } from './tool.ts'
import type { View } from './view.ts'

/** What the store holds, as of a version of it. */
export type Stored = {
  readonly tools: readonly Tool[]
  readonly servers: readonly ServerRecord[]
  readonly version: number
}

/** The registry in memory and the turns in which it changes. Owned by one `createRegistry`. */
export type Held = {
  view(): View
  tools(): ReadonlyMap<ToolId, Tool>
  server(name: string): ServerRecord | undefined
  toolsOf(server: string): readonly Tool[]
  /** The store's version that is held; -1 when it may be another. */
  head(): number
  /** Runs after everything before it has ended, on what the store holds by then; `moved` when that was read again. */
  inTurn<Result>(work: (moved: boolean) => Promise<Result>): Promise<Result>
  /**
   * Shows what was just written. `writes` says how far the store's version moves when nobody else wrote meanwhile;
   * when somebody did, everything is read again.
   */
  accept(written: Written): Promise<void>
  /** Puts tools into quarantine in memory, whatever the store holds, until their server was observed in full. */
  withhold(ids: readonly ToolId[]): void
  release(server: string): void
  reload(): Promise<void>
  onChange(told: () => void): () => void
}

export type Written = {
  readonly writes: number
  readonly tools?: readonly Tool[]
  readonly servers?: readonly ServerRecord[]
}

type State = {
  readonly version: number
  readonly tools: ReadonlyMap<ToolId, Tool>
  readonly servers: ReadonlyMap<string, ServerRecord>
  readonly withheld: ReadonlySet<ToolId>
}

/** The version of a state that may not be what the store holds. */
const uncertain = -1
const mostAttempts = 8

export function hold(stored: Stored, store: RegistryStore): Held {
  const listeners = new Set<() => void>()
  let state = stateOf(stored)
  let view = createView({ ...state, version: 0 })
  let queue: Promise<unknown> = Promise.resolve()

  const swap = (next: State): void => {
    state = next
    view = createView({ ...state, version: view.version + 1 })
    for (const told of listeners) told()
  }
  const reload = async (): Promise<void> =>
    swap({ ...stateOf(await readAll(store)), withheld: state.withheld })
  const catchUp = async (): Promise<boolean> => {
    const behind = (await store.version()) !== state.version
    if (behind) await reload()
    return behind
  }
  // Another node changed the same rows meanwhile: what it wrote is read, and the work is done on that.
  const attempt = async <Result>(
    work: (moved: boolean) => Promise<Result>,
    left: number,
  ): Promise<Result> => {
    const moved = await catchUp()
    try {
      return await work(moved)
    } catch (problem) {
      if (!(problem instanceof StoreMoved) || left <= 1) throw problem
      await reload()
      return attempt(work, left - 1)
    }
  }
  return {
    view: () => view,
    tools: () => state.tools,
    server: (name) => state.servers.get(name),
    toolsOf: (server) => [...state.tools.values()].filter((tool) => tool.server === server),
    head: () => state.version,
    inTurn: (work) => {
      const mine = queue.then(() => attempt(work, mostAttempts))
      // The next one waits for the end of this one, however it ended; the failure is seen by who asked.
      queue = mine.catch(() => undefined)
      return mine
    },
    accept: async ({ writes, tools = [], servers = [] }) => {
      const version = await store.version()
      if (version !== state.version + writes) return reload()
      swap({
        version,
        tools: new Map([...state.tools, ...tools.map((tool): [ToolId, Tool] => [tool.id, tool])]),
        servers: new Map([
          ...state.servers,
          ...servers.map((server): [string, ServerRecord] => [server.name, server]),
        ]),
        withheld: state.withheld,
      })
    },
    withhold: (ids) => swap({ ...state, version: uncertain, withheld: new Set([...state.withheld, ...ids]) }),
    release: (server) => {
      const kept = [...state.withheld].filter((id) => !id.startsWith(`${server}/`))
      if (kept.length < state.withheld.size) swap({ ...state, withheld: new Set(kept) })
    },
    reload,
    onChange: (told) => {
      listeners.add(told)
      return () => void listeners.delete(told)
    },
  }
}

/** The version is read first: a change in between makes the next turn read again, and is never missed. */
export async function readAll(store: RegistryStore): Promise<Stored> {
  const version = await store.version()
  return { version, servers: await store.servers(), tools: await store.tools() }
}

const stateOf = ({ tools, servers, version }: Stored): State => ({
  version,
  tools: new Map(tools.map((tool) => [tool.id, tool])),
  servers: new Map(servers.map((server) => [server.name, server])),
  withheld: new Set(),
})
