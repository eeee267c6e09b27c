import { createHash } from 'node:crypto'
import { StoreRefused } from './conflict.ts'
import type { Migration } from './migrations.ts'
import { int, query, text } from './query.ts'
import type { Verb } from './query.ts'

/** What an engine calls the things that engines name differently. */
export type Dialect = {
  readonly int: string
  readonly bytes: string
  readonly text: string
  readonly strict: string
  readonly keyed: string
}

export const sqlite: Dialect = {
  int: 'integer',
  bytes: 'blob',
  text: 'text',
  strict: 'strict',
  keyed: 'strict, without rowid',
}

/**
 * Text is compared by its bytes, as SQLite does: by the rules of a language, two nodes on systems with other versions of
 * them would disagree on the order, and an index that was made by one would be wrong for the other.
 */
export const postgres: Dialect = {
  int: 'bigint',
  bytes: 'bytea',
  text: 'text collate "C"',
  strict: '',
  keyed: '',
}

/** Spells a statement of a migration for an engine. */
export const spell = (sql: string, dialect: Dialect): string =>
  sql
    .replace(/:(int|bytes|strict|keyed)\b/g, (_, name: keyof Dialect) => dialect[name])
    .replace(/(?<=\w )text\b/g, dialect.text)
    .trimEnd()

/** SHA-256, hex, over the statements as written here, before they are spelt for an engine. */
export const checksum = (migration: Migration): string =>
  createHash('sha256').update(migration.sql.join(';\n')).digest('hex')

/**
 * Brings the schema up to date, in the caller's transaction. Throws `StoreRefused` when the store was written by a newer
 * version (`newer`) or by one whose history differs (`changed`): this version cannot know what its rows mean.
 */
export function* migrate(list: readonly Migration[], dialect: Dialect, at: number): Verb<void> {
  yield query(
    spell(
      'create table if not exists migrations (version :int primary key, checksum text not null, applied_at :int not null) :strict',
      dialect,
    ),
  )
  const rows = yield query('select version, checksum from migrations order by version')
  const applied = new Map(rows.map((row) => [int(row, 'version'), text(row, 'checksum')]))
  demandKnown(applied, list)
  for (const migration of list) {
    if (applied.has(migration.version)) continue
    for (const sql of migration.sql) yield query(spell(sql, dialect))
    yield query(
      'insert into migrations (version, checksum, applied_at) values ($1, $2, $3)',
      migration.version,
      checksum(migration),
      at,
    )
  }
}

/** For who only looks: the schema must be the one that this program makes. Throws `StoreRefused`. */
export function* demandCurrent(list: readonly Migration[]): Verb<void> {
  const rows = yield query('select version, checksum from migrations order by version')
  demandKnown(new Map(rows.map((row) => [int(row, 'version'), text(row, 'checksum')])), list)
  const newest = list.at(-1)?.version ?? 0
  if (rows.length < list.length)
    throw new StoreRefused(
      'older',
      `the store has schema ${rows.length} and this program makes ${newest}; start its broker once, which brings it up to date`,
    )
}

function demandKnown(applied: ReadonlyMap<number, string>, list: readonly Migration[]): void {
  const newest = list.at(-1)?.version ?? 0
  for (const [version, sum] of applied) {
    if (version > newest)
      throw new StoreRefused(
        'newer',
        `the store has schema ${version}, this program knows up to ${newest}; start the newer program that wrote it, or restore a backup made before the upgrade`,
      )
    const migration = list.find((one) => one.version === version)
    if (migration === undefined || checksum(migration) !== sum)
      throw new StoreRefused(
        'changed',
        `schema ${version} of the store was made by a different program than this; start the program that wrote it`,
      )
  }
}
