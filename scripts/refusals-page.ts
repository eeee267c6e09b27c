import { apiErrors } from '../src/door/operator/route.ts'
import { coded, makePage, tableOf, type Page } from './pages.ts'
import { outcomeCodes, refusalCodes, wireRefused, type Asked, type OutcomeCode } from '../src/door/wire.ts'
import { refusals, refuse, type Family, type RefusalCode } from '../src/call/refusal.ts'

/** Writes docs/reference/refusals.md from the catalogues; with `--check`, says whether it is up to date. */

/** What each family means to whoever reads it. The parity test asks for a line per family. */
export const families: { readonly [F in Family]: string } = {
  identity: 'who calls was not accepted, or was revoked',
  task: 'the task does not allow it any more',
  request: 'what was asked for is not there, or not so',
  denied: 'an answer: policy or a person said no. Not to be tried another way',
  waiting: 'a person has to answer first; the call is kept',
  busy: 'too much at once; the same call may go through later',
  broken: 'a fault, not an answer: the broker could not do its part, so the call was not made',
}

/** What each outcome of the door means. The parity test asks for a line per code. */
export const outcomes: { readonly [C in OutcomeCode]: string } = {
  'not-sent': 'certain: nothing reached the server',
  unknown:
    'the call may or may not have been carried out; find out by reading before anything that writes is repeated',
  withheld: 'the call was made, and its answer may not be handed over',
  'input-refused': 'the server asked for more input in a form that is not allowed',
  'too-many-legs': 'the server asked back too often within one call',
  'too-many-streams': 'the agent (HTTP 429), or all together (503), hold too many sessions or streams open',
  'made-before':
    'the request that went before this one was carried out already; what it gave went to whoever asked then',
  'unknown-session': 'the session (MCP before 2026-07-28) is not known any more; initialize again',
  'unknown-server': 'there is no such server behind this endpoint',
  'call-unknown': 'no call of this id is kept for this agent',
  'too-many-calls':
    'HTTP 429 when too many requests of this agent are under way, 503 when too many of all are; nothing was looked at, `Retry-After` says when to come back',
}

const asked = (method: string): Asked => ({
  method,
  era: 'modern',
  call: 'c_…',
  uri: null,
  outputSchema: false,
})

/** How a refusal leaves, by asking the very function that makes it. */
function wire(code: RefusalCode): string {
  const { stage } = refusals[code]
  const refused = refuse(code, stage, 'private')
  const tool = wireRefused(refused, asked('tools/call'))
  if (tool.kind === 'error') return tool.status === 200 ? 'error' : `HTTP ${tool.status}`
  return 'result'
}

const codesOf = (): readonly RefusalCode[] =>
  Object.keys(refusals).filter((code): code is RefusalCode => Object.hasOwn(refusalCodes, code))

function render(): string {
  const families_ = Object.entries(families).map(([name, means]) => [coded(name), means])
  const rows = codesOf().map((code) => [
    coded(code),
    refusals[code].family,
    coded(refusals[code].stage),
    String(refusalCodes[code]),
    wire(code),
    refusals[code].tell,
  ])
  const means = (code: string): string =>
    Object.entries(outcomes).find(([known]) => known === code)?.[1] ?? ''
  return `${[
    '# Refusals',
    'Made from `src/call/refusal.ts`, `src/door/wire.ts` and `src/door/operator/route.ts` by `scripts/refusals-page.ts`; do not edit. Codes are stable: some are added, none changes.',
    'A refusal has a private reason, which operators read in the log (`countersign audit call ID`), and a public face, which agents get: the code, what to do next, and nothing that the agent may not know.',
    '## Families',
    tableOf(['family', 'means'], families_),
    '## Of the path',
    'As the answer to `tools/call` a refusal is a *result* with `isError`, so that the model reads it and can act; `_meta["countersign/refusal"]` holds code, family, call id and next step for programs. As the answer to any other method it is a JSON-RPC *error* of that number with the same in `data.countersign`. HTTP 401 is for tokens alone: a client that fetched a new one because policy said no would loop.',
    tableOf(['code', 'family', 'stage', 'JSON-RPC', 'to `tools/call`', 'what the agent is told'], rows),
    '## Of the door',
    "A call that was begun ends in one of these when the server's own answer cannot be handed over.",
    tableOf(
      ['code', 'JSON-RPC', 'means'],
      Object.entries(outcomeCodes).map(([code, number]) => [coded(code), String(number), means(code)]),
    ),
    "## Of the operators' API",
    'Every error is `{"error": {"code", "message", "hint"}}`. `needs-proof` asks for the operator\'s passphrase.',
    tableOf(
      ['code', 'HTTP'],
      Object.entries(apiErrors).map(([code, status]) => [coded(code), String(status)]),
    ),
  ].join('\n\n')}\n`
}

export const refusalsPage: Page = { name: 'refusals.md', from: 'scripts/refusals-page.ts', render }

if (import.meta.main) await makePage(refusalsPage)
