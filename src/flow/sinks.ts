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
export class SinkTable {
  readonly #servers = new Map<string, Kept>()

  add({ server, keys, places, confidentiality, untrusted, overflowed }: Sink, at: number): void {
    const known = this.#servers.get(server) ?? { values: new Map(), places: new Map(), all: null }
    this.#servers.set(server, known)
    const tainted = { confidentiality, untrusted, at }
    if (overflowed === true) known.all = tainted
    for (const [map, added] of [
      [known.values, keys],
      [known.places, places],
    ] as const) {
      if (map.size > mostKeys) forget(map, at - sinksKeptMs)
      for (const key of added) if (map.size <= mostKeys) map.set(key, tainted)
    }
  }

  /** As of a moment: what was written too long before is forgotten. */
  asOf(now: number): Sinks {
    const since = now - sinksKeptMs
    const servers = this.#servers
    return {
      look: (server, key) => {
        const known = servers.get(server)
        return known === undefined ? null : find(known, [known.values], { key, since })
      },
      place: (server, key) => {
        const known = servers.get(server)
        return known === undefined ? null : find(known, [known.places, known.values], { key, since })
      },
    }
  }
}

function forget(known: Map<string, Timed>, before: number): void {
  for (const [key, { at }] of known) if (at < before) known.delete(key)
}

function find(
  { values, places, all }: Kept,
  maps: readonly Map<string, Timed>[],
  { key, since }: { readonly key: string; readonly since: number },
): Tainted | null {
  for (const map of maps) {
    const row = map.get(key)
    if (row !== undefined && row.at >= since) return row
  }
  if (all !== null && all.at >= since) return all
  return values.size > mostKeys || places.size > mostKeys ? everything : null
}

export const encodeSink = (sink: Sink): string => JSON.stringify(sink)
/** The store wrote it from a `Sink`, an early one without places; nothing else writes there. */
export const decodeSink = (body: string): Sink => {
  const sink: Omit<Sink, 'places'> & Partial<Sink> = JSON.parse(body)
  return { ...sink, places: sink.places ?? [] }
}
