import { revisionOf } from './headers.ts'
import { member } from './access.ts'

export type Id = string | number

/** One JSON-RPC message: the text that came, and what is needed to carry it. */
export type Message = {
  readonly text: string
  readonly value: unknown
  readonly method: string | null
  readonly id: Id | null
  /** The revision it says it is written in; null in the era of sessions. */
  readonly revision: string | null
}

/** Null for what is no single message: batches ended with revision 2025-03-26. */
export function readMessage(text: string): Message | null {
  const value = parse(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  const method = member(value, 'method')
  return {
    text,
    value,
    method: typeof method === 'string' ? method : null,
    id: idOf(member(value, 'id')),
    revision: revisionOf(value),
  }
}

export const makeMessage = (value: { readonly [name: string]: unknown }): Message => {
  const text = JSON.stringify({ jsonrpc: '2.0', ...value })
  return readMessage(text) ?? { text, value, method: null, id: null, revision: null }
}

export const idOf = (id: unknown): Id | null => (typeof id === 'string' || typeof id === 'number' ? id : null)

/** Whether `value` is the answer to request `id`. */
export const answers = (value: unknown, id: Id): boolean =>
  member(value, 'id') === id &&
  member(value, 'method') === undefined &&
  (member(value, 'result') !== undefined || member(value, 'error') !== undefined)

export function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Newlines end messages on stdio; within JSON they are only white space. */
export const oneLine = (text: string): string => (/[\r\n]/.test(text) ? JSON.stringify(parse(text)) : text)
