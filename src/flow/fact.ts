import type { BearingKind, Borne } from './bears.ts'
import type { Effect } from '../registry/tool.ts'
import { formsOf } from './normal.ts'
import { keyText } from './key.ts'

/**
 * What is remembered of one call, from its commit point on, so that counts and sums over many calls and tasks can be
 * part of a decision. Values are keys (`key.ts`), never themselves. Kept by person: whoever answers for several agents
 * answers for what they do together.
 */
export type Fact = {
  /** Milliseconds since the epoch, of the commit point. */
  readonly at: number
  readonly agent: string
  /** The task and those above it, nearest first. */
  readonly tasks: readonly string[]
  readonly tool: string
  readonly effects: readonly Effect[]
  /** Keys of its targets, by kind. Amounts have none. */
  readonly keys: { readonly [Kind in BearingKind]?: readonly string[] }
  /** The sum of its amounts; null when it bears none. */
  readonly amount: number | null
  readonly risk: number
}

/** A window cannot reach back further. */
export const factsKeptMs = 31 * 86_400_000

/** Each value's key, in their order; null for amounts, and for what has no form. */
export const keyEach = (secret: Uint8Array, values: readonly Borne[]): readonly (string | null)[] =>
  values.map(({ kind, value }) => {
    if (kind === 'amount') return null
    const [form] = formsOf(kind, kind === 'url' ? hostOf(value) : value)
    return form === undefined ? null : keyText(secret, form)
  })

/** The same, by kind. */
export function byKind(values: readonly Borne[], each: readonly (string | null)[]): Fact['keys'] {
  const keys: { [Kind in BearingKind]?: string[] } = {}
  for (const [index, { kind }] of values.entries()) {
    const key = each[index] ?? null
    if (key !== null) (keys[kind] ??= []).push(key)
  }
  return keys
}

/** Contact with a site is contact with its host; a path below it is no stranger. */
const hostOf = (value: string): string => URL.parse(value)?.host ?? value

/** Amounts are summed as they are, whatever their currency: a ceiling is a number of the operator's. */
export function amountOf(values: readonly Borne[]): number | null {
  const amounts = values.filter(({ kind }) => kind === 'amount')
  if (amounts.length === 0) return null
  return amounts.reduce((sum, { value }) => sum + Math.abs(Number(formsOf('amount', value)[0])), 0)
}

/** The store keeps the time beside it. */
export const encodeFact = (fact: Fact): string => JSON.stringify({ ...fact, at: undefined })

/** The store wrote it from a `Fact`; nothing else writes there. */
export const decodeFact = (at: number, body: string): Fact => {
  const fact: Omit<Fact, 'at'> = JSON.parse(body)
  return { ...fact, at }
}
