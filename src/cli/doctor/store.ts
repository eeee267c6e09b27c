import { access } from 'node:fs/promises'
import { bad, ok, said, warning, type Check } from './check.ts'
import { checkpoint, size } from '../../store/verbs/log.ts'
import { checksum } from '../../store/migrate.ts'
import { DatabaseSync } from 'node:sqlite'
import { get as setting } from '../../store/verbs/settings.ts'
import { int, query, text, type Verb } from '../../store/query.ts'
import { isJsonObject } from '../../lib/json.ts'
import { join } from 'node:path'
import { migrations, type Migration } from '../../store/migrations.ts'
import { stat } from 'node:fs/promises'
import { storePath, type Look } from './look.ts'
import { tolerance } from '../../identity/token.ts'
import { verifyLog } from '../../verify.ts'
import { vkeyOf } from '../../audit/note.ts'
import type { Config } from '../../config/schema.ts'
import type { KeyObject } from 'node:crypto'

/** SQLite's own check of pages and indices. Read only, so that a broker that runs is not disturbed. */
export async function file(home: string): Promise<Check> {
  const path = storePath(home)
  const found = await stat(path).catch(() => null)
  if (found === null) return warning('store', 'not made yet', 'countersign serve')
  const hint = 'stop the broker, keep a copy of the folder, and put a backup back'
  if (process.platform !== 'win32' && (found.mode & 0o077) !== 0)
    return bad('store', 'others can read it, payloads included', `chmod 600 ${path}*`)
  try {
    const database = new DatabaseSync(path, { readOnly: true, timeout: 2000 })
    try {
      const row = database.prepare('pragma quick_check(1)').get()
      const found_ = String(Object.values(row ?? {})[0])
      const mib = (found.size / 2 ** 20).toFixed(1)
      return found_ === 'ok' ? ok('store', `${mib} MiB, sound`) : bad('store', found_.slice(0, 100), hint)
    } finally {
      database.close()
    }
  } catch {
    return bad('store', 'it is no database that can be read', hint)
  }
}

/** Which schema the store has, against the one that this program knows. */
export async function schema(look: Look, known: readonly Migration[] = migrations): Promise<Check> {
  const rows = await look.view(applied(look.engine))
  const newest = known.at(-1)?.version ?? 0
  if (rows === null) return warning('schema', 'none yet', 'countersign serve')
  const there = Math.max(0, ...rows.keys())
  if (there > newest)
    return bad(
      'schema',
      `version ${there}, and this program knows up to ${newest}`,
      'run the newer program that wrote it, or put back a backup made before the upgrade',
    )
  const other = known.find((one) => rows.has(one.version) && rows.get(one.version) !== checksum(one))
  if (other !== undefined)
    return bad(
      'schema',
      `version ${other.version} was made by a different program`,
      'run the program that wrote it',
    )
  if (there === newest && rows.size === known.length) return ok('schema', `version ${there}`)
  return warning(
    'schema',
    `version ${there}, and this program has ${newest}: the next start brings it up to date, and there is no way back`,
    look.engine === 'sqlite'
      ? 'make a backup first, while no broker runs: cp -a the home folder'
      : 'make a backup first (pg_dump), then start one node',
  )
}

function* applied(engine: Look['engine']): Verb<ReadonlyMap<number, string> | null> {
  const [table] = yield query(
    engine === 'sqlite'
      ? "select name from sqlite_schema where type = 'table' and name = 'migrations'"
      : "select table_name as name from information_schema.tables where table_name = 'migrations' and table_schema = any (current_schemas(false))",
  )
  if (table === undefined) return null
  const rows = yield query('select version, checksum from migrations order by version')
  return new Map(rows.map((row) => [int(row, 'version'), text(row, 'checksum')]))
}

/** Times are written by the nodes: one that lies ahead of this clock was written by another clock, or before a step back. */
export async function writtenAt(look: Look, now: number): Promise<Check> {
  const newest = await look.view(newestTime())
  if (newest === null) return ok('written', 'nothing yet')
  const ahead = newest - now
  if (ahead <= tolerance * 1000) return ok('written', `last at ${new Date(newest).toISOString()}`)
  return bad(
    'written',
    `the store's newest time lies ${Math.round(ahead / 1000)} s ahead of this clock`,
    'compare the clocks of all nodes, and set this one: timedatectl set-ntp true',
  )
}

function* newestTime(): Verb<number | null> {
  const [entry] = yield query('select at from entries order by idx desc limit 1')
  const [beat] = yield query('select seen_at as at from brokers order by seen_at desc limit 1')
  const times = [entry, beat].flatMap((row) => (row === undefined ? [] : [int(row, 'at')]))
  return times.length === 0 ? null : Math.max(...times)
}

/** Without a passphrase nothing that asks for proof can be approved. */
export async function passphrase(look: Look, runs: boolean): Promise<Check> {
  const verifiers = (await look.view(setting('operators')))?.['verifiers']
  if (isJsonObject(verifiers) && Object.keys(verifiers).length > 0) return ok('passphrase', 'set')
  return warning(
    'passphrase',
    'not set',
    runs ? 'press p in the terminal that runs the broker' : 'countersign passphrase',
  )
}

/** Everything may be stopped on purpose, and forgotten. */
export async function stopped(look: Look): Promise<readonly Check[]> {
  const [row] = await look.view(revokedAll())
  return row === undefined
    ? []
    : [warning('stopped', 'everything is revoked: every call is refused', 'countersign revoke lift all')]
}

function* revokedAll(): Verb<readonly object[]> {
  return yield query("select key from revocations where key = 'all'")
}

/** What is published, checked without the store's word; with the log's key, that it is ours; with the store, that it is not older. */
export async function log(
  { home, audit }: Pick<Config, 'home' | 'audit'>,
  given: { readonly key: KeyObject | null; readonly look: Look | null },
): Promise<Check> {
  const directory = join(home, 'log')
  const there = await access(join(directory, 'checkpoint')).then(
    () => true,
    () => false,
  )
  if (!there) return warning('log', 'nothing published yet', 'countersign serve')
  const vkey = given.key === null ? {} : { vkey: vkeyOf(audit.origin ?? 'countersign.local/log', given.key) }
  const hint = 'countersign audit verify'
  try {
    const report = await verifyLog({ directory, ...vkey })
    if (!report.ok) return bad('log', report.problems[0]?.problem ?? 'does not verify', hint)
    const entries = given.look === null ? null : await given.look.view(size())
    const signed = given.look === null ? null : await given.look.view(checkpoint())
    if (entries !== null && entries < report.size)
      return bad('log', `${report.size} entries are published, the store holds ${entries}`, hint)
    const behind = (signed?.size ?? 0) - report.size
    return ok(
      'log',
      `${report.size} entries, consistent${behind > 0 ? `; ${behind} more were signed since` : ''}`,
    )
  } catch (problem) {
    return bad('log', said(problem), hint)
  }
}
