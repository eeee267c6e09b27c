import { rfc3339 } from '../../lib/clock.ts'
import { isJsonObject } from '../../lib/json.ts'
import { StoreConflict } from '../conflict.ts'

/** What the log can be searched by. Copied out of the entry; the entry's bytes stay the evidence. */
export type About = {
  readonly kind: string
  readonly call: string | null
  readonly task: string | null
  readonly agent: string | null
  readonly at: number
}

/** What an entry says about itself, with the code and count of a refusal. */
export type Described = About & { readonly code: string | null; readonly count: number }

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads the columns out of an entry's canonical JSON (`audit/entry.ts`). Throws `StoreConflict` when the bytes are no
 * entry: what nobody can read must not enter a log that is kept forever.
 */
export function describe(entry: Uint8Array): Described {
  const value = parse(entry)
  if (!isJsonObject(value) || typeof value['kind'] !== 'string' || typeof value['at'] !== 'string')
    throw new StoreConflict(`expected an entry with \`kind\` and \`at\` (for example ${rfc3339(0)})`)
  const at = Date.parse(value['at'])
  if (!Number.isSafeInteger(at)) throw new StoreConflict("expected the entry's `at` as RFC 3339 in UTC")
  const who = value['who']
  const subject = stringOrNull(value['subject'])
  const count = value['count']
  return {
    kind: value['kind'],
    call: stringOrNull(value['call']),
    task: stringOrNull(value['task']) ?? (subject?.startsWith('t_') === true ? subject : null),
    agent: isJsonObject(who) ? stringOrNull(who['name']) : null,
    at,
    code: stringOrNull(value['code']),
    count: typeof count === 'number' && Number.isSafeInteger(count) && count > 0 ? count : 1,
  }
}

function parse(entry: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(entry))
  } catch {
    throw new StoreConflict('expected the canonical JSON of an entry')
  }
}

const stringOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null)
