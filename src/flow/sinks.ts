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

/** Bounded: once a server has more, whatever it vouches for counts as written by a tainted task. */
export class SinkTable implements Sinks {
  readonly #servers = new Map<string, Map<string, Tainted & { readonly at: number }>>()

  add({ server, keys, confidentiality, untrusted }: Sink, at: number): void {
    const known = this.#servers.get(server) ?? new Map<string, Tainted & { readonly at: number }>()
    this.#servers.set(server, known)
    for (const key of keys) if (known.size <= mostKeys) known.set(key, { confidentiality, untrusted, at })
  }

  look(server: string, key: string): Tainted | null {
    const known = this.#servers.get(server)
    if (known === undefined) return null
    return known.get(key) ?? (known.size > mostKeys ? everything : null)
  }

  /** Forgets what was written before. */
  prune(before: number): void {
    for (const known of this.#servers.values())
      for (const [key, { at }] of known) if (at < before) known.delete(key)
  }
}

export const encodeSink = (sink: Sink): string => JSON.stringify(sink)
/** The store wrote it from a `Sink`; nothing else writes there. */
export const decodeSink = (body: string): Sink => {
  const sink: Sink = JSON.parse(body)
  return sink
}
