import type { Acts, By } from './acts.ts'
import type { Change, RegistryStore } from '../store/ports.ts'
import type { Held, Written } from './held.ts'
import type { Tool } from './tool.ts'
import type { ToolAct } from './observe.ts'

export type ToolChange = Change<Tool> & { readonly act: ToolAct; readonly by: By }

/**
 * So many tools are written in one turn. Whoever waits for the registry waits for a turn at most (a call does, as soon
 * as the store has moved): a server with 10,000 tools must not hold up the calls to all others.
 */
export const batch = 256

type Writing = { readonly held: Held; readonly acts: Acts; readonly store: Pick<RegistryStore, 'putTools'> }

export type Turns = {
  /** Runs work in a turn of the registry's. */
  readonly turn: <Result>(work: () => Promise<Result>) => Promise<Result>
  /** Asked in each turn: whether it is still wanted. */
  readonly stands: () => boolean
  /** Once all tools are written, in the same turn as the last of them: what else is. */
  readonly finish: () => Promise<Omit<Written, 'tools'>>
}

/**
 * Writes each change with an entry of its own. A tool that was changed by somebody else meanwhile is left out: false
 * when there was one, and the changes are to be planned anew. When something cannot be written, nobody can say what
 * was; all that is left is withheld at once, since the server may already serve the new definitions.
 */
export async function writeInTurns(
  writing: Writing,
  changes: readonly ToolChange[],
  { turn, stands, finish }: Turns,
): Promise<boolean> {
  let all = true
  for (let at = 0; at === 0 || at < changes.length; at += batch) {
    const isLast = at + batch >= changes.length
    const write = async (): Promise<boolean> => {
      if (!stands()) return false
      const { left, tools } = await writeBatch(writing, changes.slice(at, at + batch))
      const done = left === 0 && isLast && all ? await finish() : { writes: 0 }
      const writes = tools.length + done.writes
      if (writes > 0) await writing.held.accept({ ...done, writes, tools })
      return left === 0
    }
    try {
      all = (await turn(write)) && all
    } catch (cause) {
      writing.held.withhold(changes.slice(at).map(({ to }) => to.id))
      throw cause
    }
  }
  return all
}

async function writeBatch(
  { held, acts, store }: Writing,
  some: readonly ToolChange[],
): Promise<{ readonly left: number; readonly tools: readonly Tool[] }> {
  const current = held.tools()
  const fresh = some.filter(({ to, was }) => isSame(current.get(to.id) ?? null, was))
  await Promise.all(
    fresh.map(({ to, act, by }) =>
      store.putTools([{ to, was: current.get(to.id) ?? null }], acts.tool(act, by)),
    ),
  )
  return { left: some.length - fresh.length, tools: fresh.map(({ to }) => to) }
}

/** What was read again is another object and may be the same tool. */
const isSame = (a: Tool | null, b: Tool | null): boolean => a === b || JSON.stringify(a) === JSON.stringify(b)
