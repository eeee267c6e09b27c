import type { KeyObject } from 'node:crypto'
import type { Recorder } from '../audit/recorder.ts'
import { nameSchema } from '../config/schema.ts'
import { rfc3339 } from '../lib/clock.ts'
import type { Clock } from '../lib/clock.ts'
import type { JsonObject } from '../lib/json.ts'
import type { SecretStore } from '../store/ports.ts'
import type { Secret } from './lease.ts'
import { sealValue, unsealValue } from './seal.ts'
import { secretOf } from './secret.ts'

/** Largest secret taken, in bytes of UTF-8: a key file fits, a mistaken file does not. */
const maxBytes = 64 * 1024

/** Who does it and how that was proven, for the entry. */
export type Actor = { readonly name: string; readonly proof: string }

export type VaultResult =
  { readonly ok: true; readonly replaced: boolean } | { readonly ok: false; readonly detail: string }

/** The sealed store. Entries hold names only. */
export type Vault = {
  set(name: string, value: Secret, by: Actor): Promise<VaultResult>
  /** False when there was none. */
  remove(name: string, by: Actor): Promise<boolean>
  list(): Promise<readonly { readonly name: string; readonly at: number }[]>
  /** For the lender alone: nothing else may open a secret. */
  reveal(name: string): Promise<Secret | VaultProblem>
}

export type VaultProblem = { readonly problem: 'missing' | 'unreadable'; readonly detail: string }

export function createVault(parts: {
  readonly store: Pick<SecretStore, 'put' | 'get' | 'list' | 'remove'>
  readonly key: KeyObject
  readonly recorder: Pick<Recorder, 'encode'>
  readonly broker: string
  readonly clock: Clock
}): Vault {
  const { store, key, recorder, broker, clock } = parts
  const entry = (act: string, name: string, by: Actor, detail: JsonObject): Uint8Array =>
    recorder.encode({
      v: 1,
      at: rfc3339(clock.now()),
      broker,
      kind: 'act',
      act,
      by: by.name,
      proof: by.proof,
      subject: name,
      detail,
    })

  return {
    async set(name, value, by) {
      const named = nameSchema.safeParse(name)
      if (!named.success)
        return {
          ok: false,
          detail: `\`${name}\` cannot be a secret's name: ${named.error.issues[0]?.message ?? ''}`,
        }
      const bytes = Buffer.from(value.reveal(), 'utf8')
      if (bytes.length === 0 || bytes.length > maxBytes) {
        return { ok: false, detail: `expected a secret of 1 to ${maxBytes} bytes; got ${bytes.length}` }
      }
      const replaced = (await store.get(name)) !== null
      const sealed = sealValue(key, name, bytes)
      bytes.fill(0)
      await store.put({ name, sealed, at: clock.now() }, entry('secret-set', name, by, { replaced }))
      return { ok: true, replaced }
    },
    async remove(name, by) {
      if ((await store.get(name)) === null) return false
      return store.remove(name, entry('secret-removed', name, by, {}))
    },
    list: () => store.list(),
    async reveal(name) {
      const row = await store.get(name)
      if (row === null)
        return { problem: 'missing', detail: `the secret \`${name}\` is not in the sealed store` }
      const opened = unsealValue(key, name, row.sealed)
      if (!opened.ok)
        return { problem: 'unreadable', detail: `the secret \`${name}\` does not open: ${opened.detail}` }
      return secretOf(Buffer.from(opened.bytes).toString('utf8'))
    },
  }
}
