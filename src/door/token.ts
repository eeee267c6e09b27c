import type { Actor } from '../identity/actor.ts'
import { createRate } from '../identity/rate.ts'
import { parseIJson } from '../lib/ijson.ts'
import { rfc3339, type Clock } from '../lib/clock.ts'
import { StoreUnavailable } from '../store/ports.ts'
import { budgetSchema } from '../config/schema.ts'
import { z } from 'zod'
import type { Agent } from '../identity/caller.ts'
import type { Exchange } from './exchange.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Proofs } from '../identity/proof.ts'
import type { Revocations } from '../revocation/revocations.ts'
import type { Task } from '../task/task.ts'
import type { TaskProblem, Tasks } from '../task/tasks.ts'
import type { Tokens } from '../identity/token.ts'

/** RFC 6749 section 5.2, RFC 9396 section 5, RFC 8707 section 2; `temporarily_unavailable` with 429 and 503. */
export type OAuthError =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'invalid_authorization_details'
  | 'invalid_target'
  | 'temporarily_unavailable'

export type TokenAnswer = {
  readonly status: number
  readonly body: JsonObject | null
  readonly headers?: { readonly [name: string]: string }
}

export type TokenParts = {
  /** The URL of the token endpoint as agents know it: the audience of their proofs. */
  readonly audience: string
  readonly proofs: Proofs
  readonly tasks: Tasks
  readonly tokens: Tokens
  readonly revocations: Pick<Revocations, 'first'>
  readonly clock: Clock
  /** Told of each refusal, so that it is counted and recorded as others are. */
  readonly onRefused?: (refused: {
    readonly error: OAuthError
    readonly detail: string
    readonly agent: string | null
  }) => void
  readonly monotonic?: () => number
}

export type TokenEndpoint = {
  /** `body` is `application/x-www-form-urlencoded`. */
  token(body: string): Promise<TokenAnswer>
  /** RFC 7009: ends the task that the token names. */
  revoke(body: string): Promise<TokenAnswer>
}

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const year = 366 * 86_400
const seconds = z.number().int().positive().max(year)

const detailSchema = z.strictObject({
  type: z.literal('task'),
  purpose: z.string().max(100).optional(),
  words: z.string().max(2000).optional(),
  tools: z.array(z.string().max(512)).max(256).optional(),
  environment: z.string().max(100).optional(),
  budget: budgetSchema.optional(),
  expires_in: seconds.optional(),
  idle_seconds: z.number().int().nonnegative().max(year).optional(),
  /** An open task to get a fresh token for. */
  task: z.string().max(64).optional(),
  /** An open task to narrow into a sub-task. */
  parent: z.string().max(64).optional(),
})
type Detail = z.infer<typeof detailSchema>

/**
 * The agents' token endpoint: opening a task is asking for a token (client credentials, RFC 6749 section 4.4, with
 * `authorization_details`, RFC 9396), proven by a client assertion (RFC 7523). Nobody gets anything without a proof.
 */
