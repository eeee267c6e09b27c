import { decide } from '../../store/verbs/approvals.ts'
import type { ActEntry, IntentEntry } from '../entry.ts'
import type { Answer } from '../../approval/ask.ts'
import type { AskRow, MadeCall } from '../../store/verbs/fsck.ts'
import type { Findings } from './finding.ts'

/**
 * Follows approvals (I4): each answer has its entry, each call that needed answers had enough of them before it, and
 * each approval is used up by one call. Memory grows with the asks that people answered.
 */
export class Answers {
  readonly #given = new Map<string, Set<string>>()
  /** Ask → chain of the call that used it up. */
  readonly #used = new Map<string, string>()
  readonly #findings: Findings

  constructor(findings: Findings) {
    this.#findings = findings
  }

  act({ act, subject, by }: ActEntry): void {
    if (act !== 'ask-approved' && act !== 'ask-refused') return
    const answer = act === 'ask-approved' ? 'approve' : 'refuse'
    this.#given.set(subject, (this.#given.get(subject) ?? new Set()).add(`${answer} ${by}`))
  }

  /** `owner` is whom the call's task is for, when that is known. */
  intent(index: number, entry: IntentEntry, made: MadeCall | null, owner: string | null): void {
    const { approval, call, chain } = entry
    const consumed = made?.ask ?? null
    const where = { index, call, ...(consumed === null ? {} : { name: consumed }) }
    if (consumed !== null && consumed !== approval?.ask)
      this.#findings.add(
        'approval-unrecorded',
        'the intent does not name the approval that it used up',
        where,
      )
    if (consumed !== null && this.#used.has(consumed) && chain !== call)
      this.#findings.add('approval-used-twice', 'a later leg used up what another call had', where)
    if (consumed !== null && !this.#used.has(consumed)) this.#used.set(consumed, chain)
    if (approval === null) return
    const at = { index, call, name: approval.ask }
    // A later leg may stand on what the first call of its chain used up, and on nothing else.
    if (made !== null && this.#used.get(approval.ask) !== chain)
      this.#findings.add('approval-not-consumed', 'no call of its chain used the approval up', at)
    const of = { requirement: approval.requirement, owner: owner ?? '', agent: entry.who.name }
    if (decide(of, approval.answers) !== 'approved')
      this.#findings.add('approval-insufficient', 'the answers do not amount to what was required', at)
    this.#demandRecorded(approval.ask, approval.answers, at)
  }

  /** An ask as it stands now, after the whole log was followed. */
  compare(ask: AskRow): void {
    const where = { call: ask.call, task: ask.task, name: ask.id }
    const amounts = decide(ask, ask.answers)
    const isUsed = this.#used.has(ask.id)
    if (ask.state === 'consumed' && !isUsed)
      this.#findings.add('consumed-without-intent', 'no intent used it up', where)
    if (ask.state !== 'consumed' && isUsed)
      this.#findings.add('approval-open-again', `it was used up and is \`${ask.state}\``, where)
    const expected = ask.state === 'consumed' ? 'approved' : ask.state
    if (ask.state !== 'expired' && amounts !== expected)
      this.#findings.add('ask-state-differs', `it is \`${ask.state}\`, and its answers say ${amounts}`, where)
    this.#demandRecorded(ask.id, ask.answers, where)
  }

  #demandRecorded(
    ask: string,
    answers: readonly Answer[],
    where: { readonly call: string; readonly name: string },
  ): void {
    const given = this.#given.get(ask)
    const missing = answers.filter(({ answer, by }) => given?.has(`${answer} ${by}`) !== true)
    if (missing.length > 0)
      this.#findings.add(
        'answer-unrecorded',
        `${missing.length} of ${answers.length} answers have no entry`,
        where,
      )
  }
}
