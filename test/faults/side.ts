import { Client } from 'pg'
import { bindValue, decoding } from '../../src/store/postgres/values.ts'
import { changes, type ChangeResult } from '../../src/store/changes.ts'
import { insertEntries, insertPayloads } from '../../src/store/postgres/later.ts'
import { storeOn, type Engine } from '../../src/store/engine.ts'
import type { DatabaseAddress } from '../postgres.ts'
import type { Query, Row, Rows, Step, Verb } from '../../src/store/query.ts'
import type { Store } from '../../src/store/ports.ts'

/** One connection beside the broker's own, which looks, copies and recovers: a hundred others would take a minute. */
export type Side = {
  view(schema: string): Engine['view']
  /** The verbs on it, for recovery. */
  store(schema: string): Store
  /** What is committed at this moment, into another schema: all that a process leaves whose connections end. */
  copy(schema: string): Promise<void>
  drop(schema: string): Promise<void>
  end(): Promise<void>
}

export async function openSide(database: DatabaseAddress): Promise<Side> {
  const client = new Client({ ...database, types: decoding })
  client.on('error', () => undefined)
  await client.connect()
  const send = async ({ sql, params }: Query): Promise<Rows> =>
    (await client.query<Row>(sql, params.map(bindValue))).rows
  const take = async (step: Step): Promise<Rows> => {
    if ('sql' in step) return send(step)
    const later = 'append' in step ? insertEntries([step.append]) : insertPayloads([step.keep])
    for (const one of later) await send(one)
    return []
  }
  const run = async <Result>(verb: Verb<Result>): Promise<Result> => {
    let step = verb.next([])
    while (step.done !== true) step = verb.next(await take(step.value))
    return step.value
  }
  /** One after the other: two transactions on one connection would be one. */
  let last: Promise<unknown> = Promise.resolve()
  const within = <Result>(begin: string, schema: string, body: () => Promise<Result>): Promise<Result> => {
    const mine = last.then(async () => {
      await client.query(`${begin}; set local search_path to "${schema}", pg_temp`)
      try {
        return await body()
      } finally {
        await client.query('commit')
      }
    })
    last = mine.catch(() => undefined)
    return mine
  }
  const looking = 'begin isolation level repeatable read read only'
  const view =
    (schema: string): Engine['view'] =>
    (verb) =>
      within(looking, schema, () => run(verb))
  return {
    view,
    store: (schema) =>
      storeOn(
        {
          change: (name, input) =>
            within('begin', schema, async () => {
              const verb = (changes[name] as (input: unknown) => Verb<unknown>)(input)
              return (await run(verb)) as ChangeResult<typeof name>
            }),
          view: view(schema),
          watch: () => () => undefined,
          close: async () => undefined,
        },
        { clock: { now: () => Date.now() }, pendingPerAgent: 20 },
      ),
    copy: (schema) =>
      within('begin isolation level repeatable read', 'countersign', async () => {
        const { rows } = await client.query<{ name: string }>(
          "select tablename::text as name from pg_tables where schemaname = 'countersign'",
        )
        const copies = rows.map(
          ({ name }) =>
            `create table ${schema}.${name} (like countersign.${name} including all);
             insert into ${schema}.${name} select * from countersign.${name};`,
        )
        await client.query(`create schema ${schema}; ${copies.join('\n')}`)
      }),
    drop: async (schema) => void (await client.query(`drop schema ${schema} cascade`)),
    end: () => client.end(),
  }
}
