import type { JsonObject } from '../lib/json.ts'
import type { Outcome } from '../audit/entry.ts'
import type { Released } from './states.ts'
import type { ServerAnswer } from '../server/answer.ts'

/** What of an answer may leave. An answer that comes too late leaves nothing of the server's. */
export function release(body: ServerAnswer, withheld: string | null, revoked: boolean): Released {
  if (withheld === null || !hasBody(body)) return body
  return revoked
    ? {
        kind: 'withheld',
        problem: 'revoked',
        detail: 'The access was revoked, or the task ended, before the answer could be handed over.',
      }
    : { kind: 'withheld', problem: 'policy', detail: withheld }
}

/** Pure. I2: every answer has exactly one outcome. */
export function outcomeOf(body: ServerAnswer, released: Released): Outcome {
  if (released.kind === 'withheld') return 'withheld'
  switch (body.kind) {
    case 'result':
      return body.isError ? 'failed' : 'ok'
    case 'error':
      return 'failed'
    case 'input':
      return 'suspended'
    case 'not-sent':
      return 'not-sent'
    case 'unknown':
      return 'unknown'
  }
}

export const hasBody = (body: ServerAnswer): boolean =>
  body.kind === 'result' || body.kind === 'error' || body.kind === 'input'

export const payloadOf = (body: ServerAnswer): JsonObject => ({ ...body })

/** The broker's words only: what a server said is a payload and stays out of the entry. */
export function detailOf(body: ServerAnswer): string {
  switch (body.kind) {
    case 'result':
      return body.isError ? 'the tool reported an error' : ''
    case 'error':
      return `the server answered with error ${body.code}`
    case 'input':
      return 'the server needs more input'
    case 'not-sent':
    case 'unknown':
      return `${body.problem}: ${body.detail}`.slice(0, 500).toWellFormed()
  }
}
