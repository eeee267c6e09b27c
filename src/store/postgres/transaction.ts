import { query } from '../query.ts'
import type { Append, Keep, Query, Rows, Verb } from '../query.ts'
import { NotReached, NotSent } from './errors.ts'
import { insertEntries, insertPayloads } from './later.ts'
import type { Later } from './later.ts'
import type { Pipe } from './pipe.ts'

/** The locks that one transaction asks for. */
export type Frame = {
  /** Shared by most changes, held by those that are alone. */
  readonly everything: string
  readonly alone: boolean
  readonly locks: readonly string[]
  readonly sequence: string
}

const holdOne = 'select pg_advisory_xact_lock($1)'
/**
 * The lock of everything, shared, and each of the others in the order given, which is the same for all: else two could
 * wait for each other.
 */
const shareAll = `select pg_advisory_xact_lock_shared($1),
  (select count(pg_advisory_xact_lock(k::bigint)) from json_array_elements_text($2::json) k)`

/** Sends BEGIN and asks for the locks. What is sent behind it runs when they are held, or not at all. */
export function begin(pipe: Pipe, { everything, alone, locks }: Frame): void {
  pipe.tell(query('begin'))
  if (alone) pipe.tell(query(holdOne, everything))
  else pipe.tell(query(shareAll, everything, JSON.stringify([...locks].sort())))
}

/** A verb was stopped because the transaction has failed; the reason is the pipe's or another verb's. */
export class Stopped extends Error {}

export type Running = {
  readonly pipe: Pipe
  readonly stopped: () => boolean
  readonly put: (step: Append | Keep) => void
}

/** Runs a verb in the transaction. Waits only for what the verb looks at. */
export async function run<Result>({ pipe, stopped, put }: Running, verb: Verb<Result>): Promise<Result> {
  let step = verb.next(none)
  while (step.done !== true) {
    const taken = step.value
    if (stopped() || pipe.failure() !== null) throw new Stopped()
    if (!('sql' in taken)) {
      put(taken)
      step = verb.next(none)
    } else if (isBlind(taken.sql)) {
      pipe.tell(taken)
      step = verb.next(none)
    } else {
      step = verb.next(await pipe.ask(taken))
    }
  }
  return step.value
}

const none: Rows = []

const changesRows = (sql: string): boolean =>
  /^\s*(?:insert|update|delete)\b/i.test(sql) ||
  (/^\s*with\b/i.test(sql) && /\b(?:insert|update|delete)\b/i.test(sql))
/** Gives no rows that a verb could look at. */
const isBlind = (sql: string): boolean => changesRows(sql) && !/\breturning\b/i.test(sql)

/** `not`: certainly undone, because of `error`. `unknown`: the answer never came. */
export type Committed =
  | { readonly kind: 'durable' }
  | { readonly kind: 'not'; readonly error: unknown }
  | { readonly kind: 'unknown'; readonly error: unknown }

/**
 * Sends everything up to COMMIT in one flight: the lock of the sequence is held while the server works and never while
 * this node does. `sent` is called when COMMIT is on its way: from then on its outcome is the server's.
 */
export async function commit(
  pipe: Pipe,
  { sequence, alone }: Frame,
  { later, news, sent }: { readonly later: Later; readonly news: readonly Query[]; sent(): void },
): Promise<Committed> {
  for (const one of [...insertPayloads(later.payloads), ...news]) pipe.tell(one)
  if (later.entries.length > 0 && !alone) pipe.tell(query(holdOne, sequence))
  for (const one of insertEntries(later.entries)) pipe.tell(one)
  const committing = pipe.send(query('commit'))
  sent()
  try {
    const { command } = await committing
    if (command === 'COMMIT') return { kind: 'durable' }
    // A transaction that has failed answers COMMIT with ROLLBACK, and with no error.
    return { kind: 'not', error: pipe.failure()?.error ?? new TypeError('expected the reason of a rollback') }
  } catch (error) {
    // Behind a statement that was refused, or on a connection that was gone before it left, it was never run.
    return error instanceof NotReached || error instanceof NotSent
      ? { kind: 'not', error: pipe.failure()?.error ?? error }
      : { kind: 'unknown', error }
  }
}
