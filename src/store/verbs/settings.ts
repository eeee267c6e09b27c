import type { JsonObject } from '../../lib/json.ts'
import { int, json, query, text, toJson } from '../query.ts'
import type { Verb } from '../query.ts'
import { appendAct } from './log.ts'
import { prune } from './flow.ts'

/** Incarnations that were silent for so long are forgotten; they count as dead long before. */
const silentMs = 7 * 24 * 60 * 60 * 1000

export function* get(name: string): Verb<JsonObject | null> {
  const [row] = yield query('select value from settings where name = $1', name)
  return row === undefined ? null : json<JsonObject>(row, 'value')
}

export function* put(input: {
  readonly name: string
  readonly value: JsonObject
  readonly entry: Uint8Array | null
}): Verb<void> {
  yield query(
    'insert into settings (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value',
    input.name,
    toJson(input.value),
  )
  if (input.entry !== null) yield* appendAct(input.entry)
}

export function* beat(input: { readonly broker: string; readonly at: number }): Verb<void> {
  yield query(
    'insert into brokers (broker, seen_at) values ($1, $2) on conflict (broker) do update set seen_at = excluded.seen_at',
    input.broker,
    input.at,
  )
  yield query('delete from brokers where seen_at < $1', input.at - silentMs)
  yield* prune(input.at)
}

export function* living(now: number, withinMs: number): Verb<readonly string[]> {
  const rows = yield query('select broker from brokers where seen_at >= $1 order by broker', now - withinMs)
  return rows.map((row) => text(row, 'broker'))
}

export function* beats(): Verb<readonly { readonly broker: string; readonly at: number }[]> {
  const rows = yield query('select broker, seen_at from brokers order by broker')
  return rows.map((row) => ({ broker: text(row, 'broker'), at: int(row, 'seen_at') }))
}
