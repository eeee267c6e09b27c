import { hashSize } from './hash.ts'
import { fromBase64, isKeyName, isSignedBy, parseNote, signNote } from './note.ts'
import type { NoteKey, NoteSigner } from './note.ts'

/** The head of a log (C2SP tlog-checkpoint v1.0.0): whose it is, how many entries, and the root over all of them. */
export type Checkpoint = { readonly origin: string; readonly size: number; readonly root: Uint8Array }

/** The lines that are signed: origin, size, root. */
export const checkpointText = ({ origin, size, root }: Checkpoint): string =>
  `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`

/** Signs a head. Who calls it has shown that it only adds to what was signed before. */
export const signCheckpoint = (checkpoint: Checkpoint, signer: NoteSigner): string =>
  signNote(checkpointText(checkpoint), [signer])

export type OpenedCheckpoint =
  | { readonly ok: true; readonly checkpoint: Checkpoint }
  | { readonly ok: false; readonly problem: 'malformed' | 'other-origin' | 'not-signed' }

/**
 * Reads a signed checkpoint. With a key, it must be the log's own (its name is the origin) and its signature must
 * verify; without one only the form is checked, and the caller says so to whoever reads the result.
 */
export function openCheckpoint(text: string, key: NoteKey | null): OpenedCheckpoint {
  const note = parseNote(text)
  const checkpoint = note === null ? null : parseBody(note.text)
  if (note === null || checkpoint === null) return { ok: false, problem: 'malformed' }
  if (key === null) return { ok: true, checkpoint }
  if (key.name !== checkpoint.origin) return { ok: false, problem: 'other-origin' }
  return isSignedBy(note, key) ? { ok: true, checkpoint } : { ok: false, problem: 'not-signed' }
}

function parseBody(text: string): Checkpoint | null {
  const [origin, size, encoded] = text.split('\n')
  const root = encoded === undefined ? null : fromBase64(encoded)
  if (
    origin === undefined ||
    !isKeyName(origin) ||
    size === undefined ||
    !/^(0|[1-9][0-9]{0,15})$/.test(size)
  )
    return null
  if (root === null || root.length !== hashSize || !Number.isSafeInteger(Number(size))) return null
  return { origin, size: Number(size), root }
}
