import type { Fact } from './fact.ts'
import { factsKeptMs } from './fact.ts'
import type { Past, Window } from './measure.ts'

/** So many calls of one person are kept in memory; a window that reaches further back is beyond counting. */
export const mostFacts = 32_768

const mostWindows = 256

const contactKinds = ['recipient', 'account', 'url'] as const

/** One person's calls as a node knows them, oldest first, with what makes "for the first time" quick to tell. */
export class PastTable implements Past {
  #facts: Fact[] = []
  #since: number | null
  readonly #windows = new Map<string, Window>()
  readonly #contacts = new Map<string, number>()
  readonly #used = new Map<string, number>()
  /** By agent, and by first task of the line, so that counting over one does not look at all. */
  readonly #some = new Map<string, Fact[]>()

  /** `partial`: older calls were left out, so nothing is known of the time before the first that comes. */
  constructor({ partial = false }: { readonly partial?: boolean } = {}) {
    this.#since = partial ? null : Number.NEGATIVE_INFINITY
  }

  get facts(): readonly Fact[] {
    return this.#facts
  }

  /** From here on nothing is missing. */
  get since(): number {
    return this.#since ?? Number.POSITIVE_INFINITY
  }

  window(name: string, make: () => Window): Window {
    const known = this.#windows.get(name)
    if (known !== undefined) return known
    if (this.#windows.size >= mostWindows) this.#windows.clear()
    const window = make()
    this.#windows.set(name, window)
    return window
  }

  some(by: 'agent' | 'line', fact: Fact): readonly Fact[] {
    return this.#some.get(by === 'agent' ? agentOf(fact) : lineOf(fact)) ?? []
  }

  add(fact: Fact): void {
    this.#since ??= fact.at
    this.#facts.push(fact)
    this.#sort(fact)
    for (const kind of contactKinds) for (const key of fact.keys[kind] ?? []) this.#contacts.set(key, fact.at)
    this.#used.set(useOf(fact), fact.at)
    if (this.#facts.length > mostFacts) this.#forget(fact.at)
  }

  #sort(fact: Fact): void {
    for (const key of [agentOf(fact), lineOf(fact)]) {
      const some = this.#some.get(key)
      if (some === undefined) this.#some.set(key, [fact])
      else some.push(fact)
    }
  }

  /** A quarter in one go, or every call would move them all. Windows know calls by their places, so they begin anew. */
  #forget(now: number): void {
    const gone = this.#facts.splice(0, mostFacts / 4)
    this.#since = Math.max(this.since, (gone.at(-1)?.at ?? 0) + 1)
    this.#windows.clear()
    this.#some.clear()
    for (const fact of this.#facts) this.#sort(fact)
    for (const seen of [this.#contacts, this.#used])
      for (const [key, at] of seen) if (at < now - factsKeptMs) seen.delete(key)
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
