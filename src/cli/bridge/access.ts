import { signProof } from '../../identity/proof.ts'
import type { KeyPair } from '../../identity/key.ts'

/** What a request needs to be let in. `generation` moves when another task took the place of one that ended. */
export type Access = { readonly token: string; readonly generation: number }

export type Accesses = {
  /** A token with some time left; opens the task at first. Throws `AccessProblem`. */
  get(): Promise<Access>
  /** After the broker has not accepted `used`: a fresh one, in a new task when the old one has ended. */
  renew(used: Access): Promise<Access>
  /** Ends the task. Never throws: it ends by itself, too. */
  close(): Promise<void>
}

/** Why there is no token, in words for the person in front of the client. */
export class AccessProblem extends Error {
  override readonly name = 'AccessProblem'
}

type Held = Access & { readonly task: string; readonly until: number }
type Granted =
  | { readonly ok: true; readonly held: Omit<Held, 'generation'> }
  | { readonly ok: false; readonly ended: boolean; readonly detail: string }

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
/** A token is exchanged for a fresh one this long before its end, by the monotonic clock. */
const sparedMs = 60_000

/** Opens the agent's default task and keeps a token for it. `base` gives the agents' listener, anew each time. */
export function createAccesses(parts: {
  readonly agent: string
  readonly key: KeyPair
  readonly base: () => Promise<string>
  readonly timeoutMs?: number
}): Accesses {
  let held: Held | null = null
  let under: Promise<Held> | null = null
  let closed = false

  const post = async (
    path: '/token' | '/revoke',
    form: { readonly [name: string]: string },
  ): Promise<Response> => {
    const audience = new URL('/token', await parts.base()).href
    const proof = await signProof({ agent: parts.agent, key: parts.key, audience, now: Date.now() })
    return fetch(new URL(path, audience), {
      method: 'POST',
      redirect: 'error',
      signal: AbortSignal.timeout(parts.timeoutMs ?? 10_000),
      body: new URLSearchParams({ ...form, client_assertion_type: assertionType, client_assertion: proof }),
    })
  }
  const ask = async (detail: { readonly [name: string]: string }): Promise<Granted> => {
    const response = await post('/token', {
      grant_type: 'client_credentials',
      authorization_details: JSON.stringify([{ type: 'task', ...detail }]),
    })
    return granted(response.status, await response.json().catch(() => null))
  }
  const obtain = async (): Promise<Held> => {
    const before = held
    const again = before === null ? null : await ask({ task: before.task })
    if (again !== null && !again.ok && !again.ended) throw new AccessProblem(again.detail)
    const got = again?.ok === true ? again : await ask({})
    if (!got.ok) throw new AccessProblem(got.detail)
    const same = before !== null && got.held.task === before.task
    held = { ...got.held, generation: before === null ? 0 : before.generation + (same ? 0 : 1) }
    return held
  }
  // One request for a token at a time, however many calls wait for it: each would open a task of its own.
  const once = (): Promise<Held> => {
    if (closed) return Promise.reject(new AccessProblem('this connection is closing'))
    under ??= obtain().finally(() => (under = null))
    return under
  }

  return {
    get: async () => (held !== null && performance.now() < held.until - sparedMs ? held : once()),
    renew: async (used) => (held !== null && held.token !== used.token ? held : once()),
    async close() {
      closed = true
      await under?.catch(() => undefined)
      if (held === null) return
      const { token } = held
      held = null
      await post('/revoke', { token, token_type_hint: 'access_token' }).catch(() => undefined)
    },
  }
}

function granted(status: number, body: unknown): Granted {
  const token = member(body, 'access_token')
  const expiresIn = member(body, 'expires_in')
  const details = member(body, 'authorization_details')
  const task = Array.isArray(details) ? member(details[0], 'id') : undefined
  if (
    status === 200 &&
    typeof token === 'string' &&
    typeof expiresIn === 'number' &&
    typeof task === 'string'
  ) {
    return { ok: true, held: { token, task, until: performance.now() + expiresIn * 1000 } }
  }
  const description = member(body, 'error_description')
  return {
    ok: false,
    ended: member(body, 'task_ended') === true,
    detail: typeof description === 'string' ? description : `the broker gave no token (status ${status})`,
  }
}

/** An own member of something that came from outside. */
export const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined
