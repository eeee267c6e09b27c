import { createListener, type ListenerLimits } from '../../../src/door/listener.ts'
import { createMcpDoor } from '../../../src/door/mcp/door.ts'
import { doorSettings, type DoorPorts, type DoorSettings } from '../../../src/door/mcp/ports.ts'
import { refuse, type Refused } from '../../../src/call/refusal.ts'
import type { Arrival, Released, Settled } from '../../../src/call/states.ts'
import type { Ask } from '../../../src/approval/ask.ts'
import type { Caller, Credential } from '../../../src/identity/caller.ts'
import type { Subscription } from '../../../src/server/answer.ts'
import type { HeldCall } from '../../../src/store/ports.ts'
import type { JsonObject } from '../../../src/lib/json.ts'
import type { Task } from '../../../src/task/task.ts'
import type { Definition, Tool } from '../../../src/registry/tool.ts'

/** The door on a real socket, with a scripted path behind it. Tokens are `agent.task`. */
export type Harness = {
  readonly url: string
  readonly arrivals: Arrival[]
  readonly asks: Map<string, Ask>
  readonly held: Map<string, HeldCall>
  readonly tasks: Map<string, Task>
  readonly revoked: Set<string>
  script: (arrival: Arrival) => Promise<Settled | Refused> | Settled | Refused
  tools: Tool[]
  resources: JsonObject[]
  changed(): void
  /** What a server says of a resource that somebody watches. */
  updated(subscription: Subscription): void
  readonly unsubscribed: Subscription[]
  answer(ask: string, state: Ask['state']): void
  now: number
  stop(): Promise<void>
}

export const alpha = { token: 'alpha.t_alpha', agent: 'alpha', task: 't_alpha' } as const
export const beta = { token: 'beta.t_beta', agent: 'beta', task: 't_beta' } as const

export async function start(
  settings: Partial<DoorSettings> = {},
  limits: Partial<ListenerLimits> = {},
): Promise<Harness> {
  const told = new Set<() => void>()
  const answered = new Set<(ask: string) => void>()
  const updated = new Set<(subscription: Subscription) => void>()
  let version = 1
  const h: Harness = {
    url: '',
    arrivals: [],
    asks: new Map(),
    held: new Map(),
    tasks: new Map([taskOf(alpha), taskOf(beta)].map((task) => [task.id, task])),
    revoked: new Set(),
    script: (arrival) =>
      settled(arrival, {
        kind: 'result',
        result: { content: [{ type: 'text', text: 'ok' }] },
        isError: false,
      }),
    tools: [tool('files', 'read_file'), tool('files', 'write_file'), tool('mail', 'send')],
    resources: [],
    changed: () => {
      version += 1
      told.forEach((tell) => tell())
    },
    updated: (subscription) => updated.forEach((tell) => tell(subscription)),
    unsubscribed: [],
    answer: (id, state) => {
      const ask = h.asks.get(id)
      if (ask !== undefined) h.asks.set(id, { ...ask, state })
      answered.forEach((tell) => tell(id))
    },
    now: Date.parse('2026-11-22T12:00:00Z'),
    stop: async () => undefined,
  }
  const ports: DoorPorts = {
    run: async (arrival) => {
      h.arrivals.push(arrival)
      const caller = verify(h, arrival.credential)
      return 'refused' in caller ? caller : h.script(arrival)
    },
    authenticate: async (credential) => verify(h, credential),
    registry: {
      list: ({ server, patterns, kinds }) =>
        h.tools.filter(
          (t) =>
            (server === undefined || t.server === server) &&
            kinds.includes(t.kind) &&
            covered(patterns, t.id),
        ),
      find: ({ server, operation, name }) =>
        h.tools.find(
          (t) =>
            t.server === server &&
            (operation === 'read' || operation === 'subscribe'
              ? t.kind === 'resource' && name.startsWith(t.name)
              : t.name === name),
        ) ?? null,
      resources: (server) => h.resources.filter((resource) => resource['server'] === server),
      instructions: (server) => (server === 'files' ? 'Paths are relative.' : null),
      servers: () => [...new Set(h.tools.map((t) => t.server))],
      version: () => version,
      onChange: (tell) => {
        told.add(tell)
        return () => told.delete(tell)
      },
    },
    tasks: { get: async (id) => h.tasks.get(id) ?? null },
    approvals: {
      get: async (id) => h.asks.get(id) ?? null,
      waiting: async (task) =>
        [...h.asks.values()].filter((ask) => ask.task === task && ask.state === 'pending'),
      onAnswer: (tell) => {
        answered.add(tell)
        return () => answered.delete(tell)
      },
    },
    updates: {
      onUpdated: (tell) => {
        updated.add(tell)
        return () => void updated.delete(tell)
      },
      unsubscribe: (subscription) => void h.unsubscribed.push(subscription),
    },
    calls: { held: async (call) => h.held.get(call) ?? null },
    turnedAway: () => undefined,
    settings: { ...doorSettings, pollMs: 20, recheckMs: 30, ...settings },
    sealKey: new Uint8Array(32).fill(7),
    clock: { now: () => h.now },
  }
  const door = createMcpDoor(ports)
  const listener = createListener({
    name: 'agents',
    host: '127.0.0.1',
    port: 0,
    loopbackOrigins: true,
    limits: { graceMs: 200, keepAliveMs: 1_000, ...limits },
    routes: (exchange) => (door.handles(exchange.path) ? door.serve(exchange) : Promise.resolve()),
    onFault: (fault) => {
      throw fault
    },
  })
  const { url } = await listener.listen()
  return Object.assign(h, {
    url,
    stop: async () => {
      door.close()
      await listener.close()
    },
  })
}

