import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import type { Acts } from '../../src/identity/actor.ts'
import type { Agent, TaskTemplate } from '../../src/identity/caller.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import type { PublicKey } from '../../src/identity/key.ts'

/** A folder that is gone when the file's tests are over. */
export async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-'))
  after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A clock that tests move. */
export function movableClock(start = Date.parse('2026-03-01T12:00:00Z')) {
  const state = { now: start }
  return {
    now: () => state.now,
    move: (ms: number) => void (state.now += ms),
    set: (ms: number) => void (state.now = ms),
  }
}

export const template: TaskTemplate = {
  purposeClass: 'general',
  environment: 'development',
  tools: ['*'],
  budget: { calls: 100, effects: { write: 10 } },
  lifetimeMs: 3_600_000,
  idleMs: 600_000,
}

export const agentWith = (publicKey: PublicKey, more: Partial<Agent> = {}): Agent => ({
  name: 'coder',
  owner: 'owner',
  publicKey,
  state: 'active',
  createdAt: 0,
  template,
  ...more,
})

/** Acts as readable JSON, for stores that only keep them. */
export const plainActs: Acts = (act, by) =>
  new TextEncoder().encode(JSON.stringify({ kind: 'act', ...act, by: by.name, proof: by.proof }))

/** A setting store of its own. */
export function settings() {
  const kept = new Map<string, JsonObject>()
  const entries: string[] = []
  return {
    entries,
    get: (name: string) => Promise.resolve(kept.get(name) ?? null),
    put: (name: string, value: JsonObject, entry: Uint8Array | null) => {
      kept.set(name, value)
      if (entry !== null) entries.push(new TextDecoder().decode(entry))
      return Promise.resolve()
    },
  }
}

/** Stands for scrypt where not the hashing but the gate is tested: one guess in 0.3 s is slow for tests, too. */
export const quickPassphrases = {
  verifier: (passphrase: string) =>
    Promise.resolve({ quick: createHash('sha256').update(passphrase).digest('hex') }),
  matches: (passphrase: string, verifier: JsonObject) =>
    Promise.resolve(verifier['quick'] === createHash('sha256').update(passphrase).digest('hex')),
}
