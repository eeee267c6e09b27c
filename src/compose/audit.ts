import { join } from 'node:path'
import { exportLog } from '../audit/export.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { makeReceipt } from '../audit/receipt.ts'
import { parseIJson } from '../lib/ijson.ts'
import type { Acts } from '../identity/actor.ts'
import type { AuditPart, LoggedEntry } from '../door/operator/parts.ts'
import type { LogStore, StoredEntry } from '../store/ports.ts'

/** Reading the log, for operators. Erasing a payload is the one act here. */
export function auditPart(parts: {
  readonly log: LogStore
  readonly acts: Acts
  /** Where the log is published. */
  readonly published: string
  /** Below which copies are written; a request only names them. */
  readonly copies: string
}): AuditPart {
  const { log } = parts
  return {
    recent: async (filter) => (await log.recent(filter)).map(shown),
    entry: async (index) => {
      const [found] = await log.read(index, 1)
      return found === undefined ? null : shown(found)
    },
    call: async (id) => (await log.byCall(id)).map(shown),
    receipt: async (index) => {
      const made = await makeReceipt({ directory: parts.published, index })
      return made.ok ? made.receipt.text : null
    },
    checkpoint: () => log.checkpoint(),
    erase: async (commitment, reason, by) => {
      const entry = parts.acts({ act: 'payload-erased', subject: commitment, detail: { reason } }, by)
      return (await log.erase({ commitment }, entry)) > 0
        ? { ok: true, value: { erased: commitment } }
        : { ok: false, problem: 'not-found', message: 'no payload is kept for this commitment' }
    },
    export: async (name) => {
      const directory = join(parts.copies, name)
      const exported = await exportLog({ log, directory })
      return exported.ok
        ? { ok: true, value: { directory, size: exported.size } }
        : { ok: false, problem: 'conflict', message: exported.detail }
    },
  }
}

function shown({ index, bytes }: StoredEntry): LoggedEntry {
  const parsed = parseIJson(bytes)
  const entry: JsonObject = parsed.ok && isJsonObject(parsed.value) ? parsed.value : { unreadable: true }
  return { index, entry }
}
