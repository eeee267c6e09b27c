import { refusals, type Refused, type RefusalCode } from '../call/refusal.ts'
import { capabilitiesOf } from '../server/protocol.ts'
import { rfc3339 } from '../lib/clock.ts'
import { comeBack, type Headers } from './exchange.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import type { InputKind } from '../server/answer.ts'
import type { Released, Settled } from '../call/states.ts'

/**
 * The only place where a refusal or an outcome becomes wire. Denials are answers that a model can act on; HTTP 401 is
 * for tokens alone, so that clients do not fetch new tokens when policy said no. A refusal's private reason is never
 * read here.
 *
 * JSON-RPC codes lie outside -32768..-32000, which JSON-RPC and MCP keep for themselves; where MCP names a code for
 * the very thing (unknown name, bad parameters), that one is used. Codes are stable: add, never change.
 */
export const refusalCodes = {
  unauthenticated: 6101,
  revoked: 6102,
  'no-task': 6201,
  'task-closed': 6202,
  'context-changed': 6203,
  'budget-spent': 6204,
  'unknown-tool': -32602,
  quarantined: 6302,
  'bad-arguments': -32602,
  denied: 6401,
  'flow-forbidden': 6402,
  'approval-refused': 6403,
  'approval-expired': 6404,
  'approval-required': 6501,
  'too-many-asks': 6601,
  'too-much-movement': 6602,
  'already-made': 6902,
  'audit-unavailable': 6701,
  'no-credential': 6702,
  fault: 6703,
} as const satisfies { readonly [code in RefusalCode]: number }

/** Outcomes that are no result of the server's, and refusals of the door itself. */
export const outcomeCodes = {
  'not-sent': 6801,
  unknown: 6802,
  withheld: 6803,
  'input-refused': 6804,
  'too-many-legs': 6805,
  'too-many-streams': 6901,
  'made-before': 6906,
  'unknown-session': 6903,
  'unknown-server': 6904,
  'call-unknown': 6905,
  'too-many-calls': 6907,
} as const
export type OutcomeCode = keyof typeof outcomeCodes

/** What the answer is for. */
export type Asked = {
  readonly method: string
  readonly era: 'modern' | 'legacy'
  readonly call: string
  /** Of `resources/read`, as the client wrote it. */
  readonly uri: string | null
  /** The tool promised a schema for its structured content: clients of SDK 1.x hold errors to it, too. */
  readonly outputSchema: boolean
}

export type WireAnswer =
  | { readonly kind: 'result'; readonly result: JsonObject }
  | {
      readonly kind: 'error'
      /** HTTP status, where it can still be chosen. */
      readonly status: number
      readonly code: number
      readonly message: string
      readonly data: JsonObject | null
      readonly headers: Headers
    }

/** `_meta` keys of ours; upstream `_meta` never passes, so nobody else can write them. */
export const callKey = 'countersign/call'
export const refusalKey = 'countersign/refusal'

type Said = {
  readonly code: RefusalCode | OutcomeCode
  readonly family: string
  /** What happened, then what to do. */
  readonly text: string
  readonly next: string
  readonly more: JsonObject
}

/** Every refusal of the path. */
export function wireRefused(refused: Refused, asked: Asked): WireAnswer {
  const { tell, family } = refusals[refused.code]
  const until = refused.ask === null ? {} : { answerBy: rfc3339(refused.ask.expiresAt) }
  const said: Said = {
    code: refused.code,
    family,
    text: [`Not done (${refused.code}). ${tell}`, refused.hint].filter((line) => line !== null).join('\n'),
    next: tell,
    more: { ...(refused.hint === null ? {} : { hint: refused.hint }), ...until },
  }
  switch (family) {
    case 'identity':
      return isTokenFault(refused) ? unauthorized(refused) : say(said, asked)
    case 'request':
      return refused.code === 'unknown-tool' ? wireUnknown(said, asked) : say(said, asked)
    case 'waiting':
      return say(waiting(said, asked), asked)
    case 'task':
    case 'denied':
    case 'busy':
    case 'broken':
      return say(said, asked)
  }
}

/** A tool that was revoked is no fault of the token: a client that fetched a new one would be no better off. */
const isTokenFault = ({ code, stage }: Refused): boolean =>
  code === 'unauthenticated' || stage === 'authenticate'

/** RFC 6750 section 3. No `resource_metadata`: no OAuth metadata is served, and a client would go looking. */
export function unauthorized(refused: Refused): Extract<WireAnswer, { kind: 'error' }> {
  const { tell } = refusals[refused.code]
  const message = refused.hint === null ? tell : `${tell} ${refused.hint}`
  const description = message.replaceAll(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, "'")
  return {
    kind: 'error',
    status: 401,
    code: refusalCodes[refused.code],
    message,
    data: { countersign: { code: refused.code, family: 'identity', next: tell } },
    headers: {
      'WWW-Authenticate': `Bearer realm="countersign", error="invalid_token", error_description="${description}"`,
    },
  }
}