function verify(h: Harness, credential: Credential): Caller | Refused {
  if (credential.kind !== 'bearer')
    return refuse('unauthenticated', 'authenticate', 'missing', {
      hint: 'Send `Authorization: Bearer` with a task token.',
    })
  const [name = '', task = ''] = credential.token.split('.')
  if (h.revoked.has(credential.token)) return refuse('revoked', 'authenticate', 'secret-reason')
  if (!['alpha', 'beta'].includes(name) || task === '')
    return refuse('unauthenticated', 'authenticate', 'secret-reason')
  return {
    kind: 'agent',
    name,
    onBehalfOf: 'owner',
    proven: 'task-token',
    issuer: 'countersign',
    task,
    tokenId: 'jti',
    expiresAt: h.now + 60_000,
  }
}

const covered = (patterns: readonly string[], id: string): boolean =>
  patterns.some(
    (pattern) =>
      pattern === '*' || pattern === id || (pattern.endsWith('/*') && id.startsWith(pattern.slice(0, -1))),
  )

export function taskOf(
  { agent, task }: { readonly agent: string; readonly task: string },
  more: Partial<Task> = {},
): Task {
  return {
    id: task,
    parent: null,
    agent,
    owner: 'owner',
    purpose: { class: 'general', words: '' },
    environment: 'development',
    tools: ['*'],
    budget: {},
    openedAt: 0,
    expiresAt: Date.parse('2026-11-22T20:00:00Z'),
    idleMs: 0,
    state: 'open',
    closedAt: null,
    closedBecause: null,
    context: {},
    ...more,
  }
}

export function tool(server: string, name: string, definition: Partial<Definition> = {}): Tool {
  const kind = definition.kind ?? 'tool'
  const full: Definition = {
    kind,
    name,
    ...(kind === 'tool' ? { inputSchema: { type: 'object' } } : {}),
    ...definition,
  }
  return {
    id: kind === 'tool' ? `${server}/${name}` : `${server}/${kind}:${name}`,
    server,
    kind,
    name,
    state: 'reviewed',
    digest: 'sha256:0',
    definition: full,
    pinned: full,
    review: null,
    findings: [],
  }
}

/** A settled call. Only the path seals one; a scripted path cannot. */
export function settled(arrival: Arrival, answer: Released, ask: string | null = null): Settled {
  const made: object = {
    call: arrival.call,
    task: 't_alpha',
    outcome: 'ok',
    tool: tool('files', 'read_file'),
    ask,
    answer,
  }
  return made as Settled
}

