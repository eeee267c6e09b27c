import { bad, ok, said, warning, type Check } from './check.ts'
import { databaseName, databaseOf, isLocal } from '../../compose/database.ts'
import { int, query, text, type Verb } from '../../store/query.ts'
import { openLook, type Look } from './look.ts'
import { tolerance } from '../../identity/token.ts'
import type { Config, StoreConfig } from '../../config/schema.ts'

/** Codes of PostgreSQL (appendix A of its manual) and of the network, in words with what to do. */
const causes: { readonly [code: string]: readonly [string, string] } = {
  ECONNREFUSED: ['nothing listens there', 'start PostgreSQL, or correct `store.postgres`'],
  ENOTFOUND: ['its name is not known', 'correct the host in `store.postgres`'],
  EAI_AGAIN: ['no name server answers', 'look at the name server of this machine'],
  ENOENT: ['its socket, `store.ca` or `store.passwordFile` is not there', 'look at the paths under `store`'],
  ETIMEDOUT: ['it does not answer', 'open the way to it: firewall, network policy'],
  '28P01': ['it does not take the password', 'put the right one into `store.passwordFile`'],
  '28000': ['it does not let this user in', 'add the user, or a line in pg_hba.conf'],
  '3D000': ['it has no such database', 'createdb --owner USER DATABASE'],
  '53300': ['it has no connection left', 'lower `store.maxConnections`, or raise max_connections'],
  '57P03': ['it is starting', 'try again in a moment'],
}

/** Opens the view of the store; a problem becomes a check. */
export async function reach(
  config: Config,
): Promise<{ readonly look: Look | null; readonly check: Check | null }> {
  try {
    return { look: await openLook(config), check: null }
  } catch (problem) {
    const [what, hint] = cause(problem)
    if (config.store === undefined) return { look: null, check: null }
    const where = await named(config.store)
    return { look: null, check: bad('database', `${where}: ${what}`, hint) }
  }
}

const named = (store: StoreConfig): Promise<string> =>
  databaseOf(store).then(databaseName, () => 'PostgreSQL')

function cause(problem: unknown): readonly [string, string] {
  // Several addresses were tried: the first says enough.
  const first = problem instanceof AggregateError ? problem.errors[0] : problem
  const code = first instanceof Error && 'code' in first ? String(first.code) : ''
  const known = causes[code]
  if (known !== undefined) return known
  if (/CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/.test(code))
    return [`its certificate is not taken (${code})`, 'name the authority that signed it in `store.ca`']
  if (first instanceof Error && /does not support SSL/i.test(first.message))
    return ['it speaks no TLS, and it is not on this machine', 'give PostgreSQL a certificate: ssl = on']
  return [said(first), 'psql with the same user and host says more']
}

const least = 16
const farMs = tolerance * 1000
const nearMs = 1000
const rounds = 3

/** What a node needs of the database besides being let in: version, clock, a way to write, room for its connections. */
export async function database(look: Look, store: StoreConfig): Promise<readonly Check[]> {
  const where = await databaseOf(store)
  const facts = await look.view(about())
  const secure = facts.encrypted || isLocal(where.host)
  const shown = `${databaseName(where)}, version ${facts.version}${facts.encrypted ? ', TLS' : ''}`
  const reached = !secure
    ? bad(
        'database',
        `${shown}: what is sent can be read on the way`,
        'give PostgreSQL a certificate: ssl = on',
      )
    : Number.parseInt(facts.version, 10) < least
      ? bad('database', shown, `use PostgreSQL ${least} or later`)
      : ok('database', shown)
  return [reached, writable(facts), connections(facts, store), await skew(look)]
}

type About = {
  readonly version: string
  readonly encrypted: boolean
  readonly standby: boolean
  readonly creates: boolean
  readonly superuser: boolean
  readonly synced: string
  readonly most: number
  readonly used: number
}

function* about(): Verb<About> {
  const [row] = yield query(
    `select current_setting('server_version') as version,
      coalesce((select ssl::int from pg_stat_ssl where pid = pg_backend_pid()), 0) as encrypted,
      pg_is_in_recovery()::int as standby,
      coalesce(has_schema_privilege(current_schema(), 'CREATE'), has_database_privilege(current_database(), 'CREATE'))::int as creates,
      (select rolsuper::int from pg_roles where rolname = current_user) as superuser,
      current_setting('fsync') || ' ' || current_setting('synchronous_commit') as synced,
      current_setting('max_connections')::int as most,
      (select count(*)::int from pg_stat_activity) as used`,
  )
  if (row === undefined) throw new TypeError('expected a row')
  return {
    version: text(row, 'version'),
    encrypted: int(row, 'encrypted') === 1,
    standby: int(row, 'standby') === 1,
    creates: int(row, 'creates') === 1,
    superuser: int(row, 'superuser') === 1,
    synced: text(row, 'synced'),
    most: int(row, 'most'),
    used: int(row, 'used'),
  }
}

function writable({ standby, creates, superuser, synced }: About): Check {
  const what = 'durable'
  if (standby)
    return bad(what, 'this is a standby: it takes no change', 'name the primary in `store.postgres`')
  const [fsync, commit] = synced.split(' ')
  if (fsync !== 'on') return bad(what, 'fsync is off: an intent can be lost', 'fsync = on')
  if (commit === 'off')
    return bad(what, 'synchronous_commit is off: an intent can be lost', 'synchronous_commit = on')
  if (!creates)
    return warning(
      what,
      'the user may not make tables',
      'let the user own this database: alter database DATABASE owner to USER',
    )
  if (superuser)
    return warning(what, 'the user is a superuser', 'use one that owns this database and nothing else')
  return ok(what, `fsync ${fsync}, synchronous_commit ${commit}`)
}

function connections({ most, used }: About, { maxConnections }: StoreConfig): Check {
  const shown = `${used} of ${most} in use, ${maxConnections} for this node`
  return maxConnections <= most - used || maxConnections * 2 < most
    ? ok('connections', shown)
    : warning('connections', shown, 'lower `store.maxConnections`, or raise max_connections')
}

/** Half of the way there and back is the most that can be wrong: the shortest of a few is taken. */
async function skew(look: Look): Promise<Check> {
  let best = { apart: 0, way: Infinity }
  for (let round = 0; round < rounds; round += 1) {
    const from = Date.now()
    const since = performance.now()
    const there = await look.view(time())
    const way = performance.now() - since
    if (way < best.way) best = { apart: there - (from + way / 2), way }
  }
  const apart = Math.abs(best.apart)
  const shown = `${Math.round(apart)} ms ${best.apart < 0 ? 'behind' : 'ahead of'} this clock`
  const hint = 'timedatectl set-ntp true, here and where the database runs'
  if (apart > farMs) return bad("database's clock", shown, hint)
  return apart > nearMs ? warning("database's clock", shown, hint) : ok("database's clock", shown)
}

function* time(): Verb<number> {
  const [row] = yield query('select (extract(epoch from clock_timestamp()) * 1000)::bigint as at')
  if (row === undefined) throw new TypeError('expected a row')
  return int(row, 'at')
}
