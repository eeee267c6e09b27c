import type { Json } from '../lib/json.ts'
import type { Tool } from '../registry/tool.ts'
import type { LogLine, ServerAnswer } from '../server/answer.ts'
import { secretShapes } from './formats.ts'
import type { SecretKind } from './formats.ts'
import { unlabelled } from './labels.ts'
import type { Labels } from './labels.ts'

export type Classified = {
  readonly labels: Labels
  /** Secret-shaped values found, by kind. */
  readonly found: { readonly [K in SecretKind]?: number }
}

/**
 * What an answer is worth and how far it can be trusted. The tool's review says; an unreviewed tool's answer is
 * `internal` and `untrusted`. Secret-shaped values raise it to `secret`, whatever the review says. Errors carry the
 * same labels as results: an error's text is the server's text, and an attacker writes it as easily (incident 1). Pure.
 */
export function classify(answer: ServerAnswer, tool: Pick<Tool, 'id' | 'review'>): Classified {
  const { confidentiality, integrity } = tool.review ?? unlabelled
  const found: { [K in SecretKind]?: number } = {}
  for (const text of textsOf(said(answer))) {
    for (const [kind, number] of secretShapes(text)) found[kind] = (found[kind] ?? 0) + number
  }
  const raised = Object.keys(found).length > 0 ? 'secret' : confidentiality
  return { labels: { confidentiality: raised, integrity, sources: [tool.id] }, found }
}

/** Everything in an answer that came from the server, or was made from what it said. */
function said(answer: ServerAnswer): Json {
  switch (answer.kind) {
    case 'result':
      return [answer.result, logged(answer)]
    case 'error':
      return [answer.message, answer.data, logged(answer)]
    case 'input':
      return [answer.inputRequests, answer.requestState, logged(answer)]
    case 'not-sent':
    case 'unknown':
      return answer.detail
  }
}

const logged = ({ log = [] }: { readonly log?: readonly LogLine[] }): Json =>
  log.map(({ logger = null, data }) => [logger, data])

/** All strings and keys, with a list instead of recursion; text in base64 fields as it reads decoded. */
function* textsOf(root: Json): Generator<string> {
  const rest: { readonly value: Json; readonly field: string }[] = [{ value: root, field: '' }]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { value, field } = next
    if (typeof value === 'string') {
      yield value
      if (field === 'data' || field === 'blob') yield Buffer.from(value, 'base64').toString('latin1')
    } else if (Array.isArray(value)) {
      for (const item of value) rest.push({ value: item, field: '' })
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, item] of Object.entries(value)) {
        yield key
        rest.push({ value: item, field: key })
      }
    }
  }
}
