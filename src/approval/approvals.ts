import { discounts } from './facts.ts'
import type { Actor, Acts } from '../identity/actor.ts'
import type { Answer, Approvals, Ask, ProofClass } from './ask.ts'
import type { ApprovalStore } from '../store/ports.ts'
import type { Clock } from '../lib/clock.ts'

export type AnswerProblem =
  'unknown' | 'not-pending' | 'expired' | 'already-answered' | 'not-independent' | 'proof-too-weak'
export type AnswerResult =
  { readonly ok: true; readonly ask: Ask } | { readonly ok: false; readonly problem: AnswerProblem }

/** `proof` is null when nothing proves that a person answered: then it may only refuse. */
export type Answering = {
  readonly answer: 'approve' | 'refuse'
  readonly reason: string
  readonly by: Actor
  readonly proof: ProofClass | null
}

export type ApprovalService = Approvals & {
  list(filter?: { readonly state?: Ask['state']; readonly limit?: number }): Promise<readonly Ask[]>
  /** Those that still wait for an answer at this moment, oldest first. */
  pending(): Promise<readonly Ask[]>
  answer(id: string, answering: Answering): Promise<AnswerResult>
  /** Another node has asked or answered: whoever listens here is told, too. */
  heard(what: 'ask' | 'answer', id: string): Promise<void>
  onAsk(listener: (ask: Ask) => void): () => void
  onAnswer(listener: (ask: Ask) => void): () => void
}

const mostShown = 500

/** Wraps the store's asks: checks who may answer what, writes the act with the answer, and tells who listens. */
export function createApprovals(parts: {
  readonly store: ApprovalStore
  readonly acts: Acts
  readonly clock: Clock
}): ApprovalService {
  const { store, clock } = parts
  const asked = listeners()
  const answered = listeners()

  return {
    get: (id) => store.get(id),
    find: (digest, now) => store.find(digest, now),
    async ask(ask) {
      const result = await store.ask(ask)
      // Told only of what is durable. The store may answer with an ask that was there already.
      if (result.ok && result.ask.id === ask.id) asked.tell(result.ask)
      return result
    },
    list: (filter = {}) => store.list(filter),
    async pending() {
      const now = clock.now()
      const asks = await store.list({ state: 'pending', limit: mostShown })
      return asks.filter((ask) => now < ask.expiresAt).sort((a, b) => a.askedAt - b.askedAt)
    },
    async answer(id, { answer, reason, by, proof }) {
      const ask = await store.get(id)
      if (ask === null) return { ok: false, problem: 'unknown' }
      if (answer === 'approve' && proof === null) return { ok: false, problem: 'proof-too-weak' }
      // The weakest class stands for a refusal without proof; it counts for nothing but refusing.
      const given: Answer = {
        by: by.name,
        proof: proof ?? 'terminal',
        answer,
        reason: reason.slice(0, 1000),
        at: clock.now(),
      }
      const problem = discounts(given, ask)
      if (problem !== null) return { ok: false, problem }
      const detail = {
        answer,
        reason: given.reason,
        digest: ask.digest,
        call: ask.call,
        task: ask.task,
        tool: ask.tool,
      }
      const act = { act: answer === 'approve' ? 'ask-approved' : 'ask-refused', subject: id, detail }
      const result = await store.answer(id, given, parts.acts(act, by))
      if (result.ok) answered.tell(result.ask)
      return result
    },
    async heard(what, id) {
      const ask = await store.get(id)
      if (ask !== null) (what === 'ask' ? asked : answered).tell(ask)
    },
    onAsk: (listener) => asked.add(listener),
    onAnswer: (listener) => answered.add(listener),
  }
}

/** A listener that throws does not keep the others from hearing, nor the answer from counting. */
function listeners() {
  const all = new Set<(ask: Ask) => void>()
  return {
    add(listener: (ask: Ask) => void) {
      all.add(listener)
      return () => void all.delete(listener)
    },
    tell(ask: Ask) {
      for (const listener of all) {
        try {
          listener(ask)
        } catch {
          all.delete(listener)
        }
      }
    },
  }
}
