import { draw } from './random.ts'

/** `a` ask, `b` incarnation of a broker, `c` call, `l` lease, `t` task; the rest is free. */
export type IdPrefix =
  | 'a' | 'b' | 'c' | 'd' | 'e' | 'f' | 'g' | 'h' | 'i' | 'j' | 'k' | 'l' | 'm'
  | 'n' | 'o' | 'p' | 'q' | 'r' | 's' | 't' | 'u' | 'v' | 'w' | 'x' | 'y' | 'z' // prettier-ignore

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const length = 22
const shape = /^[a-z]_[0-9A-Za-z]{22}$/

/** A fresh id: prefix, `_` and 22 base62 characters, 131 bits of the system's randomness. Names things; proves nothing. */
export function newId(prefix: IdPrefix): string {
  const codes: number[] = []
  while (codes.length < length) {
    for (const byte of draw(26)) {
      // 248 is the largest multiple of 62 in a byte: the rest is thrown away, or some characters would be likelier.
      if (byte < 248) codes.push(alphabet.charCodeAt(byte % 62))
    }
  }
  return `${prefix}_${String.fromCharCode(...codes.slice(0, length))}`
}

/** Whether `text` has the form of an id with this prefix. Says nothing of its existence. */
export const isId = (prefix: IdPrefix, text: string): boolean =>
  text.startsWith(`${prefix}_`) && shape.test(text)
