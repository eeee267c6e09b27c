import type { Arbitrary } from 'fast-check'

/** What a target is given: bytes, so that one loop, one corpus and one minimiser serve all of them. */
export type Input = Uint8Array

/**
 * One thing that reads what strangers send, with the properties that must hold whatever they send. `run` throws when
 * one does not: a `Violation` says which, anything else is a crash of what was fuzzed.
 */
export type Target = {
  /** How many inputs may run at the same time; 1 for what is synchronous. */
  readonly atOnce: number
  /** What it reads is JSON: mutations keep to its structure, as most others would only be refused by the reader. */
  readonly json?: true
  /** Longest input in bytes; 16 KiB when left out. */
  readonly most?: number
  /** Words that mean something to it: tokens that mutations put in. */
  readonly words: readonly string[]
  /** Inputs to begin with; those of the corpus come on top. */
  readonly seeds: readonly Input[]
  /** Inputs made from the inside of a grammar, where bytes alone would rarely get past the first check. */
  readonly fresh?: Arbitrary<Input>
  run(input: Input): void | Promise<void>
  /** What must hold of everything together, asked at the end and now and then: the log, counts, canaries. */
  settle?(): Promise<void>
  close?(): Promise<void>
}

/** How a target is known before it is opened; opening one may start a broker. */
export type Entry = {
  readonly name: string
  readonly about: string
  /** Its part of all inputs: many for what takes microseconds, few for what takes a socket and a disk. */
  readonly share: number
  /** Longest time of the processor that one input may take alone, in milliseconds. */
  readonly slowMs: number
  /** Not measured by what it reaches: its oracle compiles so much that asking would cost more than running. */
  readonly blind?: true
  readonly open: () => Promise<Target>
}

/** A property that does not hold. `what` names it in words that are the same for the same fault: they tell findings apart. */
export class Violation extends Error {
  override readonly name = 'Violation'
  readonly what: string
  constructor(what: string, detail = '') {
    super(detail === '' ? what : `${what}: ${detail.slice(0, 2000)}`)
    this.what = what
  }
}

/** Throws unless the property holds. */
export function hold(holds: boolean, what: string, detail?: () => string): asserts holds {
  if (!holds) throw new Violation(what, detail?.())
}

export const bytes = (text: string): Input => Buffer.from(text, 'utf8')

/** As text, whatever the bytes are: invalid sequences become U+FFFD, as in a lenient reader. */
export const text = (input: Input): string =>
  Buffer.from(input.buffer, input.byteOffset, input.byteLength).toString('utf8')
