import { agentRoutes } from './agents.ts'
import { askRoutes } from './asks.ts'
import { auditRoutes } from './audit.ts'
import { callRoutes } from './calls.ts'
import { match, needsProof, problem, type Answer, type Route } from './route.ts'
import { policyRoutes } from './policy.ts'
import { registryRoutes } from './registry.ts'
import { revocationRoutes } from './revocations.ts'
import { secretRoutes } from './secrets.ts'
import { selfRoutes } from './self.ts'
import { StoreUnavailable } from '../../store/ports.ts'
import { taskRoutes } from './tasks.ts'
import type { Entered, EntryProblem, Presence } from '../../identity/operator.ts'
import type { OperatorParts } from './parts.ts'

/** A request without its transport. Header names in lower case. */
export type OperatorRequest = {
  readonly method: string
  readonly path: string
  readonly query?: { readonly [name: string]: string }
  readonly headers?: { readonly [name: string]: string | undefined }
  readonly body?: unknown
  /** Only callers in this process can set it: no transport hands it on. */
  readonly level?: 'terminal'
  readonly signal?: AbortSignal
}

export type OperatorApi = (request: OperatorRequest) => Promise<Answer>

/**
 * The operators' API: what a person may do to the broker. Every request proves itself anew; there are no cookies and no
 * logins, so there is nothing that a web page could ride on.
 */
export function createOperatorApi(parts: OperatorParts): OperatorApi {
  const routes: readonly Route[] = [
    ...selfRoutes(parts),
    ...agentRoutes(parts),
    ...taskRoutes(parts),
    ...askRoutes(parts),
    ...revocationRoutes(parts),
    ...registryRoutes(parts),
    ...policyRoutes(parts),
    ...secretRoutes(parts),
    ...callRoutes(parts),
    ...auditRoutes(parts),
  ]
  return async (request) => {
    let who: Presence | null = null
    try {
      const entered = await enter(parts, request)
      if (!entered.ok) return turnedAway(entered)
      who = entered.presence
      return await dispatch({ parts, routes, who }, request)
    } catch (fault) {
      if (fault instanceof StoreUnavailable) {
        return problem(
          'unavailable',
          'the store cannot say that it was done',
          'look whether it was, then try again; look at the disk or the database if it stays',
        )
      }
      parts.onFault(fault)
      return problem('fault', 'something failed in the broker', 'try again; look at its terminal if it stays')
    } finally {
      if (who !== null) parts.gate.leave(who)
    }
  }
}

type Dispatch = { readonly parts: OperatorParts; readonly routes: readonly Route[]; readonly who: Presence }

async function dispatch({ parts, routes, who }: Dispatch, request: OperatorRequest): Promise<Answer> {
  const segments = segmentsOf(request.path)
  if (segments === null) return problem('bad-request', 'the path is not well encoded', 'encode each segment')
  const here = routes.flatMap((one) => {
    const params = match(one.path, segments)
    return params === null ? [] : [{ one, params }]
  })
  const found = here.find(({ one }) => one.method === request.method)
  if (found === undefined) {
    if (here.length === 0)
      return problem(
        'not-found',
        'there is no such route',
        'the commands know the routes: countersign --help',
      )
    return problem(
      'method-not-allowed',
      `expected ${here.map(({ one }) => one.method).join(' or ')}`,
      'send it with that method',
    )
  }
  const { one, params } = found
  if (one.needs === 'proved' && who.level === 'present') return needsProof()
  const signal = request.signal ?? new AbortController().signal
  const answer = await one.answer({ params, query: request.query ?? {}, body: request.body, who, signal })
  if (one.act !== null && answer.status < 300) {
    const subject = Object.values(params)[0] ?? ''
    parts.hub.emit({ kind: 'act', at: parts.clock.now(), act: one.act, subject, by: who.name })
  }
  return answer
}

async function enter(parts: OperatorParts, { headers = {}, level }: OperatorRequest): Promise<Entered> {
  if (level === 'terminal') return { ok: true, presence: parts.gate.atTerminal() }
  const key = /^Bearer ([A-Za-z0-9_-]{1,128})$/i.exec(headers['authorization'] ?? '')?.[1] ?? null
  return parts.gate.enter({
    key,
    name: headers['countersign-operator'] ?? null,
    passphrase: passphraseOf(headers['countersign-passphrase']),
  })
}

/** Base64url of UTF-8, as headers are Latin-1. */
const passphraseOf = (header: string | undefined): string | null =>
  header === undefined ? null : Buffer.from(header, 'base64url').toString('utf8')

const away: { readonly [P in EntryProblem]: readonly [string, string] } = {
  'no-key': [
    'expected the operator key as a bearer token',
    "use the command line, which reads it from the broker's folder",
  ],
  'wrong-key': [
    'the operator key is not that of this broker',
    "read it again from `operator.token` in the broker's folder",
  ],
  'unknown-operator': ['there is no such operator', 'leave the name out, or have a passphrase set for it'],
  'no-passphrase-set': [
    'no passphrase is set for this operator',
    'press p in the terminal that runs the broker',
  ],
  'wrong-passphrase': ['the passphrase is not right', 'try again'],
  'slow-down': ['too many wrong passphrases', 'wait, or use the terminal that runs the broker'],
}

function turnedAway({ problem: code, waitMs }: Extract<Entered, { readonly ok: false }>): Answer {
  const [message, hint] = away[code]
  const wait = waitMs > 0 ? ` (in ${Math.ceil(waitMs / 1000)} s)` : ''
  return problem(code, message, hint + wait)
}

function segmentsOf(path: string): readonly string[] | null {
  try {
    return path.split('/').slice(1).map(decodeURIComponent)
  } catch {
    return null
  }
}
