import { inspect } from 'node:util'
import type { Lease, Secret } from './lease.ts'

/** A value in the sealed store and the name it has there. */
export type Named = { readonly name: string; readonly value: Secret }

/**
 * The text is in a private field, so that spreading, serialising, logging or inspecting a value shows nothing of it.
 * `parts` are the stored secrets that the text was made of: a header holds `Bearer x`, an echo may hold `x` alone (I5).
 */
class Hidden implements Secret {
  readonly #text: string
  readonly #parts: readonly Named[]

  constructor(text: string, parts: readonly Named[]) {
    this.#text = text
    this.#parts = parts
  }

  reveal(): string {
    return this.#text
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [Symbol.toPrimitive](): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }

  static partsOf(value: object): readonly Named[] {
    return #parts in value ? value.#parts : []
  }
}

/** Hides a text: every way of printing it gives `[secret]`; only `reveal()` gives the text. */
export function secretOf(text: string): Secret {
  return Object.freeze(new Hidden(text, []))
}

/** A text that was made of stored secrets, for a header or a variable; `lentSecrets` finds the parts again. */
export function composedOf(text: string, parts: readonly Named[]): Secret {
  return Object.freeze(new Hidden(text, parts))
}

/**
 * Everything of a lease that must not come back in an answer: the stored secrets by name, and of a `Basic` credential
 * (RFC 7617) the password by itself. Values that nobody named go by their header or variable.
 */
export function lentSecrets(lease: Pick<Lease, 'headers' | 'environment'>): readonly Named[] {
  const found = new Map<string, Named>()
  for (const [place, value] of [...Object.entries(lease.headers), ...Object.entries(lease.environment)]) {
    const parts = Hidden.partsOf(value)
    for (const part of parts.length > 0 ? parts : [{ name: place, value }]) {
      for (const form of [part.value, ...passwordIn(part.value)]) {
        found.set(`${part.name}\n${form.reveal()}`, { name: part.name, value: form })
      }
    }
  }
  return [...found.values()]
}

function passwordIn(value: Secret): readonly Secret[] {
  const text = value.reveal().replace(/^Basic\s+/i, '')
  if (!/^[A-Za-z0-9+/]{8,}={0,2}$/.test(text)) return []
  const decoded = Buffer.from(text, 'base64').toString('utf8')
  const colon = decoded.indexOf(':')
  return colon > 0 && /^[\x20-\x7e]+$/.test(decoded) ? [secretOf(decoded.slice(colon + 1))] : []
}
