import type { Fact } from './fact.ts'
import { factsKeptMs } from './fact.ts'
import type { Past } from './measure.ts'

/** So many calls of one person are kept in memory; a window that reaches further back is beyond counting. */
export const mostFacts = 32_768

const contactKinds = ['recipient', 'account', 'url'] as const

/** One person's calls as a node knows them, oldest first, with what makes "for the first time" quick to tell. */
export class PastTable implements Past {
  #facts: Fact[] = []
  #since = Number.NEGATIVE_INFINITY
  readonly #contacts = new Map<string, number>()
  readonly #used = new Map<string, number>()
  /** By agent, and by first task of the line, so that counting over one does not look at all. */
  readonly #some = new Map<string, Fact[]>()

  get facts(): readonly Fact[] {
    return this.#facts
  }

  /** From here on nothing is missing. */
  get since(): number {
    return this.#since
  }

  /** Calls before this time were left out when it was loaded. */
  forgetBefore(at: number): void {
    this.#since = Math.max(this.#since, at)
  }

  some(by: 'agent' | 'line', fact: Fact): readonly Fact[] {
    return this.#some.get(by === 'agent' ? agentOf(fact) : lineOf(fact)) ?? []
  }

  add(fact: Fact): void {
    this.#facts.push(fact)
    for (const key of [agentOf(fact), lineOf(fact)]) {
      const some = this.#some.get(key)
      if (some === undefined) this.#some.set(key, [fact])
      else some.push(fact)
    }
    for (const kind of contactKinds) for (const key of fact.keys[kind] ?? []) this.#contacts.set(key, fact.at)
    this.#used.set(useOf(fact), fact.at)
    if (this.#facts.length <= mostFacts) return
    // In one go, or every call would move them all.
    const gone = this.#facts.splice(0, mostFacts / 4)
    this.#since = Math.max(this.#since, (gone.at(-1)?.at ?? 0) + 1)
    for (const [key, some] of this.#some) {
      const left = some.filter(({ at }) => at >= this.#since)
      if (left.length === 0) this.#some.delete(key)
      else this.#some.set(key, left)
    }
    for (const index of [this.#contacts, this.#used])
      for (const [key, at] of index) if (at < fact.at - factsKeptMs) index.delete(key)
  }

  /** How many of the call's recipients, accounts and sites this person's agents have not reached in 31 days. */
  strangers(fact: Fact): readonly string[] {
    const from = fact.at - factsKeptMs
    const keys = contactKinds.flatMap((kind) => fact.keys[kind] ?? [])
    return [...new Set(keys)].filter((key) => (this.#contacts.get(key) ?? Number.NEGATIVE_INFINITY) < from)
  }

  isFirstUse(fact: Fact): boolean {
    return (this.#used.get(useOf(fact)) ?? Number.NEGATIVE_INFINITY) < fact.at - factsKeptMs
  }
}

const agentOf = ({ agent }: Fact): string => `agent ${agent}`
const lineOf = ({ tasks }: Fact): string => `line ${tasks.at(-1) ?? ''}`
const useOf = ({ agent, tool }: Fact): string => `${agent}\n${tool}`
