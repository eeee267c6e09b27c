import { allForms } from './normal.ts'
import { encodeSink } from './sinks.ts'
import { keyText } from './key.ts'
import { rank, type Labels } from './labels.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { Effect } from '../registry/tool.ts'
import type { Known } from './flow.ts'

export type Writing = {
  readonly server: string
  readonly effects: readonly Effect[]
  /** What the task had read before the call: what a call brings back was not in what it wrote. */
  readonly labels: Labels
  /** Keys of the places that it acts on, or of the ids that the server gave to what it made. */
  readonly keys: readonly string[]
  /** What it writes; left out when that was recorded before. */
  readonly arguments?: JsonObject
  readonly known: Pick<Known, 'purposes' | 'secret'>
}

const mostKeys = 128
const longestValue = 256

/**
 * What a call of a tainted task leaves where others read, as the ledger keeps it; null when it leaves nothing. Recorded
 * with the intent: whoever reads it after it was sent finds it here. What the person named is theirs and is not tainted
 * by being written. Pure.
 */
export function spillOf({ labels, effects, server, known, ...writing }: Writing): string | null {
  const untrusted = labels.integrity === 'untrusted'
  if (!untrusted && rank(labels.confidentiality) < rank('confidential')) return null
  if (!effects.some((effect) => effect !== 'read')) return null
  const keys = new Set(writing.keys)
  for (const text of textsOf(writing.arguments ?? null)) {
    if (keys.size >= mostKeys) break
    if (known.purposes.some((words) => words.names('id', text) || words.names('recipient', text))) continue
    for (const form of allForms(text)) keys.add(keyText(known.secret, form))
  }
  const { confidentiality } = labels
  return encodeSink({ server, confidentiality, untrusted, keys: [...keys].slice(0, mostKeys) })
}

/** Short values, and what stands in longer ones and looks like an address or a number. */
function* textsOf(root: Json): Generator<string> {
  const rest: Json[] = [root]
  for (let value = rest.pop(); value !== undefined; value = rest.pop()) {
    if (Array.isArray(value)) rest.push(...value)
    else if (isJsonObject(value)) rest.push(...Object.values(value))
    else if (typeof value === 'string') {
      if (value.length <= longestValue) yield value
      for (const [token] of value.slice(0, 65_536).matchAll(/[^\s"'`<>()[\]{},;|]{5,256}/g))
        if (token !== value && /@|\d{4}|\w\.\w{2}/.test(token)) yield token
    } else if (typeof value === 'number') yield String(value)
  }
}
