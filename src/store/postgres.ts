import { systemClock } from '../lib/clock.ts'
import type { Clock } from '../lib/clock.ts'
import { newId } from '../lib/id.ts'
import type { ChangeName, ChangeResult } from './changes.ts'
import { storeOn } from './engine.ts'
import type { Engine, Viewing } from './engine.ts'
import { injectStoreFault } from './fault.ts'
import type { StoreFaults } from './fault.ts'
import { describeError, unavailable } from './jobs.ts'
import { keepPending, sizeOf } from './pending.ts'
import type { Pending } from './pending.ts'
import { StoreUnavailable } from './ports.ts'
import type { Store } from './ports.ts'
import { query } from './query.ts'
import { acceptLosingCommitsInACrash, lift, openSession } from './postgres/durable.ts'
import type { Opening } from './postgres/durable.ts'
import { startLanes } from './postgres/lanes.ts'
import { lockFinder } from './postgres/lines.ts'
import { announce, startListener } from './postgres/listener.ts'
import { everything, sequence } from './postgres/locks.ts'
import { startPlanner } from './postgres/planner.ts'
import { createQueue } from './postgres/queue.ts'
import { startReaders } from './postgres/readers.ts'
import { demandPrepared, demandSchemaName, prepareSchema } from './postgres/schema.ts'
import type { Database, Session } from './postgres/session.ts'
import { strikes } from './postgres/strike.ts'
import { encode } from './postgres/values.ts'

export type PostgresOptions = {
  /** How the database is reached; `password` is asked at each connection. Never a URL with a secret in it. */
  readonly database: Database
  /** Everything is kept in this schema, which is made when missing. Also the channel of news. Default `countersign`. */
  readonly schema?: string
  /** Names the node in the server's list of connections. */
  readonly broker?: string
  readonly clock?: Clock
  /** How many asks of one agent may wait for an answer at once. Default 20. */
  readonly pendingPerAgent?: number
  /** Connections of this node at most: one listens, the others write and read. At least 3, by default 8. */
  readonly maxConnections?: number
  /** Changes that may wait for their answer at once (default 4,096), and their bytes together (default 256 MiB). */
  readonly maxQueued?: number
  readonly maxQueuedBytes?: number
  /** No answer for so long: the connection is taken for dead, in milliseconds. Default 15,000. */
  readonly answerMs?: number
  /** How long a connection may take to open, in milliseconds. Default 5,000, or `answerMs` when that is less. */
  readonly connectMs?: number
  readonly [injectStoreFault]?: StoreFaults
  readonly [acceptLosingCommitsInACrash]?: true
}

/**
 * The engine for several nodes on one database. Changes go out in groups over a few connections, each group one
 * transaction with one durable commit; reads are snapshots that see every change whose promise has resolved, on this node
 * or another. A connection that is lost is opened again: what certainly was not committed is tried once more, and what is
 * not known rejects with `StoreUnavailable`.
 *
 * Rejects with `StoreRefused` when the server does not keep what it accepts (`server`), or the schema is another program's
 * (`foreign`), a newer one's or a changed one (`newer`, `changed`); with `StoreUnavailable` when it cannot be reached.
 */
export async function openPostgres(options: PostgresOptions): Promise<Store> {
  const { clock = systemClock, pendingPerAgent = 20 } = options
  const opening = openingOf(options)
  await prepareSchema(opening, clock.now())
  return storeOn(await startEngine(options, opening), { clock, pendingPerAgent })
}

/**
 * Looks at a store without being its broker: changes nothing, and sees at each view one moment of it.
 *
 * Rejects with `StoreRefused` when there is no store or this program does not know its schema, else like `openPostgres`.
 */
export async function viewPostgres(options: PostgresOptions): Promise<Viewing> {
  const opening = openingOf(options)
  const session = await openSession(opening, 'read')
  try {
    await demandPrepared(session, opening.schema)
  } finally {
    await session.close()
  }
  const { maxQueued, answerMs } = limitsOf(options)
  const open = async (): Promise<Session> => lift(await openSession(opening, 'read'))
  const readers = startReaders({ readers: 1, open, maxQueued, answerMs })
  return { view: readers.view, close: readers.close }
}

