import { z } from 'zod'
import type { JsonObject } from '../../lib/json.ts'
import type { PartResult } from './parts.ts'
import type { Presence } from '../../identity/operator.ts'

/** Codes are stable; `docs/reference` lists them. */
export const apiErrors = {
  'bad-request': 400,
  'no-key': 401,
  'wrong-key': 401,
  'wrong-passphrase': 401,
  'no-passphrase-set': 403,
  'unknown-operator': 403,
  'needs-proof': 403,
  forbidden: 403,
  'not-found': 404,
  'method-not-allowed': 405,
  conflict: 409,
  refused: 422,
  'slow-down': 429,
  fault: 500,
  unavailable: 503,
} as const

export type ApiCode = keyof typeof apiErrors
export type Answer = { readonly status: number; readonly body: JsonObject }
export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

/** `proved`: whatever gives authority. `present`: reading, and whatever takes authority away. */
export type Need = 'present' | 'proved'

export type Route = {
  readonly method: Method
  readonly path: readonly string[]
  readonly needs: Need
  /** Name of the act for people who watch; null for reading. */
  readonly act: string | null
  answer(input: RawInput): Promise<Answer>
}

export type RawInput = {
  readonly params: { readonly [name: string]: string }
  readonly query: { readonly [name: string]: string }
  readonly body: unknown
  readonly who: Presence
  readonly signal: AbortSignal
}

const nothing = z.strictObject({})

/** One route, with closed schemas for what comes in: an unknown member is an error, not something to ignore. */
export function route<Body, Query>(definition: {
  readonly on: `${Method} /v1/${string}`
  readonly needs: Need
  readonly act?: string
  readonly body?: z.ZodType<Body>
  readonly query?: z.ZodType<Query>
  readonly answer: (input: {
    readonly params: { readonly [name: string]: string }
    readonly body: Body
    readonly query: Query
    readonly who: Presence
    readonly signal: AbortSignal
  }) => Promise<Answer>
}): Route {
  const [method, path] = split(definition.on)
  return {
    method,
    path,
    needs: definition.needs,
    act: definition.act ?? null,
    async answer(input) {
      const query = (definition.query ?? nothing).safeParse(input.query)
      if (!query.success) return badInput('query', query.error)
      const body = (definition.body ?? nothing).safeParse(input.body ?? {})
      if (!body.success) return badInput('body', body.error)
      // Without a schema of its own, a route's handler is not given the (empty) value in any typed form.
      const { answer } = definition
      return answer({ ...input, body: body.data as Body, query: query.data as Query })
    },
  }
}

function split(on: string): readonly [Method, readonly string[]] {
  const [method = '', path = ''] = on.split(' ')
  if (method !== 'GET' && method !== 'POST' && method !== 'PUT' && method !== 'DELETE')
    throw new TypeError(`expected a method, found \`${method}\``)
  return [method, path.split('/').slice(1)]
}

/** The parameters when the path fits, else null. Segments are decoded one by one, so a tool id may hold a slash. */
export function match(
  pattern: readonly string[],
  segments: readonly string[],
): { readonly [name: string]: string } | null {
  if (pattern.length !== segments.length) return null
  const params: { [name: string]: string } = {}
  for (const [i, part] of pattern.entries()) {
    const segment = segments[i] ?? ''
    if (part.startsWith(':')) params[part.slice(1)] = segment
    else if (part !== segment) return null
  }
  return params
}

export const done = (body: JsonObject, status = 200): Answer => ({ status, body })

/** An error. `message` says what was expected, `hint` what to do. */
export const problem = (code: ApiCode, message: string, hint: string): Answer => ({
  status: apiErrors[code],
  body: { error: { code, message, hint } },
})

export const notFound = (what: string, hint: string): Answer =>
  problem('not-found', `there is no ${what}`, hint)

export const needsProof = (why = 'this gives authority, so a person has to be proven'): Answer =>
  problem('needs-proof', why, 'give your passphrase, or do it in the terminal that runs the broker')

export function fromPart(result: PartResult): Answer {
  if (result.ok) return done(result.value)
  const codes = {
    'not-found': 'not-found',
    conflict: 'conflict',
    invalid: 'bad-request',
    unavailable: 'unavailable',
  } as const
  return problem(codes[result.problem], result.message, result.hint ?? 'correct it and send it again')
}

/** Where and what, never the value: it could be a secret. */
function badInput(where: string, error: z.ZodError): Answer {
  const issues = error.issues
    .slice(0, 5)
    .map(
      (issue) =>
        `\`${[where, ...issue.path.map(String)].join('.').slice(0, 100)}\`: ${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1, 200)}`,
    )
  return problem('bad-request', issues.join('; '), 'the commands say what they take: countersign --help')
}
