import { hash } from 'node:crypto'

/**
 * A value's key: 64 bits of a keyed digest over its form. Nobody without the secret can make another value's, or try
 * values out on a store that they can read.
 */
export type Key = { readonly high: number; readonly low: number }

/** The secret stands first, and only a part of the digest is kept: nothing can be appended to it. */
const digestOf = (secret: Uint8Array, form: string): Buffer => {
  const length = Buffer.byteLength(form)
  const bytes = Buffer.allocUnsafe(secret.length + length)
  bytes.set(secret, 0)
  bytes.write(form, secret.length)
  return hash('sha256', bytes, 'buffer')
}

export function keyOf(secret: Uint8Array, form: string): Key {
  const digest = digestOf(secret, form)
  return { high: digest.readUInt32BE(0), low: digest.readUInt32BE(4) }
}

/** The same key as 16 hexadecimal digits. */
export const keyText = (secret: Uint8Array, form: string): string =>
  digestOf(secret, form).toString('hex', 0, 8)

/** Reads what `keyText` wrote. */
export const keyFrom = (text: string): Key => ({
  high: Number.parseInt(text.slice(0, 8), 16),
  low: Number.parseInt(text.slice(8, 16), 16),
})