export function createTokenEndpoint(parts: TokenParts): TokenEndpoint {
  const timed = parts.monotonic === undefined ? {} : { monotonic: parts.monotonic }
  // Checking a signature costs; a stranger may make us do it only so often.
  const checks = createRate({ perMinute: 3000, burst: 200, keys: 1, ...timed })
  const grants = createRate({ perMinute: 120, burst: 60, ...timed })

  const failed = (
    error: OAuthError,
    detail: string,
    agent: string | null,
    more: JsonObject = {},
  ): TokenAnswer => {
    parts.onRefused?.({ error, detail, agent })
    return oauthError(error, detail, more)
  }
  const prove = async (form: Form): Promise<{ readonly agent: Agent } | TokenAnswer> => {
    if (!checks.take('')) return failed('temporarily_unavailable', 'too many requests; wait a second', null)
    const assertion = form['client_assertion']
    if (assertion === undefined || form['client_assertion_type'] !== assertionType) {
      return failed(
        'invalid_client',
        `expected \`client_assertion\` with \`client_assertion_type\` set to ${assertionType}`,
        null,
      )
    }
    const proved = await parts.proofs.verify(assertion)
    if (!proved.ok) return failed('invalid_client', proved.detail, null)
    const { agent } = proved
    if (form['client_id'] !== undefined && form['client_id'] !== agent.name)
      return failed('invalid_client', '`client_id` is not whom the assertion proves', agent.name)
    const revoked = parts.revocations.first(['all', `agent:${agent.name}`, `person:${agent.owner}`])
    if (revoked !== null)
      return failed('invalid_client', 'this access was revoked; ask the person you work for', agent.name)
    if (!grants.take(agent.name))
      return failed(
        'temporarily_unavailable',
        'too many tokens; keep the one you have until it expires',
        agent.name,
      )
    return { agent }
  }

  return {
    async token(body) {
      const form = formOf(body)
      if (typeof form === 'string') return failed('invalid_request', form, null)
      if (form['grant_type'] === undefined) return failed('invalid_request', 'expected `grant_type`', null)
      if (form['grant_type'] !== 'client_credentials')
        return failed('unsupported_grant_type', 'expected `grant_type=client_credentials`', null)
      const proved = await prove(form)
      if ('status' in proved) return proved
      const { agent } = proved
      if (form['resource'] !== undefined && !sameOrigin(form['resource'], parts.audience))
        return failed('invalid_target', 'expected a `resource` of this broker', agent.name)
      const detail = detailOf(form['authorization_details'])
      if (typeof detail === 'string') return failed('invalid_authorization_details', detail, agent.name)
      const found = await taskFor(parts, agent, detail)
      if (!found.ok) {
        const [error, more] = errorOf(found.problem)
        return failed(error, found.detail, agent.name, more)
      }
      return granted(parts, found.task)
    },
    async revoke(body) {
      const form = formOf(body)
      if (typeof form === 'string') return failed('invalid_request', form, null)
      const token = form['token']
      if (token === undefined || token === '') return failed('invalid_request', 'expected `token`', null)
      const proved = await prove(form)
      if ('status' in proved) return proved
      const read = await parts.tokens.readEnded(token, parts.clock.now())
      // RFC 7009 section 2.2: an unknown token is as good as revoked.
      if (!read.ok) return { status: 200, body: {} }
      if (read.claims.agent !== proved.agent.name)
        return failed('unauthorized_client', 'the token was given to another agent', proved.agent.name)
      await parts.tasks.close(read.claims.task, 'closed-by-agent', agentActor(proved.agent))
      return { status: 200, body: {} }
    },
  }
}

/** `POST /token` and `POST /revoke`; true when the exchange was one of them and is answered. */
export function tokenRoutes(endpoint: TokenEndpoint): (exchange: Exchange) => Promise<boolean> {
  return async (exchange) => {
    if (exchange.path !== '/token' && exchange.path !== '/revoke') return false
    const answer = await answerTo(endpoint, exchange).catch(unrecorded)
    exchange.answer(answer.status, answer.body, answer.headers ?? {})
    return true
  }
}

/** A task that cannot be recorded is not opened; the agent may come back (RFC 6749 section 4.1.2.1). */
function unrecorded(fault: unknown): TokenAnswer {
  if (!(fault instanceof StoreUnavailable)) throw fault
  const detail = 'nothing can be recorded now; try again later'
  return { ...oauthError('temporarily_unavailable', detail), status: 503 }
}

async function answerTo(endpoint: TokenEndpoint, exchange: Exchange): Promise<TokenAnswer> {
  if (exchange.method !== 'POST')
    return { ...oauthError('invalid_request', 'expected POST'), status: 405, headers: { Allow: 'POST' } }
  const body = await exchange.body('application/x-www-form-urlencoded')
  if (!body.ok) {
    const error = body.status === 503 ? 'temporarily_unavailable' : 'invalid_request'
    return {
      ...oauthError(error, body.problem),
      status: body.status,
      headers: { ...noStore, ...body.headers },
    }
  }
  const text = Buffer.from(body.bytes).toString('utf8')
  return exchange.path === '/token' ? endpoint.token(text) : endpoint.revoke(text)
}

async function taskFor(parts: TokenParts, agent: Agent, detail: Detail) {
  if (detail.task !== undefined) {
    const current = await parts.tasks.current(detail.task, agent.name)
    if (!current.ok) return current
    const revoked = parts.revocations.first([`task:${current.task.id}`])
    return revoked === null
      ? current
      : ({ ok: false, problem: 'revoked', detail: 'this task was revoked' } as const)
  }
  const { purpose, words, tools, environment, budget, expires_in, idle_seconds, parent } = detail
  const opening = {
    by: 'agent',
    agent: agent.name,
    parent,
    purposeClass: purpose,
    words,
    tools,
    environment,
    budget:
      budget === undefined
        ? undefined
        : { ...(budget.calls === undefined ? {} : { calls: budget.calls }), ...effectsOf(budget.effects) },
    lifetimeMs: expires_in === undefined ? undefined : expires_in * 1000,
    idleMs: idle_seconds === undefined ? undefined : idle_seconds * 1000,
  } as const
  return parts.tasks.open(opening, agentActor(agent))
}

