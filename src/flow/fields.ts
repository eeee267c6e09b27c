import type { Confidentiality, Integrity } from './labels.ts'

/** How a text result is to be read: structured content is always read as it is. */
export const resultFormats = ['json', 'yaml', 'text'] as const
export type ResultFormat = (typeof resultFormats)[number]

/**
 * What is known of one field of a tool's results. `at`: a JSON pointer (RFC 6901) in which `*` stands for every item or
 * member, `''` for the whole; `pattern`: for results that are plain text, a linear-time pattern whose first group is the
 * value. What is left out is the tool's own. A `directory` is trusted, and its values are meant to be acted on: one's
 * own contacts, one's own accounts.
 */
export type ResultField = ({ readonly at: string } | { readonly pattern: string }) & {
  readonly confidentiality?: Confidentiality
  readonly integrity?: Integrity
  readonly directory?: true
}

/** `format` is `json` when left out. */
export type ResultLabels = { readonly format?: ResultFormat; readonly fields: readonly ResultField[] }