/** MCP 2026-07-28: an unknown tool, prompt or resource is `-32602`; older revisions have `-32002` for resources. */
function wireUnknown(said: Said, asked: Asked): WireAnswer {
  const legacyResource = asked.era === 'legacy' && asked.method === 'resources/read'
  return failure(said, asked, legacyResource ? -32002 : refusalCodes['unknown-tool'])
}

function waiting(said: Said, asked: Asked): Said {
  const next = `Call \`countersign_resume\` with {"call": "${asked.call}"} after a person has answered; do not send the call again.`
  return { ...said, next, text: `${said.text}\n${next}` }
}

/** A finished call. `input` is not for this function: the doors answer it, each era in its way. */
export function wireReleased(
  { answer, call }: { readonly answer: Exclude<Released, { kind: 'input' }>; readonly call: Settled['call'] },
  asked: Asked,
): WireAnswer {
  // Older clients know no code for it: they are told what the server said.
  if ('needs' in answer && answer.needs !== undefined && asked.era === 'modern')
    return wireNeeds(answer.needs, asked, call)
  switch (answer.kind) {
    case 'result':
      return { kind: 'result', result: clean(answer, asked, call) }
    case 'error':
      return {
        kind: 'error',
        status: 200,
        code: safeCode(answer.code, asked.era),
        message: answer.message,
        data: {
          ...(asked.uri === null ? {} : { uri: asked.uri }),
          countersign: { call },
          server: { code: answer.code, data: answer.data },
        },
        headers: {},
      }
    case 'not-sent':
      return say(notSent[answer.problem], asked)
    case 'unknown':
      return say(unknown(answer.problem), asked)
    case 'withheld':
      return say(withheld(answer), asked)
  }
}

/** MCP 2026-07-28: the broker passed on what the client declared, and the server cannot do without more. */
const wireNeeds = (needs: readonly InputKind[], asked: Asked, call: string): WireAnswer => ({
  kind: 'error',
  status: 400,
  code: -32021,
  message: 'the server needs input that this client has not declared that it can give',
  data: {
    ...(asked.uri === null ? {} : { uri: asked.uri }),
    requiredCapabilities: capabilitiesOf(needs),
    countersign: { call },
  },
  headers: {},
})

/** What a door itself refuses in the middle of a call. `next` says what to do. */
export function wireOutcome(
  code: OutcomeCode,
  what: { readonly text: string; readonly next: string },
  asked: Asked,
): WireAnswer {
  return say(outcome(code, what.text, what.next), asked)
}

/** A tool's result for `tools/call`, an error for every other method. */
function say(said: Said, asked: Asked): WireAnswer {
  if (asked.method !== 'tools/call') return failure(said, asked, codeOf(said.code))
  const body = bodyOf(said, asked)
  return {
    kind: 'result',
    result: {
      content: [{ type: 'text', text: `${said.text}\nCall id: ${asked.call}` }],
      ...(asked.outputSchema ? {} : { structuredContent: { countersign: body } }),
      isError: true,
      _meta: { [callKey]: asked.call, [refusalKey]: body },
    },
  }
}

const failure = (said: Said, asked: Asked, code: number): WireAnswer => ({
  kind: 'error',
  status: 200,
  code,
  message: said.text,
  data: { ...(asked.uri === null ? {} : { uri: asked.uri }), countersign: bodyOf(said, asked) },
  headers: {},
})

const bodyOf = (said: Said, asked: Asked): JsonObject => ({
  code: said.code,
  family: said.family,
  call: asked.call,
  next: said.next,
  ...said.more,
})

const codeOf = (code: RefusalCode | OutcomeCode): number =>
  isOutcome(code) ? outcomeCodes[code] : refusalCodes[code]

const isOutcome = (code: RefusalCode | OutcomeCode): code is OutcomeCode => Object.hasOwn(outcomeCodes, code)

/** `resultType` and `_meta` are the broker's to write. */
function clean(answer: Extract<Released, { kind: 'result' }>, asked: Asked, call: string): JsonObject {
  const { resultType: _type, _meta: _theirs, isError: claimed, ...result } = answer.result
  const withContent =
    asked.method === 'tools/call' && !Array.isArray(result['content']) ? { ...result, content: [] } : result
  // What was read of it decides; that a server says it was none is kept as it was said.
  const isError = answer.isError ? { isError: true } : claimed === false ? { isError: false } : {}
  return { ...withContent, ...isError, _meta: { [callKey]: call } }
}

