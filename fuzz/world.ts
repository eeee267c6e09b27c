import { configSchema } from '../src/config/schema.ts'
import { createAccesses, type Accesses } from '../src/cli/bridge/access.ts'
import { hold } from './target.ts'
import { join } from 'node:path'
import { loadAgentKey } from '../src/identity/key.ts'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { startBroker, type Broker } from '../src/broker.ts'
import { startUpstream, type Upstream } from './upstream.ts'
import { tmpdir } from 'node:os'
import { verifyLog } from '../src/verify.ts'
import type { JsonObject } from '../src/lib/json.ts'

/** What must never be seen where it does not belong: the lent secret, another agent's words, the environment. */
export const canaries = {
  secret: 'cs-secret-Zq81xYw7PpLm',
  neighbour: 'cs-neighbour-4Tq9RbVn',
  environment: 'cs-environment-Hy7Kd2Wa',
} as const

/** A whole broker on a disk, with a server behind it, an agent who attacks and another one who minds her own business. */
export type World = {
  readonly broker: Broker
  readonly upstream: Upstream
  readonly home: string
  readonly faults: unknown[]
  token(): Promise<string>
  /** Of the other agent: what the attacker might have seen somewhere. */
  readonly neighbour: { readonly session: string; readonly state: string; readonly call: string; readonly task: string }
  /** Posts one message as an agent, properly. */
  post(body: JsonObject, options?: { readonly token?: string; readonly session?: string }): Promise<{ status: number; session: string | null; body: JsonObject }>
  /** Answers what waits for a person. */
  answerAsks(): Promise<void>
  /** I1 to I8, as far as the log and the server can tell. */
  settle(): Promise<void>
  close(): Promise<void>
} // prettier-ignore

export const meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': { elicitation: {} },
}

