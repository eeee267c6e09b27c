import { cp, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { createPublisher } from '../../src/audit/publish.ts'
import { loadSigningKey, newSigningKey } from '../../src/audit/note.ts'
import type { MemoryLog } from './samples.ts'
import type { Publisher } from '../../src/audit/publish.ts'

export const origin = 'broker.example/log'

/** A folder of its own for a test, gone with it. */
export async function scratch(test: { after(clean: () => Promise<void>): void }): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'audit-'))
  test.after(() => rm(directory, { recursive: true, force: true }))
  return directory
}

export function publisherOf(log: MemoryLog, directory: string, key = newSigningKey()): Publisher {
  const clock = { now: () => 1_800_000_000_000 }
  return createPublisher({ log, directory, key: loadSigningKey(key), origin, everyMs: 50, clock })
}

export async function copyOf(directory: string, test: Parameters<typeof scratch>[0]): Promise<string> {
  const copy = await scratch(test)
  await cp(directory, copy, { recursive: true })
  return copy
}
