import { checkPayload } from '../commit.ts'
import { countPayloads, payloads, payloadsAtOnce } from '../../store/verbs/fsck.ts'
import type { ActEntry, Entry, Payload } from '../entry.ts'
import type { Findings } from './finding.ts'
import type { Verb } from '../../store/query.ts'

type Committed = {
  readonly commitment: string
  readonly kind: Payload['kind']
  readonly index: number
  readonly call: string
  readonly at: number
  /** Arguments of a refused call may not have been kept in the first place. */
  readonly refused: boolean
}

/**
 * Holds payloads to the entries that commit to them: what is kept is what was committed to, what is gone was erased with
 * an entry, and nothing is kept besides. Acts come first, as an erasure stands behind what it erased.
 */
export class Kept {
  readonly #erased = new Set<string>()
  #olderThan = -Infinity
  #waiting: Committed[] = []
  #found = 0
  readonly #findings: Findings

  constructor(findings: Findings) {
    this.#findings = findings
  }

  act({ act, subject, detail }: ActEntry): void {
    if (act === 'payload-erased') this.#erased.add(subject)
    if (act === 'payloads-erased' && typeof detail['olderThan'] === 'string')
      this.#olderThan = Math.max(this.#olderThan, Date.parse(detail['olderThan']))
  }

  *entry(index: number, entry: Entry): Verb<void> {
    if (entry.kind === 'act') return
    const commitment = entry.kind === 'outcome' ? entry.result : entry.arguments
    if (commitment === null) return
    const kind = entry.kind === 'outcome' ? 'result' : 'arguments'
    const at = Date.parse(entry.at)
    this.#waiting.push({ commitment, kind, index, call: entry.call, at, refused: entry.kind === 'refused' })
    if (this.#waiting.length >= payloadsAtOnce) yield* this.#look()
  }

  *end(): Verb<void> {
    yield* this.#look()
    const all = yield* countPayloads()
    if (all !== this.#found)
      this.#findings.add('payload-unknown', `${all} are kept, and entries commit to ${this.#found} of them`)
  }

  *#look(): Verb<void> {
    const waiting = this.#waiting
    this.#waiting = []
    const found = new Map(
      (yield* payloads(waiting.map(({ commitment }) => commitment))).map((one) => [one.commitment, one]),
    )
    this.#found += found.size
    for (const { commitment, kind, index, call, at, refused } of waiting) {
      const kept = found.get(commitment)
      const where = { index, call, name: commitment }
      if (kept !== undefined) {
        const same =
          checkPayload(commitment, kept.salt, kept.bytes) && kept.kind === kind && kept.call === call
        if (!same) this.#findings.add('payload-differs', `the ${kind} that are kept are others`, where)
      } else if (!refused && at >= this.#olderThan && !this.#erased.has(commitment)) {
        this.#findings.add('payload-missing', `the ${kind} are not kept`, where)
      }
    }
  }
}
