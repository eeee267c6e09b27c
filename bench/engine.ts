import { startCluster } from '../test/postgres.ts'
import { writeFile, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import type { StoreConfig } from './world.ts'

export const engines = ['sqlite', 'postgres'] as const
export type EngineName = (typeof engines)[number]

/** Where a broker of the run keeps its store; a fresh one for each. */
export type Engine = {
  /** What stands under `store` in a broker's configuration; null for the file below its home. */
  store(): Promise<StoreConfig | null>
  end(): Promise<void>
}

/** `postgres` is a real PostgreSQL of the run's own on this machine, with everything on that makes it durable. */
export async function startEngine(name: EngineName): Promise<Engine> {
  if (name === 'sqlite') return { store: async () => null, end: async () => undefined }
  const cluster = await startCluster()
  const folder = await mkdtemp(join(tmpdir(), 'countersign-bench-'))
  const passwordFile = join(folder, 'password')
  return {
    async store() {
      const { host, port, user, database, password } = await cluster.database()
      await writeFile(passwordFile, await password(), { mode: 0o600 })
      return { postgres: `postgres://${user}@${host}:${port}/${database}`, passwordFile }
    },
    async end() {
      await cluster.end()
      await rm(folder, { recursive: true })
    },
  }
}
