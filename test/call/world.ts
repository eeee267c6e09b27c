import { createTurns } from '../../src/call/turns.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFlood, type Flood, type FloodSettings } from '../../src/audit/flood.ts'
import { createOwed, type OwedLedger } from '../../src/call/recover.ts'
import { run } from '../../src/call/path.ts'
import { buildCore, layGround, type Core, type Ground } from '../../src/compose/core.ts'
import { buildIdentity } from '../../src/compose/doors.ts'
import { configSchema } from '../../src/config/schema.ts'
import { secretOf } from '../../src/credential/secret.ts'
import { createKey } from '../../src/identity/key.ts'
import { newId } from '../../src/lib/id.ts'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import { define } from '../../src/registry/define.ts'
import type { Arrival, Leg, Settled } from '../../src/call/states.ts'
import type { Ask, ProofClass } from '../../src/approval/ask.ts'
import type { Confidentiality } from '../../src/flow/labels.ts'
import type { Effect } from '../../src/registry/tool.ts'
import type { Opening } from '../../src/task/tasks.ts'
import type { Outgoing, ServerAnswer, Servers } from '../../src/server/answer.ts'
import type { Ports } from '../../src/call/ports.ts'
import type { Refused } from '../../src/call/refusal.ts'
import type { Task } from '../../src/task/task.ts'

/** The path on the real store with everything real around it but the servers, whose answers are scripted. */

export const operator = { name: 'operator', proof: 'terminal' } as const
/** What the server `bank` is equipped with; must never be seen again. */
export const bankToken = 'bank-token-7d1f0c2e9a'

export const policy = `
@id("test/registered") @reason("it is registered")
permit (principal, action, resource);

@id("test/writes") @reason("it changes something")
forbid (principal, action in Action::"effect:write", resource) unless { context has approval };

@id("test/spending") @reason("it spends")
forbid (principal, action in Action::"effect:spend", resource)
unless { context has approval && context.approval.count >= 2 && context.approval.independent && context.approval.proof >= 2 };

@id("test/deleting") @reason("nothing is deleted here")
forbid (principal, action in Action::"effect:delete", resource);

@id("test/sending") @reason("it read something that may not leave")
forbid (principal, action in Action::"effect:egress", resource) when { context.labels.confidentiality >= 2 };

@id("test/much") @reason("too many notes")
forbid (principal, action == Action::"files/note", resource) when { context.history.calls >= 1000 };

@id("test/wizard") @reason("the task has read something untrusted")
forbid (principal, action == Action::"files/wizard", resource) when { context.labels.untrusted } unless { context has approval };
`

type Made = { readonly effects: readonly Effect[]; readonly confidentiality: Confidentiality }
/** Every tool takes `path` and `text`. `note` runs freely, though it writes: its group is not `write`. */
const tools: { readonly [id: string]: Made } = {
  'files/read': { effects: ['read'], confidentiality: 'internal' },
  'files/secret': { effects: ['read'], confidentiality: 'confidential' },
  'files/write': { effects: ['write'], confidentiality: 'internal' },
  'files/note': { effects: ['execute'], confidentiality: 'public' },
  'files/wizard': { effects: ['execute'], confidentiality: 'public' },
  'files/wipe': { effects: ['delete'], confidentiality: 'public' },
  'bank/balance': { effects: ['read'], confidentiality: 'confidential' },
  'bank/pay': { effects: ['spend'], confidentiality: 'internal' },
  'mail/send': { effects: ['egress'], confidentiality: 'public' },
}
export const toolIds = Object.keys(tools)

export const inputSchema: JsonObject = {
  type: 'object',
  properties: { path: { type: 'string', maxLength: 100_000 }, text: { type: 'string' } },
  required: ['path'],
  additionalProperties: false,
}

export type Script = (outgoing: Outgoing) => ServerAnswer | Promise<ServerAnswer>
/** A request as the server saw it, with the kinds of entries that were durable for its call at that moment. */
export type Reached = { readonly outgoing: Outgoing; readonly kinds: readonly unknown[] }
export type FakeServers = Servers & {
  readonly reached: Reached[]
  readonly ended: string[]
  /** How calls are answered from now on. */
  script(answer: Script): void
}

export const text = (said: string, isError = false): ServerAnswer => ({
  kind: 'result',
  result: { content: [{ type: 'text', text: said }] },
  isError,
})

/** Never answers until it is aborted; then nobody knows what it did. */
export const hang: Script = ({ signal }) =>
  new Promise((resolve) => {
    const end = () => resolve({ kind: 'unknown', problem: 'cancelled', detail: 'aborted' })
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })

export type Wanting = {
  readonly call?: string
  readonly chain?: string
  readonly token?: string
  readonly leg?: Leg | null
  readonly operation?: Arrival['wanted']['operation']
  readonly credential?: Arrival['credential']
  readonly signal?: AbortSignal
  readonly ports?: Partial<Ports>
}

