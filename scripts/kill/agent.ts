import { isJsonObject, type Json, type JsonObject } from '../../src/lib/json.ts'
import { signProof } from '../../src/identity/proof.ts'
import type { KeyPair } from '../../src/identity/key.ts'
import type { ToolName } from './upstream.ts'

/** What an agent was told of a call. */
export type Told =
  /** The server's own answer was handed over. */
  | { readonly kind: 'done'; readonly call: string; readonly text: string }
  /** Refused or withheld, by its code; `call` is empty when there is none. */
  | { readonly kind: 'refused'; readonly call: string; readonly code: string }
  /** Turned away before it was a call. */
  | { readonly kind: 'turned'; readonly status: number }
  /** The connection broke, or nothing came in time: the agent knows nothing. */
  | { readonly kind: 'lost' }

export type Granted =
  | { readonly ok: true; readonly token: string; readonly task: string }
  /** `lost`: a task may have been opened all the same. */
  | { readonly ok: false; readonly lost: boolean }

export type Agent = {
  readonly name: string
  readonly key: KeyPair
  /** Of the agents' listener that is asked. */
  readonly base: string
  /** As the broker is known to agents, when that is another address. */
  readonly known?: string
  /** Its clock, where that of the brokers is not that of the machine. */
  readonly now?: () => number
}

/** Clients of the SDK give up after a minute. */
const answerMs = 60_000
const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

async function post(agent: Agent, path: '/token' | '/revoke', form: { readonly [name: string]: string }) {
  const audience = new URL('/token', agent.known ?? agent.base).href
  const proof = await signProof({
    agent: agent.name,
    key: agent.key,
    audience,
    now: (agent.now ?? Date.now)(),
  })
  return fetch(new URL(path, audience), {
    method: 'POST',
    signal: AbortSignal.timeout(answerMs),
    body: new URLSearchParams({ ...form, client_assertion_type: assertionType, client_assertion: proof }),
  })
}

/** Opens a task and gets its token; `detail` narrows it. */
export async function openTask(agent: Agent, detail: JsonObject = {}): Promise<Granted> {
  try {
    const response = await post(agent, '/token', {
      grant_type: 'client_credentials',
      authorization_details: JSON.stringify([{ type: 'task', ...detail }]),
    })
    const body: unknown = await response.json()
    if (response.status !== 200 || !isJsonObject(body)) return { ok: false, lost: false }
    const { access_token: token, authorization_details: details } = body
    const first = Array.isArray(details) ? details[0] : null
    const task = isJsonObject(first) ? first['id'] : null
    return typeof token === 'string' && typeof task === 'string'
      ? { ok: true, token, task }
      : { ok: false, lost: false }
  } catch {
    return { ok: false, lost: true }
  }
}

/** Ends the token's task. True when the broker said so. */
export async function endTask(agent: Agent, token: string): Promise<boolean> {
  try {
    return (await post(agent, '/revoke', { token, token_type_hint: 'access_token' })).status === 200
  } catch {
    return false
  }
}

export const callTool = (
  at: { readonly base: string; readonly token: string; readonly server: string },
  tool: ToolName,
  key: string,
): Promise<Told> => send(at, `${at.server}__${tool}`, { key })

export const resume = (at: { readonly base: string; readonly token: string }, call: string): Promise<Told> =>
  send(at, 'countersign_resume', { call })

const meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'kill-test', version: '1.0.0' },
  'io.modelcontextprotocol/clientCapabilities': {},
}

async function send(
  at: { readonly base: string; readonly token: string },
  name: string,
  args: JsonObject,
): Promise<Told> {
  try {
    const response = await fetch(new URL('/mcp', at.base), {
      method: 'POST',
      signal: AbortSignal.timeout(answerMs),
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        authorization: `Bearer ${at.token}`,
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        'mcp-name': name,
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name, arguments: args, _meta: meta },
      }),
    })
    const text = await response.text()
    const data = text.startsWith('{') ? text : /^data: (\{.*)$/m.exec(text)?.[1]
    // A stream that broke before its answer: nothing was said.
    if (data === undefined)
      return response.ok ? { kind: 'lost' } : { kind: 'turned', status: response.status }
    const message: unknown = JSON.parse(data)
    return isJsonObject(message) ? toldBy(message, response.status) : { kind: 'lost' }
  } catch {
    return { kind: 'lost' }
  }
}

function toldBy({ result, error }: JsonObject, status: number): Told {
  if (isJsonObject(error)) {
    const ours = at(error, 'data', 'countersign')
    const code = isJsonObject(ours) ? ours['code'] : undefined
    return typeof code === 'string'
      ? { kind: 'refused', call: textOf(at(error, 'data', 'countersign', 'call')), code }
      : { kind: 'turned', status: status === 200 ? Number(error['code']) : status }
  }
  if (!isJsonObject(result)) return { kind: 'lost' }
  const refusal = at(result, '_meta', 'countersign/refusal')
  const call = textOf(at(result, '_meta', 'countersign/call'))
  if (isJsonObject(refusal)) return { kind: 'refused', call, code: textOf(refusal['code']) }
  if (result['resultType'] === 'input_required') return { kind: 'refused', call, code: 'approval-required' }
  const content = result['content']
  const first = Array.isArray(content) ? content[0] : null
  return { kind: 'done', call, text: isJsonObject(first) ? textOf(first['text']) : '' }
}

function at(value: Json, ...path: readonly string[]): Json | undefined {
  let node: Json | undefined = value
  for (const name of path) node = isJsonObject(node) ? node[name] : undefined
  return node
}

const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '')
