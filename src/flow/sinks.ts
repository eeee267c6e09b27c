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
  /** Keys (`key.ts`) of places and values. */
  readonly keys: readonly string[]
}

export type Tainted = Pick<Sink, 'confidentiality' | 'untrusted'>

export type Sinks = {
  /** What is known of a key on a server, or null. */
  look(server: string, key: string): Tainted | null
}

export const noSinks: Sinks = { look: () => null }

/** Kept for so long after they were written. */
export const sinksKeptMs = 90 * 86_400_000
const mostKeys = 65_536
const everything: Tainted = { confidentiality: 'public', untrusted: true }

type Row = Tainted & { readonly at: number }

/** Bounded: once a server has more, whatever it vouches for counts as written by a tainted task. */
export class SinkTable {
  readonly #servers = new Map<string, Map<string, Row>>()

  add({ server, keys, confidentiality, untrusted }: Sink, at: number): void {
    const known = this.#servers.get(server) ?? new Map<string, Row>()
    this.#servers.set(server, known)
    if (known.size > mostKeys) forget(known, at - sinksKeptMs)
    for (const key of keys) if (known.size <= mostKeys) known.set(key, { confidentiality, untrusted, at })
  }

  /** As of a moment: what was written too long before is forgotten. */
  asOf(now: number): Sinks {
    return {
      look: (server, key) => {
        const known = this.#servers.get(server)
        if (known === undefined) return null
        const row = known.get(key)
        if (row !== undefined && row.at >= now - sinksKeptMs) return row
        return known.size > mostKeys ? everything : null
      },
    }
  }
}

function forget(known: Map<string, Row>, before: number): void {
  for (const [key, { at }] of known) if (at < before) known.delete(key)
}

export const encodeSink = (sink: Sink): string => JSON.stringify(sink)
/** The store wrote it from a `Sink`; nothing else writes there. */
export const decodeSink = (body: string): Sink => {
  const sink: Sink = JSON.parse(body)
  return sink
}