export type PathWorld = {
  readonly home: string
  readonly clock: MovableClock
  readonly ground: Ground
  readonly core: Core
  readonly ports: Ports
  readonly servers: FakeServers
  readonly owed: OwedLedger
  readonly flood: Flood
  readonly faults: unknown[]
  open(opening?: Partial<Opening>): Promise<Task>
  token(task: Pick<Task, 'id' | 'agent' | 'owner'>): Promise<string>
  arrival(token: string, tool: string, args: JsonObject, wanting?: Wanting): Arrival
  /** Makes an arrival and runs it. */
  call(task: Task, tool: string, args?: JsonObject, wanting?: Wanting): Promise<Settled | Refused>
  approve(ask: string, by?: string, proof?: ProofClass): Promise<string>
  refuse(ask: string): Promise<string>
  ask(id: string | undefined): Promise<Ask>
  /** All entries of the log, oldest first. */
  entries(): Promise<readonly JsonObject[]>
  of(call: string): Promise<readonly JsonObject[]>
  /** Closes the store as at an orderly end; the folder stays when asked. */
  close(keep?: 'keep'): Promise<void>
}

export type MovableClock = { now(): number; move(ms: number): void; jump(by: () => number): void }

function movableClock(): MovableClock {
  let at = Date.parse('2026-03-02T12:00:00Z')
  let wobble = (): number => 0
  return {
    now: () => (at += 1) + wobble(),
    move: (ms) => void (at += ms),
    jump: (by) => void (wobble = by),
  }
}

export type WorldOptions = {
  /** The folder of an earlier incarnation. */
  readonly home?: string
  readonly flood?: FloodSettings
  readonly pendingPerAgent?: number
  readonly clearance?: Confidentiality
  readonly environment?: string
  readonly clock?: MovableClock
}

export async function pathWorld(options: WorldOptions = {}): Promise<PathWorld> {
  const home = options.home ?? (await mkdtemp(join(tmpdir(), 'countersign-path-')))
  const clock = options.clock ?? movableClock()
  const faults: unknown[] = []
  const config = configSchema.parse({
    home,
    operator: operator.name,
    policy: { starter: 'observe' },
    ...(options.environment === undefined ? {} : { environment: options.environment }),
    approvals: { pendingPerAgent: options.pendingPerAgent ?? 20 },
  })
  const ground = await layGround({
    config,
    operator: operator.name,
    clock,
    onFault: (fault) => void faults.push(fault),
  })
  const core = await buildCore(ground)
  const { tokens, verifier } = await buildIdentity(ground, core, { url: 'http://127.0.0.1', base: home })
  const servers = fakeServers(ground)
  const owed = createOwed()
  const flood = createFlood({ burst: 100_000, ...options.flood })
  if (options.home === undefined) await furnish(ground, core)
  const swapped = await core.policies.swap([{ name: 'test.cedar', text: policy }])
  assert.ok(swapped.ok, JSON.stringify(swapped))
  const ports: Ports = {
    clock,
    verifier,
    servers,
    owed,
    turns: createTurns(),
    refusals: flood,
    recorder: ground.recorder,
    revocations: core.revocations,
    tasks: ground.store.tasks,
    registry: core.registry,
    policies: core.policies,
    approvals: core.approvals,
    catchUp: core.catchUp,
    flow: core.flow,
    calls: ground.store.calls,
    log: ground.store.log,
    lenders: core.lenders,
    settings: {
      broker: ground.broker,
      environment: config.environment,
      askMs: config.approvals.minutes * 60_000,
      clearance: options.clearance ?? 'secret',
      context: core.context,
    },
  }
  const minted = new Map<string, { readonly token: string; readonly at: number }>()
  const answer = async (id: string, given: 'approve' | 'refuse', by: string, proof: ProofClass) => {
    const end = await core.approvals.answer(id, {
      answer: given,
      reason: 'test',
      by: { name: by, proof },
      proof,
    })
    return end.ok ? end.ask.state : end.problem
  }
  const self: PathWorld = {
    home,
    clock,
    ground,
    core,
    ports,
    servers,
    owed,
    flood,
    faults,
    async open(opening = {}) {
      const opened = await core.tasks.open(
        { agent: 'coder', by: 'person', words: 'test', ...opening },
        operator,
      )
      if (!opened.ok) throw new Error(opened.detail)
      return opened.task
    },
    async token({ id, agent, owner }) {
      const known = minted.get(id)
      const at = clock.now()
      if (known !== undefined && Math.abs(at - known.at) < 200_000) return known.token
      const { token } = await tokens.mint({ agent, owner, task: id, now: at })
      minted.set(id, { token, at })
      return token
    },
    arrival(token, tool, args, wanting = {}) {
      const call = wanting.call ?? newId('c')
      const slash = tool.indexOf('/')
      return {
        call,
        chain: wanting.chain ?? call,
        door: 'mcp',
        credential: wanting.credential ?? { kind: 'bearer', token: wanting.token ?? token },
        wanted: {
          server: tool.slice(0, slash),
          operation: wanting.operation ?? 'call',
          name: tool.slice(slash + 1),
        },
        arguments: args,
        leg: wanting.leg ?? null,
        signal: wanting.signal ?? new AbortController().signal,
        progress: () => undefined,
      }
    },
    async call(task, tool, args = { path: 'notes.txt' }, wanting = {}) {
      return run({ ...ports, ...wanting.ports }, self.arrival(await self.token(task), tool, args, wanting))
    },
    approve: (ask, by = 'approver', proof = 'passphrase') => answer(ask, 'approve', by, proof),
    refuse: (ask) => answer(ask, 'refuse', 'approver', 'terminal'),
    async ask(id) {
      const ask = id === undefined ? null : await ground.store.approvals.get(id)
      assert.ok(ask !== null, 'expected an ask')
      return ask
    },
    entries: () => entriesOf(ground),
    of: async (call) => (await ground.store.log.byCall(call)).map(({ bytes }) => parse(bytes)),
    async close(keep) {
      await core.servers.close()
      await ground.store.close()
      if (keep === undefined) await rm(home, { recursive: true, force: true })
    },
  }
  return self
}

