/**
 * SQL is written once, for every engine. A verb is a generator: it yields a step, receives the rows, and returns the
 * result. A driver runs it, synchronously (SQLite, `sqlite/statements.ts`) or not (PostgreSQL, `postgres/batch.ts`).
 *
 * What a driver MUST do:
 * - run a changing verb in a transaction in which nothing that it has read can move before it writes (SQLite: BEGIN
 *   IMMEDIATE; PostgreSQL: the locks of `postgres/locks.ts`), and undo all of it when it throws;
 * - run a viewing verb on one snapshot of the data;
 * - bind `$1`, `$2`, … by number, give bytes as `Uint8Array`, whole numbers as number, bigint or decimal text, and text
 *   as it was put, U+0000 included.
 *
 * What a verb MUST NOT do: look at the rows of a statement that changes something without `returning` (a driver may send
 * it and go on), catch what a step throws, or, when other verbs may run beside it, read `entries` or
 * `payloads`.
 */
export type Verb<Result> = Generator<Step, Result, Rows>

export type Step = Query | Append | Keep
export type Query = { readonly sql: string; readonly params: readonly Param[] }
/** Gives an entry the next index, contiguous from 0, and keeps it. A driver may do it as late as at the commit. */
export type Append = { readonly append: readonly Param[] }
/** Keeps a payload, if none of its commitment is there. As late as an entry. */
export type Keep = { readonly keep: readonly Param[] }
export type Param = string | number | null | Uint8Array
export type Value = string | number | bigint | null | Uint8Array
export type Row = { readonly [column: string]: Value }
export type Rows = readonly Row[]

export const query = (sql: string, ...params: readonly Param[]): Query => ({ sql, params })

/** A column as text. Throws when it holds anything else: the schema and the verb have come apart. */
export function text(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw new TypeError(`expected text in column \`${column}\``)
  return value
}

export const textOrNull = (row: Row, column: string): string | null =>
  row[column] === null ? null : text(row, column)

/** A column as a whole number. Engines give 64-bit numbers as number, bigint or decimal text. */
export function int(row: Row, column: string): number {
  const value = row[column]
  if (typeof value === 'number') return value
  if (typeof value !== 'bigint' && typeof value !== 'string')
    throw new TypeError(`expected a whole number in column \`${column}\``)
  const number = Number(value)
  if (!Number.isSafeInteger(number))
    throw new TypeError(`expected a safe whole number in column \`${column}\``)
  return number
}

export const intOrNull = (row: Row, column: string): number | null =>
  row[column] === null ? null : int(row, column)

export function bytes(row: Row, column: string): Uint8Array {
  const value = row[column]
  if (!(value instanceof Uint8Array)) throw new TypeError(`expected bytes in column \`${column}\``)
  return value
}

/** JSON kept as text. The store wrote it from a value of this type; nothing else writes there. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the reader names what the writer wrote
export const json = <Shape>(row: Row, column: string): Shape => JSON.parse(text(row, column))

export const toJson = (value: object): string => JSON.stringify(value)
