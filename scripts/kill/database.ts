import { startCluster } from '../../test/postgres.ts'
import type { PlaceOptions } from './place.ts'

/** A PostgreSQL of its own for a run, in the form that a configuration names it. */
export type Database = {
  readonly store: NonNullable<PlaceOptions['store']>
  readonly port: number
  readonly address: { readonly user: string; readonly database: string }
  stop(): Promise<void>
  start(): Promise<void>
  crash(): Promise<void>
  end(): Promise<void>
}

/** The port is the database's own, or that of something which stands before it. */
export const storeAt = (at: { readonly user: string; readonly database: string }, port: number) => ({
  postgres: `postgres://${at.user}@127.0.0.1:${port}/${at.database}`,
})

export async function startDatabase(): Promise<Database> {
  const cluster = await startCluster()
  const address = await cluster.database()
  const { port, stop, start, crash, end } = cluster
  return {
    store: { config: storeAt(address, port), password: await address.password() },
    port,
    address,
    stop,
    start,
    crash,
    end,
  }
}