export const text = (words: string): Released => ({
  kind: 'result',
  result: { content: [{ type: 'text', text: words }] },
  isError: false,
})

/** What the path does on a call that needs a person: opens an ask under its id and keeps the call. */
export function askFor(h: Harness, arrival: Arrival, id = 'a_ask', lifeMs = 15 * 60_000): Refused {
  if (!h.asks.has(id)) {
    h.asks.set(id, {
      id,
      digest: 'sha256:1',
      call: arrival.call,
      task: 't_alpha',
      agent: 'alpha',
      owner: 'owner',
      tool: 'files/write_file',
      toolDigest: 'sha256:0',
      policy: 'sha256:2',
      requirement: { count: 1, independent: false, proof: 'terminal' },
      because: [],
      arguments: arrival.arguments,
      askedAt: h.now,
      expiresAt: h.now + lifeMs,
      state: 'pending',
      answers: [],
    })
    h.held.set(arrival.call, {
      call: arrival.call,
      task: 't_alpha',
      agent: 'alpha',
      wanted: arrival.wanted,
      arguments: arrival.arguments,
      ask: id,
      expiresAt: h.now + lifeMs,
    })
  }
  return refuse('approval-required', 'approve', 'secret-reason', { ask: { id, expiresAt: h.now + lifeMs } })
}

/** A path that asks once and runs when the ask was approved. */
export function asking(h: Harness): Harness['script'] {
  return (arrival) => {
    const ask = h.asks.get('a_ask')
    if (ask?.state === 'refused') return refuse('approval-refused', 'approve', 'secret-reason')
    if (ask?.state !== 'approved') return askFor(h, arrival)
    h.asks.set('a_ask', { ...ask, state: 'consumed' })
    return settled(arrival, text('written'))
  }
}

export type Answer = {
  readonly status: number
  readonly headers: Headers
  readonly body: JsonObject
  readonly text: string
}

/** One raw POST. `headers` replaces defaults; null takes one away. */
export async function post(
  url: string,
  body: string | JsonObject,
  headers: { readonly [name: string]: string | null } = {},
  onPart?: OnPart,
): Promise<Answer> {
  const all = Object.entries({
    authorization: `Bearer ${alpha.token}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...headers,
  }).flatMap(([name, value]) => (value === null ? [] : [[name, value] as const]))
  const response = await fetch(url, {
    method: 'POST',
    headers: Object.fromEntries(all),
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return readAnswer(response, onPart)
}

/** Told what has come of an answer so far, whenever more of it comes. */
type OnPart = (soFar: string) => void

export async function readAnswer(response: Response, onPart: OnPart = () => undefined): Promise<Answer> {
  let raw = ''
  for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) onPart((raw += part))
  const data = raw.startsWith('{')
    ? raw
    : (raw
        .split('\n')
        .findLast((line) => line.startsWith('data: '))
        ?.slice(6) ?? '{}')
  return { status: response.status, headers: response.headers, text: raw, body: JSON.parse(data) }
}

export const meta = (capabilities: JsonObject = {}): JsonObject => ({
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': capabilities,
})

/** A modern request with the headers that belong to it. */
export function modern(
  url: string,
  method: string,
  params: JsonObject = {},
  more: {
    readonly headers?: { readonly [name: string]: string | null }
    readonly capabilities?: JsonObject
    readonly id?: number
    readonly onPart?: OnPart
  } = {},
): Promise<Answer> {
  const name = params['name'] ?? params['uri']
  return post(
    url,
    { jsonrpc: '2.0', id: more.id ?? 1, method, params: { _meta: meta(more.capabilities), ...params } },
    {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof name === 'string' && method !== 'completion/complete' ? { 'mcp-name': name } : {}),
      ...more.headers,
    },
    more.onPart,
  )
}

/** Does it once, when an answer that is still coming holds this. */
export const upon = (words: string, then: () => void): OnPart => {
  let waits = true
  return (soFar) => {
    if (!waits || !soFar.includes(words)) return
    waits = false
    then()
  }
}

/** A member of an answer that should be a text; the empty one when it is not. */
export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
