import { query } from '../query.ts'
import type { Param, Query } from '../query.ts'

/**
 * Rows that a batch adds at its end, many in one statement. `table` and its columns stand in the order of `Append` and
 * `Keep`.
 */
export type Row = readonly Param[]
export type Later = { readonly entries: Row[]; readonly payloads: Row[] }

export const noLater = (): Later => ({ entries: [], payloads: [] })

/** Sizes of the statements: few, so that each is prepared once. */
const sizes = [64, 16, 4, 1]

/** Of one entry: leaf, bytes, kind, call, task, agent, at. */
const ofEntry = ['bytea', 'bytea', 'text', 'text', 'text', 'text', 'bigint']
/** Of one payload: commitment, salt, bytes, kind, call, at. */
const ofPayload = ['text', 'bytea', 'bytea', 'text', 'text', 'bigint']

/**
 * Adds entries with the next indexes, in order. Whoever sends these holds the lock of the sequence, or of everything: each
 * statement sees what was committed before it began, so the last index is the last.
 */
export const insertEntries = (rows: readonly Row[]): readonly Query[] => inserts(rows, entryStatements)

/** A payload whose commitment is there already is the same payload: the salt sees to that. */
export const insertPayloads = (rows: readonly Row[]): readonly Query[] => inserts(rows, payloadStatements)

function inserts(rows: readonly Row[], statements: ReadonlyMap<number, string>): readonly Query[] {
  const queries: Query[] = []
  for (let from = 0; from < rows.length;) {
    const size = sizes.find((one) => one <= rows.length - from) ?? 1
    queries.push(query(statements.get(size) ?? '', ...rows.slice(from, from + size).flat()))
    from += size
  }
  return queries
}

const valuesOf = (casts: readonly string[], size: number): string =>
  Array.from({ length: size }, (_, row) => {
    const params = casts.map((cast, column) => `$${row * casts.length + column + 1}::${cast}`)
    return `(${[row + 1, ...params].join(', ')})`
  }).join(', ')

const entryStatements: ReadonlyMap<number, string> = new Map(
  sizes.map((size) => [
    size,
    `insert into entries (idx, leaf, bytes, kind, call, task, agent, at)
     select (select coalesce(max(idx), -1) from entries) + v.n, v.leaf, v.bytes, v.kind, v.call, v.task, v.agent, v.at
     from (values ${valuesOf(ofEntry, size)}) v (n, leaf, bytes, kind, call, task, agent, at)`,
  ]),
)

const payloadStatements: ReadonlyMap<number, string> = new Map(
  sizes.map((size) => [
    size,
    `insert into payloads (commitment, salt, bytes, kind, call, at)
     select v.commitment, v.salt, v.bytes, v.kind, v.call, v.at
     from (values ${valuesOf(ofPayload, size)}) v (n, commitment, salt, bytes, kind, call, at)
     on conflict (commitment) do nothing`,
  ]),
)
