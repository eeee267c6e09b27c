import { isUtf8 } from 'node:buffer'
import { canonical } from '../lib/jcs.ts'
import { isJsonObject } from '../lib/json.ts'
import { parseIJson } from '../lib/ijson.ts'
import { maxEntry } from './hash.ts'
import { Seen } from './seen.ts'
import { entryProblem, isEntryKind } from './schema.ts'
import type { EntryKind } from './schema.ts'
import type { Json, JsonObject } from '../lib/json.ts'

/** What a log says, added up. `open`: intents without an outcome, such as those of calls that run now. */
export type Counts = { readonly [kind in EntryKind]: number } & {
  readonly open: number
  /** Entries whose time lies before that of their predecessor: clocks jump, so this is a note and no fault. */
  readonly backwards: number
}

/** What an entry cannot be, by stable code; `audit fsck` gives the same ones. */
export type MeaningCode =
  | 'entry-unreadable'
  | 'entry-not-canonical'
  | 'entry-off-schema'
  | 'second-intent'
  | 'second-outcome'
  | 'outcome-without-intent'
  | 'outcome-of-another-task'
  | 'leg-without-first'
  | 'approval-used-twice'
  | 'approval-insufficient'

export type MeaningProblem = {
  readonly code: MeaningCode
  readonly call: string | null
  readonly problem: string
  readonly hint: string
}

type Wrong = Pick<MeaningProblem, 'code' | 'problem'>

const limits = { bytes: maxEntry, depth: 64 } as const

/** Open intents that a report can name; the number is always exact. */
const named = 100

const forged =
  'compare with another copy of the log; somebody may have written to the store around the broker'
const bug = 'report it with this entry; the broker that wrote it did not follow its own rules'

/**
 * Reads entries in order and tells what cannot be true of a log that the path wrote (I1, I2, I4): a second intent of a
 * call, an outcome without its intent, an approval used twice. Memory grows with the open intents, and by some bytes
 * for each call.
 */
export class Meaning {
  readonly #open = new Map<string, { readonly index: number; readonly task: string }>()
  readonly #calls = new Seen()
  readonly #asks = new Seen()
  readonly #counts: { [kind in EntryKind]: number } = { refused: 0, intent: 0, outcome: 0, act: 0 }
  #backwards = 0
  #last = ''

  counts(): Counts {
    return { ...this.#counts, open: this.#open.size, backwards: this.#backwards }
  }

  /** The oldest open intents, a hundred at most. */
  open(): readonly { readonly index: number; readonly call: string }[] {
    return [...this.#open].slice(0, named).map(([call, { index }]) => ({ index, call }))
  }

  /** Takes the next entry's bytes. Never throws: bytes are anybody's. */
  take(index: number, bytes: Uint8Array): MeaningProblem | null {
    // Decoded once; an invalid sequence gives another text than the bytes, and strict reading of the bytes says so.
    const text = isUtf8(bytes) ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString() : null
    const parsed = parseIJson(text ?? bytes, limits)
    if (!parsed.ok) {
      const problem = `expected strict JSON: ${parsed.problem} at ${parsed.at}`
      return { code: 'entry-unreadable', call: null, problem, hint: forged }
    }
    const entry = parsed.value
    const call = callOf(entry)
    // Two texts for one entry would have two hashes, and one of them could be hidden.
    if (canonical(entry) !== text) {
      const code = 'entry-not-canonical'
      return { code, call, problem: 'expected canonical JSON (RFC 8785)', hint: forged }
    }
    const problem = entryProblem(entry)
    if (problem !== null || !isJsonObject(entry)) {
      const words = `does not fit the schema: ${problem ?? 'expected an object'}`
      return { code: 'entry-off-schema', call, problem: words, hint: bug }
    }
    const wrong = this.#follow(index, entry)
    return wrong === null ? null : { ...wrong, call, hint: forged }
  }

  #follow(index: number, entry: JsonObject): Wrong | null {
    const kind = entry['kind']
    const at = textOf(entry['at'])
    if (at < this.#last) this.#backwards++
    this.#last = at
    if (!isEntryKind(kind)) return { code: 'entry-off-schema', problem: 'has no kind' }
    this.#counts[kind]++
    if (kind === 'intent') return this.#intent(index, entry)
    return kind === 'outcome' ? this.#outcome(entry) : null
  }

  #intent(index: number, entry: JsonObject): Wrong | null {
    const call = textOf(entry['call'])
    const chain = textOf(entry['chain'])
    if (!this.#calls.add(call)) return { code: 'second-intent', problem: 'a second intent of the same call' }
    this.#open.set(call, { index, task: textOf(entry['task']) })
    if (chain !== call) {
      const problem = 'a later leg of a chain whose first call has no intent'
      return this.#calls.has(chain) ? null : { code: 'leg-without-first', problem }
    }
    const approval = entry['approval'] ?? null
    if (!isJsonObject(approval)) return null
    // Later legs of a chain stand on the approval of the first, so only that one uses it up.
    if (!this.#asks.add(textOf(approval['ask'])))
      return { code: 'approval-used-twice', problem: 'uses an approval that another call has used up' }
    const problem = approvalProblem(approval)
    return problem === null ? null : { code: 'approval-insufficient', problem }
  }

  #outcome(entry: JsonObject): Wrong | null {
    const call = textOf(entry['call'])
    const intent = this.#open.get(call)
    if (intent === undefined) {
      return this.#calls.has(call)
        ? { code: 'second-outcome', problem: 'a second outcome of the same call' }
        : { code: 'outcome-without-intent', problem: 'an outcome without an intent before it' }
    }
    this.#open.delete(call)
    return intent.task === entry['task']
      ? null
      : { code: 'outcome-of-another-task', problem: 'an outcome under another task than its intent' }
  }
}

const proofs = ['terminal', 'passphrase', 'passkey']

/** Whether the answers in the entry amount to what it says was required (I4). The schema has been checked before. */
function approvalProblem(approval: JsonObject): string | null {
  const { answers = null, requirement = null } = approval
  if (!Array.isArray(answers) || !isJsonObject(requirement)) return 'has an approval without answers'
  const least = proofs.indexOf(textOf(requirement['proof']))
  const people = new Set<string>()
  for (const answer of answers.filter(isJsonObject)) {
    if (answer['answer'] === 'refuse') return 'was approved though a person refused it'
    if (proofs.indexOf(textOf(answer['proof'])) >= least) people.add(textOf(answer['by']))
  }
  return people.size >= Number(requirement['count']) ? null : 'has fewer approvals than it says were required'
}

const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '')

/** The call that bytes speak of, when they can be read at all. For naming what was tampered with. */
export function callIn(bytes: Uint8Array): string | null {
  const parsed = parseIJson(bytes, limits)
  if (parsed.ok) return callOf(parsed.value)
  // Damaged JSON may still hold the id. It is printed, so it must look like one.
  return /"call":"(c_[0-9A-Za-z]{22})"/.exec(Buffer.from(bytes).toString('latin1'))?.[1] ?? null
}

function callOf(entry: Json): string | null {
  const call = isJsonObject(entry) ? entry['call'] : undefined
  return typeof call === 'string' && /^[\w-]{1,64}$/.test(call) ? call : null
}
