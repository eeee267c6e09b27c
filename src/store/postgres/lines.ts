import type { Rows } from '../query.ts'
import { text } from '../query.ts'
import { everything, lockNumber } from './locks.ts'
import type { Locks } from './locks.ts'
import { encode } from './values.ts'

/** So many lines and callers are remembered; the oldest is forgotten, and looked up again. */
const maxKnown = 20_000

/** Asks the database outside of the transaction: what is asked for never changes once it is there. */
export type LookUp = (sql: string, list: readonly string[]) => Promise<Rows>

const selectLines = `with recursive up (start, parent, agent) as (
    select id, parent, agent from tasks where id in (select json_array_elements_text($1::json))
    union all select up.start, t.parent, t.agent from tasks t join up on t.id = up.parent)
  select start as key, agent from up`
const selectCallers =
  'select call as key, agent from calls where call in (select json_array_elements_text($1::json))'

/** Finds the lock numbers of changes. Those of tasks and calls that this node has met need no question. */
export function lockFinder(schema: string, lookUp: LookUp) {
  const lines = remembering<readonly string[]>()
  const calls = remembering<readonly string[]>()
  const numbers = remembering<string>()
  const all: readonly string[] = [everything(schema)]

  const numberOf = (kind: 'agent' | 'thing', name: string): string => {
    const key = `${kind} ${name}`
    const known = numbers.get(key)
    if (known !== undefined) return known
    const number = lockNumber(schema, kind, encode(name))
    numbers.set(key, number)
    return number
  }
  const known = ({ agents = [], things = [], ...of }: Locks): readonly string[] | null => {
    const found = [...(of.lines ?? []).map(lines.get), ...(of.calls ?? []).map(calls.get)]
    if (found.includes(undefined)) return null
    const names = new Set([...agents, ...found.flatMap((list) => list ?? [])])
    return [
      ...new Set([
        ...[...names].map((name) => numberOf('agent', name)),
        ...things.map((name) => numberOf('thing', name)),
      ]),
    ]
  }
  const learn = (into: Memory<readonly string[]>, rows: Rows): void => {
    const found = new Map<string, string[]>()
    for (const row of rows)
      found.set(text(row, 'key'), [...(found.get(text(row, 'key')) ?? []), text(row, 'agent')])
    for (const [key, agents] of found) into.set(key, agents)
  }

  return {
    /** Null: ask `look` first. */
    known: (locks: Locks | null): readonly string[] | null => (locks === null ? all : known(locks)),
    /** Afterwards, whatever is still unknown is not there; it may be in a moment, so that only the lock of everything is safe. */
    look: async (wanted: readonly Locks[]): Promise<void> => {
      const missing = (of: readonly (readonly string[] | undefined)[], in_: Memory<readonly string[]>) =>
        [...new Set(of.flatMap((list) => list ?? []))].filter((key) => in_.get(key) === undefined)
      const wantedLines = missing(
        wanted.map((one) => one.lines),
        lines,
      )
      const wantedCalls = missing(
        wanted.map((one) => one.calls),
        calls,
      )
      if (wantedLines.length > 0) learn(lines, await lookUp(selectLines, wantedLines))
      if (wantedCalls.length > 0) learn(calls, await lookUp(selectCallers, wantedCalls))
    },
    all,
    /** This node has made the call: its outcome needs no question. */
    made: (call: string, agent: string): void => calls.set(call, [agent]),
  }
}

export type LockFinder = ReturnType<typeof lockFinder>

type Memory<Value> = { get(key: string): Value | undefined; set(key: string, value: Value): void }

/** The newest `maxKnown`. */
function remembering<Value>(): Memory<Value> {
  const known = new Map<string, Value>()
  return {
    get: (key) => known.get(key),
    set: (key, value) => {
      known.delete(key)
      known.set(key, value)
      if (known.size <= maxKnown) return
      const [oldest] = known.keys()
      if (oldest !== undefined) known.delete(oldest)
    },
  }
}
