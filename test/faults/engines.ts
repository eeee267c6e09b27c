import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { changes, type ChangeResult } from '../../src/store/changes.ts'
import { configOf, furnish } from './home.ts'
import { createLenders } from '../../src/credential/lender.ts'
import { createRecorder } from '../../src/audit/record.ts'
import { query, type Verb } from '../../src/store/query.ts'
import { recover } from '../../src/call/recover.ts'
import { runner } from '../../src/store/sqlite/statements.ts'
import { startCluster } from '../postgres.ts'
import { openSide } from './side.ts'
import { storeOn } from '../../src/store/engine.ts'
import { viewSqlite } from '../../src/store/sqlite.ts'
import type { Config } from '../../src/config/schema.ts'
import type { Store } from '../../src/store/ports.ts'
import type { Upstream } from '../../scripts/kill/upstream.ts'
import type { Viewing } from '../../src/store/engine.ts'

/** How the table is played on an engine of the store. */
export type FaultEngine = {
  readonly name: string
  begin(upstream: Upstream): Promise<Lived>
}

/** A home that was lived in, for a broker that is going to fail. */
export type Lived = {
  readonly config: Config
  readonly vkey: string
  view(): Promise<Viewing>
  /** What a process that died at this very moment would leave to the next one. */
  death(): Promise<Left>
  end(): Promise<void>
}

/** Recovered as every start does it; gives the calls whose end nobody knows, and what is there now. */
export type Left = {
  readonly home: string
  recover(): Promise<readonly string[]>
  view(): Promise<Viewing>
  end(): Promise<void>
}

const fileOf = (home: string): string => join(home, 'store', 'countersign.db')

export const sqliteEngine: FaultEngine = {
  name: 'sqlite',
  async begin(upstream) {
    const root = await mkdtemp(join(tmpdir(), 'countersign-faults-'))
    const home = join(root, 'home')
    const config = configOf(home, upstream)
    const vkey = await furnish(config)
    let deaths = 0
    return {
      config,
      vkey,
      view: async () => viewSqlite({ path: fileOf(home) }),
      async death() {
        deaths += 1
        const left = join(root, `left-${deaths}`)
        // What a process wrote stays in its files when it dies. The index of the write-ahead log is made anew.
        await cp(home, left, { recursive: true, filter: (path) => !path.endsWith('-shm') })
        return {
          home: left,
          recover: () => recovered(openHere(fileOf(left))),
          view: async () => viewSqlite({ path: fileOf(left) }),
          end: () => rm(left, { recursive: true, force: true }),
        }
      },
      end: () => rm(root, { recursive: true, force: true }),
    }
  },
}

/** What a start does first, on the store alone: a whole broker for each death would take a minute. Closes the store. */
async function recovered(store: Store): Promise<readonly string[]> {
  const clock = { now: () => Date.now() }
  const recorder = createRecorder({ fingerprintKey: new Uint8Array(32) })
  try {
    const settled = await recover({ ...store, clock, recorder, broker: 'b_next' }, [])
    const lenders = createLenders({
      servers: () => undefined,
      vault: { reveal: async () => ({ problem: 'missing', detail: '' }) as const },
      store: store.secrets,
      revocations: { first: () => null },
      clock,
    })
    await lenders.reclaim([])
    return settled
  } finally {
    await store.close()
  }
}

/** The verbs over one connection, in this thread. */
function openHere(path: string): Store {
  const database = new DatabaseSync(path)
  const on = runner(database)
  const begin = query('begin immediate')
  return storeOn(
    {
      change: async (name, input) => {
        on.execute(begin)
        const verb = (changes[name] as (input: unknown) => Verb<unknown>)(input)
        const result = on.run(verb)
        on.execute(query('commit'))
        return result as ChangeResult<typeof name>
      },
      view: async (verb) => on.run(verb),
      watch: () => () => undefined,
      close: async () => database.close(),
    },
    { clock: { now: () => Date.now() }, pendingPerAgent: 20 },
  )
}

/** Several nodes may share it, so a broker outlives what fails: a connection, or the server for a while. */
export const postgresEngine: FaultEngine = {
  name: 'postgres',
  async begin(upstream) {
    const root = await mkdtemp(join(tmpdir(), 'countersign-faults-'))
    const home = join(root, 'home')
    const cluster = await startCluster()
    const database = await cluster.database()
    await writeFile(join(root, 'password'), await database.password(), { mode: 0o600 })
    const postgres = `postgres://${database.user}@127.0.0.1:${database.port}/${database.database}`
    const config = configOf(home, upstream, { store: { postgres, passwordFile: join(root, 'password') } })
    const vkey = await furnish(config)
    const side = await openSide(database)
    const viewOf = (schema: string) => async (): Promise<Viewing> => ({
      view: side.view(schema),
      close: async () => undefined,
    })
    let deaths = 0
    return {
      config,
      vkey,
      view: viewOf('countersign'),
      async death() {
        deaths += 1
        const schema = `left_${deaths}`
        const left = join(root, `left-${deaths}`)
        await cp(join(home, 'log'), join(left, 'log'), { recursive: true })
        await side.copy(schema)
        return {
          home: left,
          recover: () => recovered(side.store(schema)),
          view: viewOf(schema),
          end: async () => {
            await side.drop(schema)
            await rm(left, { recursive: true, force: true })
          },
        }
      },
      end: async () => {
        await side.end()
        await cluster.end()
        await rm(root, { recursive: true, force: true })
      },
    }
  },
}
