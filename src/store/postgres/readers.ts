import { DatabaseError } from 'pg'
import { StoreUnavailable } from '../ports.ts'
import { query } from '../query.ts'
import type { Query, Rows, Verb } from '../query.ts'
import { SessionLost, concern } from './errors.ts'
import { pipeOf } from './pipe.ts'
import type { Session } from './session.ts'
import { run } from './transaction.ts'

export type ReaderParts = {
  readonly readers: number
  readonly open: () => Promise<Session>
  /** Views that may wait for a connection at once. */
  readonly maxQueued: number
  readonly answerMs: number
}

export type Readers = {
  /** On one snapshot, which shows every change whose promise has resolved. */
  view<Result>(verb: Verb<Result>): Promise<Result>
  /** One query on its own. */
  ask(one: Query): Promise<Rows>
  close(): Promise<void>
}

const begin = query('begin isolation level repeatable read read only')
const end = query('commit')

export function startReaders(parts: ReaderParts): Readers {
  const pool = startPool(parts)
  const on = async <Result>(body: (session: Session) => Promise<Result>): Promise<Result> => {
    const session = await pool.take()
    const watch = setTimeout(() => {
      const why = `no answer for ${parts.answerMs} ms`
      session.destroy(why)
      pool.turnAway(why)
    }, parts.answerMs)
    try {
      return await body(session)
    } catch (error) {
      throw told(error)
    } finally {
      clearTimeout(watch)
      pool.give(session)
    }
  }
  /**
   * It was lost while it was idle, most likely: as long as nothing was seen, another one may show it all. Whoever had no
   * answer for as long as anybody waits is told so: a second wait would tell the same.
   */
  const onAny = async <Result>(
    body: (session: Session) => Promise<Result>,
    hasSeen: () => boolean,
  ): Promise<Result> => {
    const until = performance.now() + parts.answerMs
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await on(body)
      } catch (error) {
        if (!(error instanceof ReadLost) || hasSeen() || attempt > parts.readers) throw error
        if (performance.now() >= until) throw error
      }
    }
  }
  return {
    view: (verb) => {
      const viewing = restartable(verb)
      return onAny((session) => look(session, viewing.again()), viewing.hasSeen)
    },
    ask: (one) =>
      onAny(
        async (session) => (await session.send(one)).rows,
        () => false,
      ),
    close: pool.close,
  }
}

/** BEGIN leaves with the first query, and the end of the transaction is not waited for: it carries nothing. */
async function look<Result>(session: Session, verb: Verb<Result>): Promise<Result> {
  const pipe = pipeOf(session)
  pipe.tell(begin)
  try {
    return await run({ pipe, stopped: () => false, put: refuse }, verb)
  } catch (error) {
    const failure = pipe.failure()
    // A transaction that did not end would show the next view what was there before.
    if (failure !== null) session.destroy('a view failed on it')
    throw failure?.error ?? error
  } finally {
    pipe.tell(end)
  }
}

function refuse(): never {
  throw new TypeError('expected a verb that only reads')
}

class ReadLost extends StoreUnavailable {}

/** What is not the verb's own is the database's. */
function told(error: unknown): unknown {
  if (!(error instanceof SessionLost || error instanceof DatabaseError)) return error
  const message = `the database could not be read: ${error.message}`
  return concern(error) === 'again' ? new ReadLost(message) : new StoreUnavailable(message)
}

/** A verb that can be begun again as long as it has seen nothing. */
function restartable<Result>(verb: Verb<Result>) {
  const first = verb.next([])
  let seen = false
  function* again(): Verb<Result> {
    let step = first
    while (step.done !== true) {
      const rows = yield step.value
      seen = true
      step = verb.next(rows)
    }
    return step.value
  }
  return { again, hasSeen: () => seen }
}

/** Connections that read. Who finds none free waits; the longest waiting is next. */
function startPool({ readers, open, maxQueued }: ReaderParts) {
  let free: Session[] = []
  let made = 0
  let closed = false
  const waiting: { readonly resolve: (session: Session) => void; readonly reject: (error: Error) => void }[] =
    []

  const make = async (): Promise<Session> => {
    made += 1
    try {
      const session = await open()
      session.onLost(() => {
        made -= 1
        free = free.filter((one) => one !== session)
      })
      return session
    } catch (error) {
      made -= 1
      // Nobody has a connection to give: whoever waits for one would wait for ever.
      if (made === 0) turnAway('it could not be reached')
      throw error
    }
  }
  const turnAway = (why: string): void => {
    for (const { reject } of waiting.splice(0))
      reject(new StoreUnavailable(`the database could not be read: ${why}`))
  }
  const give = (session: Session): void => {
    if (closed) return void session.close()
    const next = waiting.shift()
    if (next === undefined) {
      session.hold(false)
      if (!session.isLost()) free.push(session)
    } else if (session.isLost()) make().then(next.resolve, next.reject)
    else next.resolve(session)
  }
  return {
    take: async (): Promise<Session> => {
      if (closed) throw new StoreUnavailable('the store is closed')
      const session = free.pop()
      if (session !== undefined) {
        session.hold(true)
        return session
      }
      if (made < readers) return make()
      if (waiting.length >= maxQueued)
        throw new StoreUnavailable(`${waiting.length} reads wait already; try again later`)
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
    },
    give,
    /** Everybody who waits is told no: they have waited as long as the one that had no answer. */
    turnAway,
    close: async (): Promise<void> => {
      closed = true
      turnAway('the store is closed')
      await Promise.all(free.splice(0).map((session) => session.close()))
    },
  }
}
