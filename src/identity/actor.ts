import { rfc3339, type Clock } from '../lib/clock.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Recorder } from '../audit/recorder.ts'

/** Who did an act, and how that was proven: `terminal`, `passphrase`, `operator-key`, `agent-key`, `broker`. */
export type Actor = { readonly name: string; readonly proof: string }

export type Act = { readonly act: string; readonly subject: string; readonly detail: JsonObject }

/** Makes the entry of an act, in its canonical bytes, for the store to write in the act's own transaction. */
export type Acts = (act: Act, by: Actor) => Uint8Array

export const createActs =
  (parts: {
    readonly recorder: Pick<Recorder, 'encode'>
    readonly clock: Clock
    readonly broker: string
  }): Acts =>
  ({ act, subject, detail }, by) =>
    parts.recorder.encode({
      v: 1,
      kind: 'act',
      at: rfc3339(parts.clock.now()),
      broker: parts.broker,
      act,
      by: by.name,
      proof: by.proof,
      subject,
      detail,
    })

/** What the broker does of itself. */
export const brokerActor: Actor = { name: 'broker', proof: 'broker' }
