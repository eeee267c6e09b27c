import { StoreRefused } from '../conflict.ts'
import { query, text } from '../query.ts'
import type { Row } from '../query.ts'
import { ask, connect } from './session.ts'
import type { Session, SessionSettings } from './session.ts'

/**
 * Weakens the one promise that a store makes: for tests, whose database may be lost with the machine. A symbol, so that no
 * configuration can name it.
 */
export const acceptLosingCommitsInACrash: unique symbol = Symbol(
  'accept that a crash loses what was said to be durable (tests only)',
)

export type Opening = SessionSettings & {
  readonly schema: string
  readonly [acceptLosingCommitsInACrash]?: true
}

/**
 * How long the server waits before it undoes what a node left open, in milliseconds. A dead node holds its locks no longer
 * than it idles in a transaction, and the others wait for a lock longer than that.
 */
const patience = {
  statement_timeout: 20_000,
  lock_timeout: 10_000,
  idle_in_transaction_session_timeout: 5_000,
  // Of PostgreSQL 17 and later, and of systems that know it.
  transaction_timeout: 25_000,
  tcp_user_timeout: 15_000,
} as const

const oldest = 160_000

/**
 * A connection on which COMMIT means durable. Rejects with `StoreRefused` (`server`) when the server does not keep that
 * promise, is too old, is a standby or keeps text in another encoding; with `StoreUnavailable` when it cannot be reached.
 */
export async function openSession(opening: Opening, use: 'write' | 'read'): Promise<Session> {
  const session = await connect(opening)
  try {
    await prepare(session, opening, use)
    return session
  } catch (error) {
    session.destroy('it was not fit')
    throw error
  }
}

/** For what may take its time, such as a larger schema or a look at everything. */
export async function lift(session: Session): Promise<Session> {
  for (const name of ['statement_timeout', 'lock_timeout', 'transaction_timeout'])
    await ask(session, 'select set_config(name, $1, false) from pg_settings where name = $2', '0', name)
  return session
}

async function prepare(session: Session, opening: Opening, use: 'write' | 'read'): Promise<void> {
  const wanted = {
    ...patience,
    // The catalogue comes first by itself: nothing of another schema takes the place of a table or a function.
    search_path: `"${opening.schema}", pg_temp`,
    default_transaction_isolation: 'read committed',
    default_transaction_read_only: use === 'read' ? 'on' : 'off',
    idle_session_timeout: 0,
    tcp_keepalives_idle: 10,
    tcp_keepalives_interval: 5,
    tcp_keepalives_count: 3,
    jit: 'off',
    // Plans are kept. One that was made while a table was small must not read all of it when it has grown.
    enable_seqscan: 'off',
    enable_bitmapscan: 'off',
  }
  const pairs = Object.entries(wanted).map(([name, value]) => `('${name}', '${value}')`)
  const set = query(
    `select set_config(s.name, w.value, false) from pg_settings s join (values ${pairs.join(', ')}) w (name, value)
       on s.name = w.name`,
  )
  // remote_apply is more than `on` asks for.
  const sync = query(`select set_config('synchronous_commit',
    case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, false)`)
  const [, , [row]] = await Promise.all([session.send(set), session.send(sync), ask(session, selectServer)])
  if (row === undefined) throw new TypeError('expected the settings of the server')
  demandFit(row, opening)
}

const selectServer = `select current_setting('server_version_num') as version, current_setting('server_encoding') as encoding,
  current_setting('fsync') as fsync, current_setting('full_page_writes') as pages,
  current_setting('synchronous_commit') as sync,
  pg_is_in_recovery()::text as standby, current_database() as name`

function demandFit(row: Row, opening: Opening): void {
  const of = (column: string): string => text(row, column)
  const refuse = (message: string): never => {
    throw new StoreRefused('server', message)
  }
  if (Number(of('version')) < oldest)
    refuse(`expected PostgreSQL 16 or later, the server is ${Math.floor(Number(of('version')) / 10_000)}`)
  if (of('encoding') !== 'UTF8')
    refuse(
      `the database \`${of('name')}\` keeps text as ${of('encoding')}; make one with \`encoding UTF8 template template0\``,
    )
  if (of('standby') === 'true')
    refuse('the server is a standby, which takes no changes; give the address of the primary')
  if (opening[acceptLosingCommitsInACrash] === true) return
  if (of('fsync') !== 'on' || of('pages') !== 'on')
    refuse('the server runs without `fsync` or `full_page_writes`, so a crash loses commits; switch both on')
  if (of('sync') !== 'on' && of('sync') !== 'remote_apply')
    refuse('`synchronous_commit` does not stay on for a session; connect without a pooler in between')
}