const parse = (bytes: Uint8Array): JsonObject => {
  const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
  assert.ok(isJsonObject(value))
  return value
}

async function entriesOf({ store }: Ground): Promise<readonly JsonObject[]> {
  const all: JsonObject[] = []
  const size = await store.log.size()
  while (all.length < size)
    all.push(...(await store.log.read(all.length, 1024)).map(({ bytes }) => parse(bytes)))
  return all
}

function fakeServers({ store }: Ground): FakeServers {
  const reached: Reached[] = []
  const ended: string[] = []
  let script: Script = ({ arguments: args }) => text(`did ${String(args['path'])}`)
  return {
    reached,
    ended,
    script: (next) => void (script = next),
    async invoke(outgoing) {
      const durable = await store.log.byCall(outgoing.call)
      reached.push({ outgoing, kinds: durable.map(({ bytes }) => parse(bytes)['kind']) })
      return script(outgoing)
    },
    endTask: async (task) => void ended.push(task),
  }
}

/** Two agents of one owner, three servers, everything reviewed, one secret. */
async function furnish(ground: Ground, core: Core): Promise<void> {
  for (const name of ['coder', 'scout']) await hire(ground, name)
  await core.vault.set('bank', secretOf(bankToken), operator)
  for (const name of ['files', 'bank', 'mail']) {
    const headers = name === 'bank' ? { authorization: 'Bearer ${secret:bank}' } : {}
    const config = { url: 'http://127.0.0.1:9/mcp', headers }
    const place = {
      environment: ground.config.environment,
      source: 'command',
      state: 'active',
      view: null,
    } as const
    await core.registry.addServer({ record: { name, config, ...place }, by: operator })
    await offer(core, name)
    for (const tool of core.registry.tools({ server: name })) await review(core, tool.id)
  }
}

/** Registers an agent of the one owner; a new one remembers nothing. */
export async function hire(ground: Ground, name: string): Promise<void> {
  const template = {
    purposeClass: 'general',
    environment: ground.config.environment,
    tools: ['*'],
    budget: {},
    lifetimeMs: 100 * 3_600_000,
    idleMs: 0,
  }
  const agent = { name, owner: 'owner', publicKey: createKey().publicKey, createdAt: 0, template }
  const entry = ground.acts({ act: 'agent-added', subject: name, detail: {} }, operator)
  await ground.store.agents.add({ ...agent, state: 'active' }, entry)
}

/** Lists a server anew; `changed` tools have another description than before. */
export async function offer(core: Core, server: string, changed: readonly string[] = []): Promise<void> {
  const names = toolIds.filter((id) => id.startsWith(`${server}/`)).map((id) => id.slice(server.length + 1))
  const listed = names.map((name) => ({
    name,
    inputSchema,
    description: `Does ${name}.${changed.includes(name) ? ' Now it does more.' : ''}`,
  }))
  const { definitions } = define({ tools: listed, prompts: [], resources: [], templates: [] })
  const from = {
    capabilities: {},
    serverInfo: { name: server },
    era: 'modern',
    protocolVersion: '2026-07-28',
  } as const
  await core.registry.observe({ server, definitions, resources: [], ...from })
}

export async function review(core: Core, id: string): Promise<void> {
  const made = tools[id]
  const digest = core.registry.tool(id)?.digest ?? ''
  const overrides = {
    effects: made?.effects ?? ['read'],
    confidentiality: made?.confidentiality ?? 'internal',
  } as const
  const reviewed = await core.registry.review({ id, digest, overrides, by: operator })
  assert.ok(reviewed.ok)
}

/** The code of a refusal, or the outcome of a call. */
export const endOf = (end: Settled | Refused): string => ('refused' in end ? end.code : end.outcome)
export const askOf = (end: Settled | Refused): string => {
  assert.ok('refused' in end && end.ask !== null, `expected a call that waits, found ${endOf(end)}`)
  return end.ask.id
}
export const field = (entry: JsonObject | undefined, name: string): JsonObject => {
  const value = entry?.[name]
  return isJsonObject(value) ? value : {}
}