/**
 * A server's error code as it may be relayed. `-32021`, `-32042` and their neighbours speak of *our* capabilities and
 * headers, not of the client's; `-32700` and `-32600` of our bytes; and no server may speak with a code of ours.
 */
export function safeCode(code: number, era: 'modern' | 'legacy'): number {
  if (!Number.isSafeInteger(code)) return -32603
  if (code === -32002) return era === 'legacy' ? -32002 : -32602
  if (code === -32601 || code === -32602 || code === -32603) return code
  if (code >= -32768 && code <= -32000) return -32603
  return code >= 6000 && code <= 6999 ? -32603 : code
}

const outcome = (code: OutcomeCode, text: string, next: string): Said => ({
  code,
  family: 'outcome',
  text: `${text} ${next}`,
  next,
  more: {},
})

/** `lend` and the recovery of faults tell these, too. */
type NotSent = Extract<Released, { kind: 'not-sent' }>['problem'] | 'revoked' | 'no-credential' | 'fault'

const certain = 'Nothing was sent to the server.'
const notSent: { readonly [problem in NotSent]: Said } = {
  'definition-changed': outcome(
    'not-sent',
    `${certain} It now offers another definition of this tool than the one that was reviewed.`,
    'Do without this tool until an operator has reviewed it.',
  ),
  unreachable: outcome(
    'not-sent',
    `${certain} It could not be reached.`,
    'Try again later; tell the operator if it stays.',
  ),
  busy: outcome('not-sent', `${certain} It has too much to do.`, 'Try again later.'),
  cancelled: outcome(
    'not-sent',
    `${certain} The call was cancelled before.`,
    'Call again if it is still needed.',
  ),
  'bad-configuration': outcome(
    'not-sent',
    `${certain} Its configuration is not usable.`,
    'Tell the operator.',
  ),
  revoked: outcome(
    'not-sent',
    `${certain} The access was revoked before.`,
    'Ask the person you work for before going on.',
  ),
  'no-credential': outcome(
    'not-sent',
    `${certain} The credential for it is missing.`,
    'Tell the operator, who has to set it.',
  ),
  fault: outcome(
    'not-sent',
    `${certain} Something failed in the broker.`,
    'Try again; tell the operator if it stays.',
  ),
}

const why: { readonly [problem in Extract<Released, { kind: 'unknown' }>['problem']]: string } = {
  timeout: 'The server did not answer in time.',
  died: 'The server stopped while it worked on the call.',
  disconnected: 'The connection to the server broke.',
  cancelled: 'The call was cancelled while the server worked on it.',
  'bad-answer': 'The server gave an answer that could not be read.',
  'too-large': 'The answer of the server was larger than allowed.',
}

const unknown = (problem: keyof typeof why): Said =>
  outcome(
    'unknown',
    `${why[problem]} The call may or may not have been carried out.`,
    'Find out by reading before you repeat anything that writes.',
  )

function withheld({ problem, detail }: Extract<Released, { kind: 'withheld' }>): Said {
  switch (problem) {
    case 'revoked':
      return outcome(
        'withheld',
        'The call was made, but its answer is withheld: the access was revoked meanwhile.',
        'Ask the person you work for before going on.',
      )
    case 'policy':
      return outcome(
        'withheld',
        `The call was made, but its answer may not be handed over: ${detail}`,
        'Tell the person you work for.',
      )
    case 'record-failed':
      return outcome(
        'withheld',
        'The outcome of the call could not be recorded. It may have been carried out.',
        'Do not send it again; tell the operator.',
      )
  }
}

/**
 * Nothing was looked at: the caller (`own`, RFC 6585 section 4) or all together (`all`, RFC 9110 section 15.6.4) have as
 * much under way as the broker does at once. Both may come back soon.
 */
export function wireBusy(
  code: 'too-many-calls' | 'too-many-streams',
  why: 'own' | 'all',
  next: string,
): Extract<WireAnswer, { kind: 'error' }> {
  const whose = why === 'own' ? 'of yours' : 'of all agents together'
  const what = code === 'too-many-calls' ? 'requests' : 'sessions or streams'
  return {
    kind: 'error',
    status: why === 'own' ? 429 : 503,
    code: outcomeCodes[code],
    message: `Not done (${code}). Too many ${what} ${whose} are under way. ${next}`,
    data: { countersign: { code, family: 'busy', next } },
    headers: comeBack,
  }
}

/** JSON-RPC 2.0 section 5.1, with the id that could be read. */
export function errorMessage(
  id: string | number | null,
  error: { readonly code: number; readonly message: string; readonly data?: Json | null },
): JsonObject {
  const data = error.data === undefined || error.data === null ? {} : { data: error.data }
  return { jsonrpc: '2.0', id, error: { code: error.code, message: error.message, ...data } }
}
