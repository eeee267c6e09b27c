import { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { Client } from 'pg'
import { StoreUnavailable } from '../ports.ts'
import { query } from '../query.ts'
import type { Query, Rows } from '../query.ts'
import { NotReached, NotSent } from './errors.ts'
import { flight } from './flight.ts'
import type { Answer, Plans, Statement } from './flight.ts'
import { bindValue } from './values.ts'

/** How the database is reached. `password` is asked at each connection, so that it may change while the broker runs. */
export type Database = {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly password?: () => string | Promise<string>
  readonly ssl: false | ConnectionOptions
}

/**
 * One connection. What is sent in one turn leaves together, and so does what is sent while that is under way; everything is
 * answered in order. After an error nothing that was sent before it was known is run.
 */
export type Session = {
  send(query: Query): Promise<Answer>
  isLost(): boolean
  /** Cuts the connection: everything unanswered rejects with `SessionLost`, and the server undoes what was not committed. */
  destroy(why: string): void
  close(): Promise<void>
  /** Keeps the process alive, or no longer. */
  hold(on: boolean): void
  onNotice(told: (payload: string) => void): void
  onLost(told: () => void): void
}

export type SessionSettings = {
  readonly database: Database
  readonly application: string
  readonly connectMs: number
}

/** Rejects with `StoreUnavailable` when there is no connection to be had. Sets nothing: see `durable.ts`. */
export async function connect({ database, application, connectMs }: SessionSettings): Promise<Session> {
  const { password } = database
  const client = new Client({
    ...database,
    // Asked for even when there is none, or the driver would look into the environment and the home folder.
    password: async () => (password === undefined ? '' : password()),
    application_name: application,
    connectionTimeoutMillis: connectMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  })
  const session = sessionOn(client)
  try {
    await client.connect()
    return session
  } catch (error) {
    session.destroy('it could not be opened')
    throw new StoreUnavailable(`the database could not be reached: ${wordsOf(error)}`)
  }
}

/** Both sides have said all that matters before a session is closed. */
const farewellMs = 1000

function sessionOn(client: Client): Session {
  const plans: Plans = new Map()
  const listeners: (() => void)[] = []
  let waiting: Statement[] = []
  let lost: string | null = null
  let flying = false
  let called = false

  const refuseWaiting = (error: () => Error): void => {
    const refused = waiting
    waiting = []
    for (const { reject } of refused) reject(error())
  }
  const lose = (why: string): void => {
    if (lost !== null) return
    lost = why
    refuseWaiting(() => new NotSent(why))
    for (const told of listeners) told()
  }
  client.on('error', (error) => lose(error.message))
  client.on('end', () => lose('the server has ended it'))

  /** When everyone who was waiting for an answer has had the chance to go on. */
  const call = (): void => {
    if (called || flying) return
    called = true
    queueMicrotask(() => process.nextTick(leave))
  }
  const leave = (): void => {
    called = false
    if (flying || waiting.length === 0 || lost !== null) return
    flying = true
    const leaving = waiting
    waiting = []
    client.query(
      flight(leaving, plans, (failed) => {
        flying = false
        // They belong to a transaction that has failed, or to none: on their own they must not run.
        if (failed) refuseWaiting(() => new NotReached())
        call()
      }),
    )
  }

  return {
    send: ({ sql, params }) =>
      new Promise((resolve, reject) => {
        if (lost !== null) return reject(new NotSent(lost))
        // What cannot be sent fails here and alone.
        waiting.push({ sql, values: params.map(bindValue), resolve, reject })
        call()
      }),
    isLost: () => lost !== null,
    destroy: (why) => {
      lose(why)
      client.connection.stream.destroy()
    },
    close: async () => {
      lose('it was closed')
      // One that rests does not keep the process: while it is waited for it has to, or the process ends before its work.
      const { stream } = client.connection
      if (stream instanceof Socket) stream.ref()
      // A network that swallows everything brings no farewell back either: nobody who stops waits for it.
      const late = setTimeout(() => stream.destroy(), farewellMs)
      await client.end().finally(() => clearTimeout(late))
    },
    hold: (on) => {
      const { stream } = client.connection
      if (!(stream instanceof Socket)) return
      if (on) stream.ref()
      else stream.unref()
    },
    onNotice: (told) => void client.on('notification', ({ payload }) => told(payload ?? '')),
    onLost: (told) => void listeners.push(told),
  }
}

export const ask = async (session: Session, sql: string, ...params: Query['params']): Promise<Rows> =>
  (await session.send(query(sql, ...params))).rows

/** Node gives several addresses' errors at once, with no words of their own. */
const wordsOf = (error: unknown): string => {
  if (error instanceof AggregateError) return error.errors.map(wordsOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