export async function openWorld(): Promise<World> {
  process.env['COUNTERSIGN_FUZZ_CANARY'] = canaries.environment
  const root = await mkdtemp(join(tmpdir(), 'countersign-fuzz-'))
  const upstream = await startUpstream()
  const faults: unknown[] = []
  const home = join(root, 'home')
  const config = configSchema.parse({
    home,
    operator: 'operator',
    policy: { starter: 'guarded-one-person' },
    servers: { up: { url: upstream.url, headers: { Authorization: 'Bearer ${secret:up-token}' } } },
    agents: { coder: {}, neighbour: {} },
    approvals: { holdSeconds: 0 },
    audit: { checkpointMs: 500 },
  })
  const broker = await startBroker(
    { config, file: null, base: root, digest: 'sha256:fuzz' },
    { ports: { agents: 0, operators: 0 }, onFault: (fault) => void faults.push(fault) },
  )
  await prepare(broker)
  const accesses = await Promise.all(['coder', 'neighbour'].map((agent) => accessOf(broker, home, agent)))
  const [mine, other] = accesses
  if (mine === undefined || other === undefined) throw new Error('unreachable')
  const token = async (): Promise<string> => (await mine.get()).token
  const post: World['post'] = async (body, { token: bearer, session } = {}) =>
    postTo(broker, body, { token: bearer ?? (await token()), session: session ?? null })
  return {
    broker,
    upstream,
    home,
    faults,
    token,
    post,
    neighbour: await mindOwnBusiness(post, other),
    answerAsks: () => answerAsks(broker),
    settle: () => settle(broker, upstream, home),
    async close() {
      await broker.close()
      await upstream.close()
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** Sets the secret, lists the server with it, and accepts what it offers, as a reviewer who looked would. */
async function prepare(broker: Broker): Promise<void> {
  await broker.listed
  const api = (method: string, path: string, body: JsonObject = {}) =>
    broker.api({ method, path, body, level: 'terminal' })
  await api('PUT', '/v1/secrets/up-token', { value: canaries.secret })
  const listed = await api('POST', '/v1/servers/up/refresh')
  hold(listed.status === 200, 'the server can be listed', () => JSON.stringify(listed.body))
  const effects = { 'up/write_note': ['write'] } as const
  for (const tool of broker.core.registry.tools({ state: 'quarantined' })) {
    const reviewed = await broker.core.registry.review({
      id: tool.id,
      digest: tool.digest,
      overrides: { effects: tool.id === 'up/write_note' ? effects['up/write_note'] : ['read'] },
      by: { name: 'operator', proof: 'terminal' },
    })
    hold(reviewed.ok, 'what the server offers can be reviewed')
  }
}

async function accessOf(broker: Broker, home: string, agent: string): Promise<Accesses> {
  const key = await loadAgentKey(home, agent)
  return createAccesses({ agent, key, base: async () => broker.urls.agents })
}

async function postTo(
  broker: Broker,
  body: JsonObject,
  given: { readonly token: string; readonly session: string | null },
): Promise<Awaited<ReturnType<World['post']>>> {
  const params = body['params']
  const name =
    typeof params === 'object' && params !== null && 'name' in params ? String(params['name']) : null
  const modern = given.session === null && body['method'] !== 'initialize'
  const response = await fetch(new URL('/mcp', broker.urls.agents), {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      authorization: `Bearer ${given.token}`,
      ...(modern ? { 'mcp-protocol-version': '2026-07-28', 'mcp-method': String(body['method']) } : {}),
      ...(modern && name !== null ? { 'mcp-name': name } : {}),
      ...(given.session === null ? {} : { 'mcp-session-id': given.session }),
    },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  const data = /^(?:event|:)/.test(text) ? (/^data: (.*)$/m.exec(text)?.[1] ?? '{}') : text
  const session = response.headers.get('mcp-session-id')
  return { status: response.status, session, body: JSON.parse(data === '' ? '{}' : data) }
}

/** The other agent: a session, a call that waits for a person, and arguments that are nobody else's. */
async function mindOwnBusiness(post: World['post'], access: Accesses): Promise<World['neighbour']> {
  const { token } = await access.get()
  const opened = await post({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'neighbour', version: '1' } } }, { token }) // prettier-ignore
  const waiting = await post({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'up__write_note', arguments: { text: canaries.neighbour }, _meta: meta } }, { token }) // prettier-ignore
  const status = await post({ jsonrpc: '2.0', id: 3, method: 'tools/call', params: { name: 'countersign_status', arguments: {}, _meta: meta } }, { token }) // prettier-ignore
  const state = /"requestState":"([^"]+)"/.exec(JSON.stringify(waiting.body))?.[1] ?? ''
  const call = /c_[0-9A-Za-z]{22}/.exec(JSON.stringify(status.body))?.[0] ?? ''
  const task = /t_[0-9A-Za-z]{22}/.exec(JSON.stringify(status.body))?.[0] ?? ''
  hold(
    opened.session !== null && state !== '' && call !== '' && task !== '',
    'the neighbour has something to steal',
  )
  return { session: opened.session, state, call, task }
}

async function answerAsks(broker: Broker): Promise<void> {
  const pending = (await broker.core.approvals.pending()).filter(({ agent }) => agent === 'coder')
  for (const [index, ask] of pending.entries())
    await broker.core.approvals.answer(ask.id, {
      answer: index % 3 === 0 ? 'refuse' : 'approve',
      reason: 'fuzz',
      by: { name: 'operator', proof: 'terminal' },
      proof: 'terminal',
    })
}

/** The log verifies, every intent has its outcome, nothing reached the server without one, no secret lies in it. */
async function settle(broker: Broker, upstream: Upstream, home: string): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 200))
  await broker.publisher.tick()
  const directory = join(home, 'log')
  const report = await verifyLog({ directory, vkey: broker.publisher.vkey })
  hold(report.ok, 'the log verifies', () => JSON.stringify(report.problems.slice(0, 3)))
  const { intent, outcome, open } = report.counts
  hold(open === 0 && intent === outcome, 'I2: every intent has one outcome', () =>
    JSON.stringify(report.counts),
  )
  hold(upstream.reached.length <= intent, 'I1: nothing reaches the server without an intent', () => `${upstream.reached.length} > ${intent}`) // prettier-ignore
  for (const file of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue
    const content = await readFile(join(file.parentPath, file.name), 'latin1')
    hold(!content.includes(canaries.secret), 'I5: the log holds no lent secret')
  }
}
