import type { Confidentiality } from './labels.ts'

/**
 * What tainted tasks have written where others read: per server, keys of the places (files, tickets, pages, rows) and of
 * the values. Without it an attacker has an agent file his address as a contact, and the next task finds it in a
 * directory that everyone trusts.
 */
export type Sink = {
  readonly server: string
  /** Of the task that wrote. */
  readonly confidentiality: Confidentiality
  readonly untrusted: boolean
  /** Keys (`key.ts`) of values, and of the ids that the server gave to what was made. */
  readonly keys: readonly string[]
  /** Keys of the places that were written to: what is read there is tainted, its name is not. */
  readonly places: readonly string[]
  /** It wrote more than is kept of one call: anything on that server may be of it. */
  readonly overflowed?: true
}

export type Tainted = Pick<Sink, 'confidentiality' | 'untrusted'>

export type Sinks = {
  /** What is known of a value on a server, or null. */
  look(server: string, key: string): Tainted | null
  /** The same of a place from which something was read. */
  place(server: string, key: string): Tainted | null
}

export const noSinks: Sinks = { look: () => null, place: () => null }

/** Kept for so long after they were written. */
export const sinksKeptMs = 90 * 86_400_000
const mostKeys = 65_536
const everything: Tainted = { confidentiality: 'public', untrusted: true }

type Timed = Tainted & { readonly at: number }
type Kept = { readonly values: Map<string, Timed>; readonly places: Map<string, Timed>; all: Timed | null }

/** Bounded: once a server has more, whatever it vouches for counts as written by a tainted task. */
export class SinkTable implements Sinks {
  readonly #servers = new Map<string, Kept>()

  add({ server, keys, places, confidentiality, untrusted, overflowed }: Sink, at: number): void {
    const known = this.#servers.get(server) ?? { values: new Map(), places: new Map(), all: null }
    this.#servers.set(server, known)
    const tainted = { confidentiality, untrusted, at }
    if (overflowed === true) known.all = tainted
    for (const [map, added] of [
      [known.values, keys],
      [known.places, places],
    ] as const)
      for (const key of added) if (map.size <= mostKeys) map.set(key, tainted)
  }

  look(server: string, key: string): Tainted | null {
    const known = this.#servers.get(server)
    return known === undefined ? null : find(known, known.values, key)
  }

  place(server: string, key: string): Tainted | null {
    const known = this.#servers.get(server)
    return known === undefined ? null : (known.places.get(key) ?? find(known, known.values, key))
  }

  /** Forgets what was written before. */
  prune(before: number): void {
    for (const known of this.#servers.values()) {
      if (known.all !== null && known.all.at < before) known.all = null
      for (const map of [known.values, known.places])
        for (const [key, { at }] of map) if (at < before) map.delete(key)
    }
  }
}

const find = ({ values, places, all }: Kept, of: Kept['values'], key: string): Tainted | null =>
  of.get(key) ?? all ?? (values.size > mostKeys || places.size > mostKeys ? everything : null)

export const encodeSink = (sink: Sink): string => JSON.stringify(sink)
/** The store wrote it from a `Sink`, an early one without places; nothing else writes there. */
export const decodeSink = (body: string): Sink => {
  const sink: Omit<Sink, 'places'> & Partial<Sink> = JSON.parse(body)
  return { ...sink, places: sink.places ?? [] }
}
