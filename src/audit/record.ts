import { createHmac, createSecretKey } from 'node:crypto'
import { canonical } from '../lib/jcs.ts'
import { commitmentOf, saltSize } from './commit.ts'
import { draw } from '../lib/random.ts'
import { maxEntry } from './hash.ts'
import { entryProblem } from './schema.ts'
import type { Recorder } from './recorder.ts'

/**
 * The recorder over the closed schema of entries: what `audit verify` would not accept is not written in the first
 * place, so that a call whose record would be no evidence is not made.
 *
 * `fingerprintKey` (at least 32 bytes) is kept by the broker. Without a key, fingerprints would let whoever reads the
 * store test guesses of the arguments.
 */
export function createRecorder({ fingerprintKey }: { readonly fingerprintKey: Uint8Array }): Recorder {
  if (fingerprintKey.length < 32) throw new RangeError('expected a fingerprint key of at least 32 bytes')
  // Bytes would be made into a key again for every fingerprint, at ten times its cost.
  const key = createSecretKey(fingerprintKey)
  return {
    encode: (entry) => {
      const problem = entryProblem(entry)
      if (problem !== null) throw new TypeError(`the entry does not fit its schema: ${problem}`)
      const bytes = Buffer.from(canonical(entry))
      if (bytes.length > maxEntry) {
        throw new RangeError(
          `expected an entry of at most ${maxEntry} bytes, found ${bytes.length}; shorten its texts`,
        )
      }
      return bytes
    },
    commit: (kind, value) => {
      const salt = draw(saltSize)
      const bytes = Buffer.from(canonical(value))
      return { commitment: commitmentOf(salt, bytes), salt, bytes, kind }
    },
    // Tool and arguments in one array: no pair of tool and arguments can be read as another pair.
    fingerprint: (tool, args) =>
      createHmac('sha256', key)
        .update(canonical([tool, args]))
        .digest('hex'),
  }
}
