import { createSecretKey, randomBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { ActEntry, Entry } from '../../src/audit/entry.ts'
import type { SecretStore } from '../../src/store/ports.ts'

export type LeaseRow = Parameters<SecretStore['openLease']>[0] & { closedAt: number | null }

/** The store in memory, with everything that was written to it in sight. */
export function memoryStore(): SecretStore & {
  readonly rows: Map<string, { readonly name: string; readonly sealed: Uint8Array; readonly at: number }>
  readonly entries: Uint8Array[]
  readonly leases: Map<string, LeaseRow>
} {
  const rows = new Map<string, { readonly name: string; readonly sealed: Uint8Array; readonly at: number }>()
  const entries: Uint8Array[] = []
  const leases = new Map<string, LeaseRow>()
  return {
    rows,
    entries,
    leases,
    async put(secret, entry) {
      rows.set(secret.name, secret)
      entries.push(entry)
    },
    get: async (name) => rows.get(name) ?? null,
    list: async () => [...rows.values()].map(({ name, at }) => ({ name, at })),
    async remove(name, entry) {
      entries.push(entry)
      return rows.delete(name)
    },
    async openLease(lease) {
      leases.set(lease.id, { ...lease, closedAt: null })
    },
    async closeLease(id, at) {
      const row = leases.get(id)
      if (row !== undefined && row.closedAt === null) row.closedAt = at
    },
    openLeases: async (of) =>
      [...leases.values()]
        .filter(
          (row) => row.closedAt === null && (of === undefined || !('task' in of) || row.task === of.task),
        )
        .map((row) => ({ ...row, broker: null })),
  }
}

export const plainRecorder = {
  encode: (entry: Entry): Uint8Array => new TextEncoder().encode(JSON.stringify(entry)),
}

export const entryOf = (bytes: Uint8Array | undefined): Partial<ActEntry> =>
  JSON.parse(new TextDecoder().decode(bytes ?? new Uint8Array()))

export const testKey = (): KeyObject => createSecretKey(randomBytes(32))

export const owner = { name: 'owner', proof: 'passphrase' }
