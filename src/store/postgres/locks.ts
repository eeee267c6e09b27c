import { createHash } from 'node:crypto'
import type { ChangeInput, ChangeName } from '../changes.ts'
import { describe } from '../verbs/about.ts'
import { taskRefused } from '../verbs/log.ts'

/**
 * What a change locks, before it reads anything. The rule: whoever writes a task's row, or what is remembered of an
 * agent, holds the lock of that agent. So what such a change has read cannot move before it commits, though the isolation
 * level is READ COMMITTED (each statement sees what was committed before it began; locks are given back after the commit
 * can be seen).
 *
 * A change that is not in the table holds the lock of everything, alone: registry, policies, revocations, agents, closing
 * tasks, answers of people, erasure. All others share that lock: what only those move (heads, the state of a task, the
 * answers of an ask) cannot move under a call at its commit point.
 */
export type Locks = {
  readonly agents?: readonly string[]
  /** The agents of these tasks and of all above them. Neither the parent nor the agent of a task ever changes. */
  readonly lines?: readonly string[]
  /** The agents that made these calls. */
  readonly calls?: readonly string[]
  /** Things of no agent, by a name of their own. */
  readonly things?: readonly string[]
}

type Table = { readonly [Name in ChangeName]?: (input: ChangeInput<Name>) => Locks }

const table: Table = {
  // Reads and writes the line's tasks, the agent's memory; consumes an ask of this task and agent; numbers what is
  // remembered of the person.
  'calls.intend': ({ task, agent, person, spilled }) => ({
    lines: [task],
    agents: [agent],
    things: [`person:${person}`, ...(spilled === null ? [] : ['sinks'])],
  }),
  // Writes the line's tasks, the memory of whoever made the call, and the labels of that agent's other open tasks.
  'calls.settle': ({ task, call, spilled }) => ({
    lines: [task],
    calls: [call],
    things: spilled === null ? [] : ['sinks'],
  }),
  // Also throws away what has expired, of whichever agent: two that do so at once could wait for each other.
  'calls.hold': ({ agent }) => ({ agents: [agent], things: ['held'] }),
  // A refusal counts in the history of the line.
  'log.append': ({ entry }) => refusedLine(entry),
  // Counts the agent's pending asks, then adds one. An ask's digest covers its task, so an equal one is of this agent.
  'approvals.ask': ({ ask }) => ({ agents: [ask.agent] }),
  // Starts from the labels of the agent's tasks, and from the line above. Nobody writes to a task that is not there yet.
  'tasks.open': ({ task }) => ({ agents: [task.agent], lines: task.parent === null ? [] : [task.parent] }),
  // Counts the agent's proofs, then adds one.
  'agents.useProof': ({ agent }) => ({ agents: [agent] }),
  // One row each, by its key; no change reads them.
  'secrets.openLease': () => ({}),
  'secrets.closeLease': () => ({}),
  // Throws away the silent ones too.
  'settings.beat': () => ({ things: ['brokers'] }),
}

/** What the change locks, or null: everything. */
export function locksOf(name: ChangeName, input: unknown): Locks | null {
  // The table pairs names and inputs by type; the way to the engine loses that.
  const of = table[name] as ((input: unknown) => Locks) | undefined
  return of?.(input) ?? null
}

/** Bytes that are no entry lock nothing: the change itself will say so, and write nothing. */
function refusedLine(entry: Uint8Array): Locks {
  try {
    const task = taskRefused(describe(entry))
    return task === null ? {} : { lines: [task] }
  } catch {
    return {}
  }
}

/**
 * The number of a lock: 64 bits of a digest, as decimal text. Two that meet by chance make changes wait for each other and
 * do no harm. The schema is in it, because advisory locks belong to the whole database.
 */
export const lockNumber = (schema: string, ...name: readonly string[]): string =>
  createHash('sha256')
    .update(JSON.stringify(['countersign', schema, ...name]))
    .digest()
    .readBigInt64BE()
    .toString()

/** Shared by most changes, held alone by the others. */
export const everything = (schema: string): string => lockNumber(schema, 'everything')
/** Held from the moment that entries get their index until they are committed. */
export const sequence = (schema: string): string => lockNumber(schema, 'log')
/** Held while the schema is brought up to date. */
export const schemaLock = (schema: string): string => lockNumber(schema, 'schema')
