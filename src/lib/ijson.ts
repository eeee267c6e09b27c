import { isUtf8 } from 'node:buffer'
import { isIJsonText } from './jcs.ts'
import type { Json } from './json.ts'

/** `bytes` of UTF-8, `depth` of nested arrays and objects, `members` and elements altogether. */
export type Limits = { readonly bytes?: number; readonly depth?: number; readonly members?: number }

/** `at` is an offset in UTF-16 code units. `problem` never holds text from the input: it goes into refusals and logs. */
export type Parsed =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly at: number; readonly problem: string }

/** Depth stays well below the 128 of `canonical`, so that what was parsed can be wrapped and still be written. */
export const defaultLimits = { bytes: 4 * 1024 * 1024, depth: 64, members: 250_000 } as const

/** Our reader recurses; no caller may ask for more than the stack surely holds. */
const deepest = 512

/**
 * Strict I-JSON (RFC 7493 over RFC 8259). `JSON.parse` keeps the last of two equal names where another parser keeps
 * the first: an attacker would have one value judged and the other one executed. So refused are: equal names (after
 * unescaping), bytes that are not UTF-8, a byte order mark, lone surrogates, noncharacters, numbers that are
 * not finite, integers beyond ±(2^53-1), and whatever exceeds the limits. `-0` is read as 0, as it is written.
 * `__proto__` is a name like any other; the value's prototype stays that of a plain object.
 */
export function parseIJson(text: string | Uint8Array, limits: Limits = {}): Parsed {
  const bytes = limits.bytes ?? defaultLimits.bytes
  const decoded = typeof text === 'string' ? checkText(text, bytes) : decode(text, bytes)
  if (typeof decoded !== 'string') return decoded
  return new Scanner(
    decoded,
    limits.depth ?? defaultLimits.depth,
    limits.members ?? defaultLimits.members,
  ).run()
}

const fail = (at: number, problem: string): Parsed => ({ ok: false, at, problem })

function checkText(text: string, limit: number): string | Parsed {
  // A code unit takes one to three bytes: most texts are within or beyond the limit without counting.
  if (text.length > limit || (text.length * 3 > limit && Buffer.byteLength(text) > limit)) {
    return fail(0, `expected at most ${limit} bytes`)
  }
  return isIJsonText(text) ? text : fail(0, 'expected text without lone surrogates or noncharacters')
}

function decode(bytes: Uint8Array, limit: number): string | Parsed {
  if (bytes.length > limit) return fail(0, `expected at most ${limit} bytes`)
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  if (!isUtf8(bytes)) return fail(Math.max(0, text.indexOf('\ufffd')), 'expected valid UTF-8')
  return isIJsonText(text) ? text : fail(0, 'expected text without noncharacters')
}

const escapes: { readonly [letter: string]: string } = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

const number = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y
const hex4 = /[0-9a-fA-F]{4}/y

/** One pass, one object. `undefined` means that `flaw` says why; no exception is thrown for bad input. */
class Scanner {
  readonly #text: string
  readonly #depth: number
  #room: number
  #at = 0
  #flaw: Parsed | null = null

  constructor(text: string, depth: number, members: number) {
    this.#text = text
    this.#depth = Math.min(depth, deepest)
    this.#room = members
  }

  run(): Parsed {
    const value = this.#value(0)
    if (value === undefined) return this.#flaw ?? fail(this.#at, 'expected a value')
    const next = this.#peek()
    return Number.isNaN(next) ? { ok: true, value } : fail(this.#at, 'expected the end after the value')
  }

  #fail(problem: string, at = this.#at): undefined {
    this.#flaw ??= fail(at, problem)
    return undefined
  }

