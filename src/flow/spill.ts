import { allForms } from './normal.ts'
import { encodeSink } from './sinks.ts'
import { keyOf, keyText } from './key.ts'
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
  /** What it writes; left out when that was recorded before, and `keys` are what the server gave. */
  readonly arguments?: JsonObject
  readonly known: Pick<Known, 'purposes' | 'secret' | 'origins'>
}

/** An attacker who has more written is not told apart from others on that server, so that padding hides nothing. */
const mostKeys = 1024
/** A value that a result may be vouched for with (`learn.ts`) is no longer. */
const longestValue = 512
const longestText = 1024 * 1024

/**
 * What a call of a tainted task leaves where others read, as the ledger keeps it; null when it leaves nothing. Recorded
 * with the intent: whoever reads it after it was sent finds it here. What the person named is theirs, and what a
 * directory gave was there before: neither is tainted by being written, or one message to a contact in a task that has
 * read a mail would make a stranger of the contact. Pure.
 */
export function spillOf({ labels, effects, server, known, keys, ...writing }: Writing): string | null {
  const untrusted = labels.integrity === 'untrusted'
  if (!untrusted && rank(labels.confidentiality) < rank('confidential')) return null
  if (!effects.some((effect) => effect !== 'read')) return null
  const { confidentiality } = labels
  const of = { server, confidentiality, untrusted }
  if (writing.arguments === undefined) return encodeSink({ ...of, keys: keys.slice(0, mostKeys), places: [] })
  const written = new Set<string>()
  let overflowed = false
  for (const text of textsOf(writing.arguments)) {
    overflowed = text === null || written.size >= mostKeys
    if (overflowed || text === null) break
    if (known.purposes.some((words) => words.names('id', text) || words.names('recipient', text))) continue
    const forms = allForms(text)
    if (forms.some((form) => isVouched(known, form))) continue
    for (const form of forms) written.add(keyText(known.secret, form))
  }
  return encodeSink({
    ...of,
    keys: [...written],
    places: keys.slice(0, mostKeys),
    ...(overflowed ? { overflowed } : {}),
  })
}

const isVouched = ({ origins, secret }: Writing['known'], form: string): boolean =>
  origins.some((met) => met.look(keyOf(secret, form))?.standing.some((one) => one !== 'untrusted') === true)

/**
 * Short values, what stands in longer ones and looks like an address or a number, and single words between separators, as
 * a table of names has them; null when a text is too long.
 */
function* textsOf(root: Json): Generator<string | null> {
  const rest: Json[] = [root]
  for (let value = rest.pop(); value !== undefined; value = rest.pop()) {
    if (Array.isArray(value)) rest.push(...value)
    else if (isJsonObject(value)) rest.push(...Object.values(value))
    else if (typeof value === 'string') {
      if (value.length <= longestValue) yield value
      const text = value.slice(0, longestText)
      for (const [token] of text.matchAll(/[^\s"'`<>()[\]{},;|]{5,256}/g))
        if (token !== value && /@|\d{4}|\w\.\w{2}/.test(token)) yield token
      for (const [, cell = ''] of text.matchAll(/(?<![^\n,;|\t]) *([^\s,;|]{3,64})(?= *(?:[\r\n,;|\t]|$))/g))
        if (cell !== value) yield cell
      if (value.length > longestText) yield null
    } else if (typeof value === 'number') yield String(value)
  }
}
