import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { configSchema, type Config } from '../../src/config/schema.ts'
import { createServer, type AddressInfo } from 'node:net'
import { database, reach } from '../../src/cli/doctor/database.ts'
import { join } from 'node:path'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { openPostgres } from '../../src/store/postgres.ts'
import { schema } from '../../src/cli/doctor/store.ts'
import { startCluster, type Cluster, type DatabaseAddress } from '../postgres.ts'
import { tmpdir } from 'node:os'
import type { Check } from '../../src/cli/doctor/check.ts'
import type { Look } from '../../src/cli/doctor/look.ts'
import type { Row } from '../../src/store/query.ts'

/** What the doctor says of a PostgreSQL that is not as a broker needs it. */

let cluster: Cluster
let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-doctor-'))
  cluster = await startCluster()
})
after(async () => {
  await cluster.end()
  await rm(folder, { recursive: true, force: true })
})

const passwordFile = async (password: string): Promise<string> => {
  const path = join(folder, `password-${password.length}`)
  await writeFile(path, `${password}\n`, { mode: 0o600 })
  return path
}

async function configOf(
  at: Pick<DatabaseAddress, 'port' | 'user' | 'database' | 'password'>,
  more: object = {},
): Promise<Config> {
  return configSchema.parse({
    home: folder,
    store: {
      postgres: `postgres://${at.user}@127.0.0.1:${at.port}/${at.database}`,
      passwordFile: await passwordFile(await at.password()),
      ...more,
    },
  })
}

const shows = (check: Check | undefined | null, state: Check['state'], detail: RegExp, hint = /^$/): void => {
  assert.ok(check, 'expected a check')
  const said = `${check.state} ${check.what}: ${check.detail} | ${check.hint}`
  assert.equal(check.state, state, said)
  assert.match(check.detail, detail, said)
  assert.match(check.hint, hint, said)
}

async function looking<Result>(config: Config, see: (look: Look) => Promise<Result>): Promise<Result> {
  const { look, check } = await reach(config)
  assert.ok(look, check?.detail)
  try {
    return await see(look)
  } finally {
    await look.close()
  }
}

const about = (checks: readonly Check[], what: string): Check | undefined =>
  checks.find((check) => check.what === what)

describe('a database that cannot be reached', () => {
  test('nothing listens there', async () => {
    const closed = createServer()
    const port = await new Promise<number>((done) =>
      closed.listen(0, '127.0.0.1', () => done((closed.address() as AddressInfo | null)?.port ?? 0)),
    )
    await new Promise((done) => closed.close(done))
    const at = { port, user: 'u', database: 'd', password: async () => 'x' }
    shows(
      (await reach(await configOf(at))).check,
      'bad',
      /^u@127\.0\.0\.1:\d+\/d: nothing listens/,
      /start PostgreSQL/,
    )
  })

  test('it does not take the password, and the password is not shown', async () => {
    const at = await cluster.database()
    const { check } = await reach(await configOf({ ...at, password: async () => 'wrong one' }))
    shows(check, 'bad', /does not take the password/, /passwordFile/)
    assert.doesNotMatch(JSON.stringify(check), /wrong one/)
  })

  test('it has no such database', async () => {
    const at = await cluster.database()
    shows(
      (await reach(await configOf({ ...at, database: 'none' }))).check,
      'bad',
      /no such database/,
      /createdb/,
    )
  })

  test('a password file that others can read is not used', async () => {
    const at = await cluster.database()
    const loose = join(folder, 'loose')
    await writeFile(loose, await at.password(), { mode: 0o644 })
    const { check } = await reach(await configOf(at, { passwordFile: loose }))
    shows(check, 'bad', /can be read by others/, /./)
  })

  test('an authority is named and it speaks no TLS', async () => {
    const at = await cluster.database()
    const ca = join(folder, 'ca.crt')
    await writeFile(ca, '')
    shows((await reach(await configOf(at, { ca }))).check, 'bad', /no TLS/, /ssl = on/)
    shows(
      (await reach(await configOf(at, { ca: join(folder, 'none') }))).check,
      'bad',
      /not there/,
      /`store`/,
    )
  })
})