function openingOf(options: PostgresOptions): Opening {
  const { database, schema = 'countersign', broker = 'countersign' } = options
  // Who waits for an answer waits for the connection too.
  const connectMs = options.connectMs ?? Math.min(5000, Math.max(1000, limitsOf(options).answerMs))
  demandSchemaName(schema)
  const accepted = options[acceptLosingCommitsInACrash]
  return {
    database,
    schema,
    application: `countersign ${broker}`.slice(0, 63),
    connectMs,
    ...(accepted === undefined ? {} : { [acceptLosingCommitsInACrash]: accepted }),
  }
}

const limitsOf = (options: PostgresOptions) => ({
  maxQueued: options.maxQueued ?? 4096,
  maxQueuedBytes: options.maxQueuedBytes ?? 256 * 1024 * 1024,
  answerMs: options.answerMs ?? 15_000,
})

/** After a failed attempt the next one waits so long: a database that is down is not besieged. Milliseconds. */
const gapMs = 200

function opener(opening: Opening, use: 'write' | 'read'): () => Promise<Session> {
  let failed: { readonly at: number; readonly why: string } | null = null
  return async () => {
    if (failed !== null && performance.now() - failed.at < gapMs) throw new StoreUnavailable(failed.why)
    try {
      const session = await openSession(opening, use)
      failed = null
      return session
    } catch (error) {
      failed = { at: performance.now(), why: describeError(error) }
      throw new StoreUnavailable(failed.why)
    }
  }
}

async function startEngine(options: PostgresOptions, opening: Opening): Promise<Engine> {
  const limits = limitsOf(options)
  const pending = keepPending(limits)
  const { planner, lanes, readers, listener, expiry } = await startParts(options, opening, pending)
  let closing: Promise<void> | null = null
  const close = async (): Promise<void> => {
    await planner.idle()
    await lanes.idle()
    clearInterval(expiry)
    await Promise.all([lanes.close(), readers.close(), listener.close()])
  }
  return {
    change: async <Name extends ChangeName>(name: Name, input: object): Promise<ChangeResult<Name>> => {
      if (closing !== null) throw new StoreUnavailable('the store is closed')
      const size = sizeOf(input)
      const full = pending.full(name, size)
      if (full !== null) throw new StoreUnavailable(full)
      const value = await pending.wait(size, (id) => planner.plan({ id, name, input }, size))
      // The verb of this very name gave it.
      return value as ChangeResult<Name>
    },
    view: async (verb) => {
      if (closing !== null) throw new StoreUnavailable('the store is closed')
      return readers.view(verb)
    },
    watch: listener.watch,
    close: () => (closing ??= close()),
  }
}

/** The way of a change: planner (its locks), queue, lanes (batches on connections that write). Views go to the readers. */
async function startParts(options: PostgresOptions, opening: Opening, pending: Pending) {
  const { schema } = opening
  const limits = limitsOf(options)
  const self = newId('e')
  const connections = share(options.maxConnections ?? 8)
  const openReader = opener(opening, 'read')
  const queue = createQueue()
  const readers = startReaders({ readers: connections.readers, open: openReader, ...limits })
  const finder = lockFinder(schema, (sql, list) => readers.ask(query(sql, JSON.stringify(list.map(encode)))))
  const lanes = startLanes({
    lanes: connections.lanes,
    open: opener(opening, 'write'),
    queue,
    pending,
    finder,
    frame: { everything: everything(schema), sequence: sequence(schema) },
    tell: announce(schema, self),
    strikes: strikes(options[injectStoreFault] ?? null),
    answerMs: limits.answerMs,
  })
  const planner = startPlanner({ finder, queue, pending, wake: lanes.wake })
  const tryMs = Math.min(5000, limits.answerMs)
  const listener = await startListener({ channel: schema, self, open: openReader, tryMs })
  const expire = (): void => {
    for (const { job } of queue.removeBefore(performance.now() - limits.answerMs))
      pending.settle(unavailable(job, `the database was busy for ${limits.answerMs} ms; try again later`))
  }
  const expiry = setInterval(expire, Math.max(10, limits.answerMs / 4))
  expiry.unref()
  return { planner, lanes, readers, listener, expiry }
}

/** One listens. Of the others a third writes, four at most: more would only wait for each other's commits. */
function share(connections: number): { readonly lanes: number; readonly readers: number } {
  const rest = Math.max(2, connections - 1)
  const lanes = Math.min(4, Math.max(1, Math.floor(rest / 2)))
  return { lanes, readers: rest - lanes }
}
