import { mkdtemp, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildCore, layGround, type Core, type Ground } from '../src/compose/core.ts'
import { buildIdentity } from '../src/compose/doors.ts'
import { configSchema } from '../src/config/schema.ts'
import { createFlood } from '../src/audit/flood.ts'
import { createKey } from '../src/identity/key.ts'
import { createOwed } from '../src/call/recover.ts'
import { createTurns } from '../src/call/turns.ts'
import { readStarter, type Starter } from '../src/policy/starter.ts'
import type { Outgoing, ServerAnswer } from '../src/server/answer.ts'
import type { Ports } from '../src/call/ports.ts'
import type { Suite } from './suite.ts'

export const operator = { name: 'operator', proof: 'passphrase' } as const

/** A whole broker but for its listeners: real store, log, registry, policies, approvals; servers answer from the record. */
export type World = {
  readonly core: Core
  readonly ground: Ground
  readonly ports: Ports
  readonly clock: { now(): number; move(ms: number): void }
  /** How the next call is answered. */
  answer(with_: (outgoing: Outgoing) => ServerAnswer): void
  token(task: { readonly id: string; readonly agent: string; readonly owner: string }): Promise<string>
  hire(agent: string): Promise<void>
  close(): Promise<void>
}

export type WorldOptions = {
  readonly suites: Iterable<Suite>
  readonly starter: Starter
}

/** Far from today, so that nothing of a recorded run is in a window of another. */
const startsAt = Date.UTC(2026, 0, 1)

export async function layWorld({ suites, starter }: WorldOptions): Promise<World> {
  // A disk that is memory where there is one: durability is not what is looked at here.
  const home = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'countersign-replay-'))
  let now = startsAt
  const clock = { now: () => now, move: (ms: number) => void (now += ms) }
  const config = configSchema.parse({ home, operator: operator.name, policy: { starter: 'observe' } })
  const ground = await layGround({
    config,
    operator: operator.name,
    clock,
    onFault: (fault) => {
      throw fault
    },
  })
  const core = await buildCore(ground)
  const { tokens, verifier } = await buildIdentity(ground, core, { url: 'http://127.0.0.1', base: home })
  for (const suite of suites) await register(core, ground, suite)
  const swapped = await core.policies.swap(await readStarter(starter))
  if (!swapped.ok) throw new Error(swapped.problems.map(({ message }) => message).join('; '))
  let answer: (outgoing: Outgoing) => ServerAnswer = nothing
  const ports: Ports = {
    clock,
    verifier,
    servers: { invoke: async (outgoing) => answer(outgoing), endTask: async () => undefined },
    owed: createOwed(),
    turns: createTurns(),
    refusals: createFlood({ burst: 1_000_000 }),
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
      askMs: 3_600_000,
      clearance: 'secret',
      context: core.context,
    },
  }
  return {
    core,
    ground,
    ports,
    clock,
    answer: (next) => void (answer = next),
    token: async ({ id, agent, owner }) => (await tokens.mint({ agent, owner, task: id, now })).token,
    hire: (name) => hire(ground, name),
    async close() {
      await core.servers.close()
      await ground.store.close()
      await rm(home, { recursive: true, force: true })
    },
  }
}

const nothing = (): ServerAnswer => ({ kind: 'not-sent', problem: 'unreachable', detail: 'nothing recorded' })

/** A server with the suite's tools, each reviewed by the operator as its profile says. */
async function register({ registry }: Core, { config }: Ground, suite: Suite): Promise<void> {
  const record = {
    name: suite.name,
    config: { url: 'http://127.0.0.1:9/mcp' },
    source: 'command',
    environment: config.environment,
    state: 'active',
    view: null,
  } as const
  await registry.addServer({ record, by: operator })
  await registry.observe({
    server: suite.name,
    definitions: suite.tools.map(({ definition }) => definition),
    resources: [],
    capabilities: {},
    serverInfo: { name: suite.name },
    era: 'modern',
    protocolVersion: '2026-07-28',
  })
  for (const { id, name, digest } of registry.tools({ server: suite.name })) {
    const overrides = suite.tools.find(({ definition }) => definition.name === name)?.review
    if (overrides === undefined) continue
    const reviewed = await registry.review({ id, digest, overrides, by: operator })
    if (!reviewed.ok) throw new Error(`\`${id}\` could not be reviewed: ${reviewed.problem}`)
  }
}

async function hire(ground: Ground, name: string): Promise<void> {
  const template = {
    purposeClass: 'general',
    environment: ground.config.environment,
    tools: ['*'],
    budget: {},
    lifetimeMs: 3_600_000,
    idleMs: 0,
  }
  const agent = { name, owner: operator.name, publicKey: createKey().publicKey, createdAt: 0, template }
  const entry = ground.acts({ act: 'agent-added', subject: name, detail: {} }, operator)
  await ground.store.agents.add({ ...agent, state: 'active' }, entry)
}