describe('a database that is reached', () => {
  test('an empty one, then one that a broker has prepared', async () => {
    const at = await cluster.database()
    const config = await configOf(at)
    shows(await looking(config, (look) => schema(look)), 'warning', /none yet/, /countersign serve/)
    const store = await openPostgres({ database: at })
    await store.close()
    shows(await looking(config, (look) => schema(look)), 'ok', /^version \d+$/)
    await cluster.admin(at, "update countersign.migrations set checksum = 'x' where version = 1")
    shows(await looking(config, (look) => schema(look)), 'bad', /different program/, /that wrote it/)
  })

  test('what a node needs of it', async () => {
    const at = await cluster.database()
    const config = await configOf(at, { maxConnections: 90 })
    assert.ok(config.store)
    const { store } = config
    const checks = await looking(config, (look) => database(look, store))
    shows(about(checks, 'database'), 'ok', /version 18/)
    shows(about(checks, 'durable'), 'warning', /superuser/, /owns this database/)
    shows(about(checks, 'connections'), 'ok', /of 100 in use, 90 for this node/)
    shows(about(checks, "database's clock"), 'ok', /\d ms (?:behind|ahead of) this clock/)
    const many = { ...store, maxConnections: 500 }
    shows(
      about(await looking(config, (look) => database(look, many)), 'connections'),
      'warning',
      /500 for this node/,
      /max_connections/,
    )
  })

  test('the look cannot change anything', async () => {
    const config = await configOf(await cluster.database())
    await assert.rejects(
      looking(config, (look) =>
        look.view(
          (function* () {
            yield { sql: 'create table x (y int)', params: [] }
          })(),
        ),
      ),
      /read-only/,
    )
  })
})

describe('a database that does not keep what it was told', () => {
  const good = {
    version: '18.0',
    encrypted: 0,
    standby: 0,
    creates: 1,
    superuser: 0,
    synced: 'on on',
    most: 100,
    used: 3,
  }
  const told = (facts: Row, clock: () => number): Look => ({
    engine: 'postgres',
    view: async (verb) => {
      let step = verb.next([])
      while (step.done !== true) {
        const isTime = 'sql' in step.value && step.value.sql.includes('clock_timestamp')
        step = verb.next([isTime ? { at: Math.round(clock()) } : facts])
      }
      return step.value
    },
    close: async () => undefined,
  })
  const { store } = configSchema.parse({ store: { postgres: 'postgres://u@127.0.0.1/d' } })
  const far = configSchema.parse({ store: { postgres: 'postgres://u@db.example.com/d' } }).store
  const of = async (facts: object, clock = () => Date.now(), where = store): Promise<readonly Check[]> => {
    assert.ok(where)
    return database(told({ ...good, ...facts }, clock), where)
  }

  test('a good one is good', async () => {
    assert.deepEqual(
      (await of({})).map(({ state }) => state),
      ['ok', 'ok', 'ok', 'ok'],
    )
  })
  test('fsync or synchronous_commit is off', async () => {
    shows(about(await of({ synced: 'off on' }), 'durable'), 'bad', /can be lost/, /fsync = on/)
    shows(about(await of({ synced: 'on off' }), 'durable'), 'bad', /can be lost/, /synchronous_commit = on/)
  })
  test('a standby, an old version, a user without rights', async () => {
    shows(about(await of({ standby: 1 }), 'durable'), 'bad', /standby/, /primary/)
    shows(about(await of({ version: '15.4' }), 'database'), 'bad', /15\.4/, /16 or later/)
    shows(about(await of({ creates: 0 }), 'durable'), 'warning', /may not make tables/, /owner to/)
  })
  test('its clock is another', async () => {
    shows(
      about(await of({}, () => Date.now() - 20_000), "database's clock"),
      'bad',
      /ms behind this clock/,
      /set-ntp/,
    )
    shows(about(await of({}, () => Date.now() + 2_000), "database's clock"), 'warning', /ahead of/, /set-ntp/)
  })
  test('it is elsewhere, and what is sent can be read on the way', async () => {
    shows(about(await of({}, undefined, far), 'database'), 'bad', /can be read on the way/, /certificate/)
    shows(about(await of({ encrypted: 1 }, undefined, far), 'database'), 'ok', /TLS/)
  })
})
