import type { Arrival, Settled } from '../call/states.ts'
import type { Ask } from '../approval/ask.ts'
import type { Clock } from '../lib/clock.ts'
import type { Refused } from '../call/refusal.ts'

/** What happened, for people who watch: the serving terminal and the operators' event stream. Never payloads, never secrets. */
export type Fact =
  | {
      readonly kind: 'call'
      readonly at: number
      readonly call: string
      readonly agent: string
      /** As it was asked for: it may be an agent's own words. */
      readonly tool: string
      /** Id of the registered tool that it was about, or null. */
      readonly registered: string | null
      readonly task: string | null
      /** Id of the trace that it is seen in, or null. */
      readonly trace: string | null
      /** An outcome or the code of a refusal. */
      readonly end: string
      readonly refused: boolean
      readonly ms: number
    }
  | { readonly kind: 'ask'; readonly at: number; readonly ask: Ask }
  | { readonly kind: 'answered'; readonly at: number; readonly ask: Ask }
  | {
      readonly kind: 'act'
      readonly at: number
      readonly act: string
      readonly subject: string
      readonly by: string
    }

export type Hub = {
  emit(fact: Fact): void
  subscribe(listener: (fact: Fact) => void): () => void
  /** Newest last; at most 200, without the arguments of asks: they can be megabytes, and are looked up with the ask. */
  recent(): readonly Fact[]
}

const kept = 200

/** A listener that throws is dropped: watching must never change what is watched. */
export function createHub(): Hub {
  const listeners = new Set<(fact: Fact) => void>()
  const facts: Fact[] = []
  return {
    emit(fact) {
      facts.push(slim(fact))
      if (facts.length > kept) facts.shift()
      for (const listener of listeners) {
        try {
          listener(fact)
        } catch {
          listeners.delete(listener)
        }
      }
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    recent: () => [...facts],
  }
}

const slim = (fact: Fact): Fact => ('ask' in fact ? { ...fact, ask: { ...fact.ask, arguments: {} } } : fact)

type Run = (arrival: Arrival) => Promise<Settled | Refused>

export type Observing = {
  readonly hub: Hub
  readonly clock: Clock
  /** The trace that the caller is in. */
  readonly trace?: () => string | null
}

/** Wraps the path from outside; no stage knows of it. */
export function observed(run: Run, { hub, clock, trace = () => null }: Observing): Run {
  return async (arrival) => {
    const started = clock.now()
    const end = await run(arrival)
    const now = clock.now()
    hub.emit({
      kind: 'call',
      at: now,
      call: arrival.call,
      agent: 'refused' in end ? (end.known.caller?.name ?? 'nobody') : end.agent,
      tool:
        'refused' in end
          ? (end.known.tool?.id ?? `${arrival.wanted.server}/${arrival.wanted.name}`)
          : end.tool.id,
      registered: ('refused' in end ? end.known.tool?.id : end.tool.id) ?? null,
      task: ('refused' in end ? end.known.caller?.task : end.task) ?? null,
      trace: trace(),
      end: 'refused' in end ? end.code : end.outcome,
      refused: 'refused' in end,
      ms: Math.max(0, now - started),
    })
    return end
  }
}
