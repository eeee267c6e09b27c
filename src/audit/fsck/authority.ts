import type { ActEntry } from '../entry.ts'
import type { Authority } from '../../store/verbs/fsck.ts'
import type { Findings } from './finding.ts'

/** Follows who was let in, what was reviewed and what was revoked: authority in the store that no act gave is forged. */
export class Given {
  readonly #agents = new Map<string, 'active' | 'revoked'>()
  readonly #revoked = new Set<string>()
  readonly #reviewed = new Set<string>()
  readonly #findings: Findings

  constructor(findings: Findings) {
    this.#findings = findings
  }

  act({ act, subject, detail }: ActEntry): void {
    switch (act) {
      case 'agent-added':
        return void this.#agents.set(subject, 'active')
      case 'agent-revoked':
        return void this.#agents.set(subject, 'revoked')
      case 'revoked':
        return void this.#revoked.add(subject)
      case 'revocation-lifted':
        return void this.#revoked.delete(subject)
      case 'tool-reviewed':
        return void this.#reviewed.add(`${String(detail['digest'])} ${subject}`)
    }
  }

  compare({ agents, revocations, reviewed }: Authority): void {
    for (const { name, state } of agents) {
      const told = this.#agents.get(name)
      if (told === undefined) this.#findings.add('agent-unrecorded', 'no act added it', { name })
      else if (told === 'revoked' && state !== 'revoked')
        this.#findings.add('agent-revived', `it is \`${state}\``, { name })
    }
    for (const name of revocations)
      if (!this.#revoked.delete(name))
        this.#findings.add('revocation-unrecorded', 'no act revoked it', { name })
    for (const name of this.#revoked)
      this.#findings.add('revocation-lost', 'the store does not hold it', { name })
    for (const { id, digest } of reviewed)
      if (!this.#reviewed.has(`${digest} ${id.slice(0, longestSubject)}`))
        this.#findings.add('review-unrecorded', `no act reviewed \`${digest ?? 'it'}\``, { name: id })
  }
}

/** Of a tool's id as an act names it (`registry/acts.ts`). */
const longestSubject = 2300
