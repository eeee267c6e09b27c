/** Where a finding is. `name` is whatever else has one: an ask, a lease, a payload, an agent, a tool, a revocation. */
export type Where = {
  /** Of the entry, counted from 0. */
  readonly index?: number
  readonly call?: string
  readonly task?: string
  readonly name?: string
}

export type Finding = Where & {
  readonly code: FindingCode
  /** In words, for people: what was expected and what is there. Names and numbers only, never payloads. */
  readonly what: string
  /** What to do about it. */
  readonly hint: string
}

type Kind = { readonly means: string; readonly todo: string }

const around =
  'somebody or something wrote to the store around the broker: stop it, compare store and log with a backup, and do not rely on what this concerns until it is explained'
const bug =
  'the broker did not follow its own rules: keep store and log as they are and report it with this finding'
const disk = 'check the disk, then restore the store from a backup; the published log says what was there'
const copy = 'compare the folder with a copy of the log that was kept elsewhere: countersign audit verify DIR'

/** Every code that `audit fsck` can find. Stable: add, never change. `docs/reference/findings.md` is made from it. */
export const findingKinds = {
  'log-gap': { means: 'an entry is missing from the log', todo: disk },
  'leaf-differs': { means: 'an entry is not the one that was hashed when it was written', todo: disk },
  'entry-unreadable': { means: 'an entry is no strict JSON', todo: around },
  'entry-not-canonical': { means: 'an entry is not in its canonical form (RFC 8785)', todo: around },
  'entry-off-schema': { means: 'an entry does not fit the schema of entries', todo: bug },
  'column-differs': {
    means: 'the store finds an entry under another call, task or kind than it is of',
    todo: around,
  },
  'checkpoint-unreadable': { means: "the newest checkpoint in the store is not the log's own", todo: around },
  'checkpoint-ahead': { means: 'more entries were signed than the store holds', todo: disk },
  'checkpoint-differs': { means: 'the entries are not those that were signed', todo: around },
  'published-ahead': { means: 'more entries were published than the store holds', todo: disk },
  'published-differs': { means: 'the published log is not that of the store', todo: copy },
  'published-unsound': { means: 'the published files do not verify', todo: copy },

  'second-intent': { means: 'a call was intended twice', todo: around },
  'second-outcome': { means: 'a call ended twice', todo: around },
  'outcome-without-intent': { means: 'a call ended that was never intended', todo: around },
  'outcome-of-another-task': {
    means: 'a call ended under another task than it was intended under',
    todo: around,
  },
  'leg-without-first': { means: 'a later leg of a chain whose first call was not intended', todo: around },
  'intent-without-call': { means: 'an intent is in the log and the store knows no such call', todo: around },
  'call-without-intent': { means: 'the store knows a call whose intent is not in the log', todo: around },
  'call-differs': { means: 'the store knows a call otherwise than its intent says', todo: around },
  'outcome-not-settled': {
    means: 'an outcome is in the log and the store has another, or none',
    todo: around,
  },
  'settled-without-outcome': { means: 'the store has an outcome that is not in the log', todo: around },
  'unknown-forgotten': {
    means: 'a write of unknown outcome is no longer remembered, so it could be sent again unasked',
    todo: around,
  },

  'approval-used-twice': { means: 'one approval was used by two calls', todo: around },
  'approval-insufficient': { means: 'a call was approved by fewer answers than were required', todo: around },
  'approval-not-consumed': { means: 'a call stands on an approval that it did not use up', todo: around },
  'approval-unrecorded': { means: 'a call used an approval up that its intent does not name', todo: around },
  'approval-open-again': { means: 'an approval that was used could be used again', todo: around },
  'consumed-without-intent': { means: 'an approval was used up by no call', todo: around },
  'answer-unrecorded': {
    means: "a person's answer has no entry before the call that stands on it",
    todo: around,
  },
  'ask-state-differs': { means: 'the state of an ask is not what its answers amount to', todo: around },

  'task-unrecorded': { means: 'a task was opened without an entry', todo: around },
  'task-lost': { means: 'a task that was opened is gone from the store', todo: disk },
  'task-differs': { means: 'a task is otherwise than it was opened, narrowed or closed', todo: around },
  'intent-without-task': { means: 'a call was made under a task that was never opened', todo: around },
  'intent-after-close': { means: 'a call was made after its task was closed', todo: bug },
  'intent-after-end': { means: 'a call was made after the end of its task', todo: bug },
  'budget-overspent': { means: 'a task made more calls than its budget allowed', todo: bug },
  'usage-differs': { means: 'what a task has used is not the number of its intents', todo: around },
  'history-differs': { means: 'what a task remembers is not what it did', todo: around },
  'in-flight-differs': { means: 'a task counts other calls in flight than there are', todo: around },
  'labels-fell': {
    means: 'the labels of a task are below what it has read, and no person lowered them',
    todo: around,
  },

  'payload-differs': { means: 'a payload is not the one that its entry commits to', todo: around },
  'payload-missing': { means: 'a payload is gone and no entry says that it was erased', todo: around },
  'payload-unknown': { means: 'a payload is kept that no entry commits to', todo: around },
  'lease-of-closed-task': {
    means: 'a credential is still lent to a task that has ended',
    todo: 'start the broker: it takes the lease back within seconds; if this stays, rotate the credential and report it',
  },
  'revocation-lost': { means: 'something was revoked and the store does not hold it', todo: around },
  'revocation-unrecorded': { means: 'the store holds a revocation that has no entry', todo: around },
  'agent-unrecorded': { means: 'an agent was added without an entry', todo: around },
  'agent-revived': { means: 'an agent that was revoked is active', todo: around },
  'review-unrecorded': {
    means: 'a tool is reviewed and no entry says who reviewed this definition',
    todo: around,
  },
} as const satisfies { readonly [code: string]: Kind }

export type FindingCode = keyof typeof findingKinds

/** So many findings are shown; the number of each code is always exact. */
const mostShown = 200

/** Collects findings. Bounded: one damaged page can give as many findings as the log has entries. */
export class Findings {
  readonly #shown: Finding[] = []
  readonly #counts = new Map<FindingCode, number>()
  readonly #last = new Map<FindingCode, number>()

  /** One of a code for each entry: what the log shows by itself is seen again when the store is compared. */
  add(code: FindingCode, what: string, where: Where = {}): void {
    const { index } = where
    if (index !== undefined && this.#last.get(code) === index) return
    if (index !== undefined) this.#last.set(code, index)
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1)
    if (this.#shown.length < mostShown)
      this.#shown.push({ code, ...where, what, hint: findingKinds[code].todo })
  }

  shown(): readonly Finding[] {
    return this.#shown
  }

  counts(): { readonly [code: string]: number } {
    return Object.fromEntries(this.#counts)
  }
}
