import type { Entry, Payload } from './entry.ts'
import type { JsonObject } from '../lib/json.ts'

/** Makes entries and commitments in their canonical form. Pure but for the random salts. */
export type Recorder = {
  /** Canonical bytes (RFC 8785). Throws when the entry would not fit into a C2SP entry (65,535 bytes). */
  encode(entry: Entry): Uint8Array
  /** Commits to a payload: salt, canonical bytes and `sha256:` digest over salt ‖ bytes. */
  commit(kind: Payload['kind'], value: JsonObject): Payload
  /** Keyed digest by which equal calls are recognised without keeping their arguments (I2). */
  fingerprint(tool: string, args: JsonObject): string
}