const effectsOf = (effects: z.infer<typeof budgetSchema>['effects']) =>
  effects === undefined
    ? {}
    : {
        effects: Object.fromEntries(
          Object.entries(effects).flatMap(([name, limit]) => (limit === undefined ? [] : [[name, limit]])),
        ),
      }

const agentActor = (agent: Agent): Actor => ({ name: agent.name, proof: 'agent-key' })

async function granted(parts: TokenParts, task: Task): Promise<TokenAnswer> {
  const { token, expiresIn } = await parts.tokens.mint({
    agent: task.agent,
    owner: task.owner,
    task: task.id,
    now: parts.clock.now(),
  })
  const detail: JsonObject = {
    type: 'task',
    id: task.id,
    parent: task.parent,
    purpose: task.purpose.class,
    words: task.purpose.words,
    owner: task.owner,
    environment: task.environment,
    tools: task.tools,
    budget: {
      ...(task.budget.calls === undefined ? {} : { calls: task.budget.calls }),
      ...effectsOf(task.budget.effects),
    },
    expires_at: rfc3339(task.expiresAt),
    idle_seconds: Math.round(task.idleMs / 1000),
  }
  return {
    status: 200,
    body: {
      access_token: token,
      token_type: 'Bearer',
      expires_in: expiresIn,
      authorization_details: [detail],
    },
    headers: noStore,
  }
}

/** `task_ended` tells a client that asked for a fresh token that it needs a fresh task. */
function errorOf(problem: TaskProblem): readonly [OAuthError, JsonObject] {
  switch (problem) {
    case 'no-task':
    case 'task-ended':
      return ['invalid_grant', { task_ended: true }]
    case 'revoked':
    case 'unknown-agent':
    case 'no-parent':
    case 'taken':
      return ['invalid_grant', {}]
    case 'bad-request':
    case 'unknown-purpose':
    case 'outside-ceiling':
      return ['invalid_authorization_details', {}]
    case 'too-many':
      return ['temporarily_unavailable', {}]
  }
}

const noStore = { 'Cache-Control': 'no-store', Pragma: 'no-cache' } as const

function oauthError(error: OAuthError, detail: string, more: JsonObject = {}): TokenAnswer {
  const status = error === 'invalid_client' ? 401 : error === 'temporarily_unavailable' ? 429 : 400
  // RFC 6749 section 5.2 allows neither quotes nor backslashes, nor anything beyond ASCII.
  const described = detail.replaceAll(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, "'")
  const headers = status === 429 ? { ...noStore, 'Retry-After': '1' } : noStore
  return { status, body: { error, error_description: described, ...more }, headers }
}

type Form = { readonly [name: string]: string | undefined }

/** RFC 6749 section 3.2: parameters come once, and empty ones count as left out. */
function formOf(body: string): Form | string {
  if (body.length > 64 * 1024) return 'expected a shorter request'
  const form: { [name: string]: string } = Object.create(null)
  for (const [name, value] of new URLSearchParams(body)) {
    if (name in form) return 'expected each parameter once'
    form[name] = value
  }
  return Object.fromEntries(Object.entries(form).filter(([, value]) => value !== ''))
}

function detailOf(text: string | undefined): Detail | string {
  if (text === undefined) return { type: 'task' }
  const parsed = parseIJson(text, { bytes: 64 * 1024, depth: 8 })
  if (!parsed.ok) return `\`authorization_details\` is not strict JSON: ${parsed.problem}`
  const details = z.array(detailSchema).length(1).safeParse(parsed.value)
  if (!details.success) {
    const issue = details.error.issues[0]
    return `expected one detail of type task: ${(issue?.path ?? []).map(String).join('.').slice(0, 80)} ${issue?.message.slice(0, 160) ?? ''}`
  }
  const [detail] = details.data
  if (detail === undefined) return 'expected one detail of type task'
  const others = Object.keys(detail).filter((name) => name !== 'type' && name !== 'task')
  return detail.task !== undefined && others.length > 0
    ? 'a detail that names an open task changes nothing of it; leave the rest out'
    : detail
}

const sameOrigin = (a: string, b: string): boolean =>
  URL.canParse(a) && new URL(a).origin === new URL(b).origin