  /** The next code unit that is not white space (RFC 8259 section 2), or NaN at the end. */
  #peek(): number {
    let code = this.#text.charCodeAt(this.#at)
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09)
      code = this.#text.charCodeAt(++this.#at)
    return code
  }

  #value(depth: number): Json | undefined {
    switch (this.#peek()) {
      case 0x22:
        return this.#string()
      case 0x7b:
        return this.#object(depth + 1)
      case 0x5b:
        return this.#array(depth + 1)
      case 0x74:
        return this.#word('true', true)
      case 0x66:
        return this.#word('false', false)
      case 0x6e:
        return this.#word('null', null)
      default:
        return this.#number()
    }
  }

  #word<W extends Json>(word: string, value: W): W | undefined {
    if (!this.#text.startsWith(word, this.#at)) return this.#fail('expected a value')
    this.#at += word.length
    return value
  }

  #number(): number | undefined {
    const quick = this.#smallInteger()
    if (quick >= 0) return quick
    number.lastIndex = this.#at
    const found = number.exec(this.#text)
    if (found === null)
      return this.#fail(this.#at === this.#text.length ? 'expected more text' : 'expected a value')
    const value = Number(found[0])
    if (!Number.isFinite(value)) return this.#fail('expected a number that a double can hold')
    // From 1e21 on ECMAScript writes an exponent, and no reader takes it for an integer; below, it writes all digits.
    const integer = (found[1] === undefined && found[2] === undefined) || Math.abs(value) < 1e21
    if (integer && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
      return this.#fail('expected an integer within 2^53-1; send larger ones as text')
    }
    this.#at += found[0].length
    return value + 0
  }

  /** Up to nine digits and nothing else of a number after them; -1 leaves it to the full grammar. */
  #smallInteger(): number {
    const start = this.#at
    let at = start
    let value = 0
    let code = this.#text.charCodeAt(at)
    while (code >= 0x30 && code <= 0x39 && at - start < 10) {
      value = value * 10 + code - 0x30
      code = this.#text.charCodeAt(++at)
    }
    const digits = at - start
    if (digits === 0 || digits > 9 || code === 0x2e || code === 0x65 || code === 0x45) return -1
    if (digits > 1 && this.#text.charCodeAt(start) === 0x30) return -1
    this.#at = at
    return value
  }

  #string(): string | undefined {
    const text = this.#text
    const start = ++this.#at
    for (let at = start; ; at++) {
      const code = text.charCodeAt(at)
      if (code === 0x22) {
        this.#at = at + 1
        return text.slice(start, at)
      }
      if (code === 0x5c) return this.#escaped(start, at)
      // NaN at the end of the text fails the comparison, too.
      if (!(code >= 0x20)) return this.#fail(controlOrEnd(code), at)
    }
  }

  #escaped(start: number, first: number): string | undefined {
    const text = this.#text
    let value = ''
    let from = start
    for (let at = first; ; at++) {
      const code = text.charCodeAt(at)
      if (code === 0x22) {
        value += text.slice(from, at)
        this.#at = at + 1
        return isIJsonText(value)
          ? value
          : this.#fail('expected text without lone surrogates or noncharacters', start)
      }
      if (code === 0x5c) {
        const read = this.#escape(at + 1)
        if (read === undefined) return undefined
        value += text.slice(from, at) + read
        at += text.charCodeAt(at + 1) === 0x75 ? 5 : 1
        from = at + 1
      } else if (!(code >= 0x20)) return this.#fail(controlOrEnd(code), at)
    }
  }

  #escape(at: number): string | undefined {
    const letter = this.#text.charAt(at)
    if (letter === 'u') {
      hex4.lastIndex = at + 1
      const digits = hex4.exec(this.#text)
      if (digits === null) return this.#fail('expected four hexadecimal digits', at + 1)
      return String.fromCharCode(Number.parseInt(digits[0], 16))
    }
    return (
      (letter === '' ? undefined : escapes[letter]) ?? this.#fail('expected an escape that JSON knows', at)
    )
  }

  #array(depth: number): Json | undefined {
    if (depth > this.#depth) return this.#fail(`expected at most ${this.#depth} levels of nesting`)
    const items: Json[] = []
    this.#at++
    if (this.#peek() === 0x5d) {
      this.#at++
      return items
    }
    for (;;) {
      if (this.#room-- <= 0) return this.#fail('expected fewer members and elements')
      const item = this.#value(depth)
      if (item === undefined) return undefined
      items.push(item)
      const next = this.#peek()
      if (next !== 0x2c && next !== 0x5d) return this.#fail('expected `,` or `]`')
      this.#at++
      if (next === 0x5d) return items
    }
  }

  #object(depth: number): Json | undefined {
    if (depth > this.#depth) return this.#fail(`expected at most ${this.#depth} levels of nesting`)
    const members: { [name: string]: Json } = {}
    this.#at++
    if (this.#peek() === 0x7d) {
      this.#at++
      return members
    }
    for (;;) {
      if (this.#room-- <= 0) return this.#fail('expected fewer members and elements')
      if (!this.#member(members, depth)) return undefined
      const next = this.#peek()
      if (next !== 0x2c && next !== 0x7d) return this.#fail('expected `,` or `}`')
      this.#at++
      if (next === 0x7d) return members
    }
  }

  #member(members: { [name: string]: Json }, depth: number): boolean {
    if (this.#peek() !== 0x22) return this.#fail('expected a name in double quotes') ?? false
    const at = this.#at
    const name = this.#string()
    if (name === undefined) return false
    // The first test is cheap and misses nothing: a member is never undefined. The second sets aside what is inherited.
    if (members[name] !== undefined && Object.hasOwn(members, name))
      return this.#fail('expected each name once', at) ?? false
    if (this.#peek() !== 0x3a) return this.#fail('expected `:`') ?? false
    this.#at++
    const value = this.#value(depth)
    if (value === undefined) return false
    // Assigning to `__proto__` would set the prototype: an attacker could give arguments members that no check lists.
    if (name === '__proto__') {
      Object.defineProperty(members, name, { value, writable: true, enumerable: true, configurable: true })
    } else members[name] = value
    return true
  }
}

const controlOrEnd = (code: number): string =>
  Number.isNaN(code) ? 'expected `"` at the end of the text' : 'expected control characters to be escaped'
