import { join } from 'node:path'
import { auditPart } from './audit.ts'
import { createIssuer } from '../identity/issuer.ts'
import { createMcpDoor, type McpDoor } from '../door/mcp/door.ts'
import { createOperatorApi, type OperatorApi } from '../door/operator/api.ts'
import { createProofs } from '../identity/proof.ts'
import { createTokenEndpoint, tokenRoutes } from '../door/token.ts'
import { createTokens, type Tokens } from '../identity/token.ts'
import { createVerifier } from '../identity/verify.ts'
import { doorSettings, type DoorPorts } from '../door/mcp/ports.ts'
import { explain } from '../call/explain.ts'
import { identify } from '../call/authenticate.ts'
import { policyPart } from './policy.ts'
import { newId } from '../lib/id.ts'
import { refuse } from '../door/listener.ts'
import { rfc3339 } from '../lib/clock.ts'
import { toIJsonText } from '../lib/jcs.ts'
import type { RefusedEntry } from '../audit/entry.ts'
import { recordTurnedAway } from './turned.ts'
import { registryPart } from './registry.ts'
import { secretOf } from '../credential/secret.ts'
import type { Arrival, Settled } from '../call/states.ts'
import { plainTemplate, type Core, type Ground } from './core.ts'
import type { Exchange } from '../door/exchange.ts'
import type { Hub } from '../observe/hub.ts'
import type { Ports } from '../call/ports.ts'
import type { Refused } from '../call/refusal.ts'
import type { SecretPart } from '../door/operator/parts.ts'
import type { Verifier } from '../identity/caller.ts'

export type Run = (arrival: Arrival) => Promise<Settled | Refused>

/** Tokens of this broker and of configured issuers. `url` is the agents' listener as agents know it. */
export async function buildIdentity(
  ground: Ground,
  core: Core,
  given: { readonly url: string; readonly base: string },
): Promise<{ readonly tokens: Tokens; readonly verifier: Verifier }> {
  const tokens = await createTokens({ issuer: given.url, audience: given.url, key: ground.keys.token })
  const issuers = await Promise.all(ground.config.issuers.map((issuer) => createIssuer(issuer, given.base)))
  const verifier = createVerifier({
    tokens,
    issuers,
    agent: (name) => core.agents.get(name),
    sessions: core.gate,
  })
  return { tokens, verifier }
}

export type DoorParts = {
  readonly ground: Ground
  readonly core: Core
  readonly ports: Ports
  readonly run: Run
  readonly hub: Hub
  readonly tokens: Tokens
  readonly url: string
  readonly version: string
  /** Whoever watches what comes in. */
  readonly watch?: Pick<DoorPorts, 'around' | 'sessionEnded'>
}

/** The agents' side: MCP and the token endpoint; everything else is not found. */
export function buildAgentDoor(parts: DoorParts): {
  readonly routes: (exchange: Exchange) => Promise<void>
  readonly mcp: McpDoor
} {
  const { ground, core, ports, tokens } = parts
  const { approvals: waiting } = ground.config
  const mcp = createMcpDoor({
    run: parts.run,
    authenticate: (credential) => identify(ports, credential),
    registry: core.registry,
    tasks: core.tasks,
    approvals: {
      get: (id) => core.approvals.get(id),
      waiting: async (task) => (await core.approvals.pending()).filter((ask) => ask.task === task),
      onAnswer: (told) => core.approvals.onAnswer((ask) => told(ask.id)),
    },
    calls: ground.store.calls,
    updates: core.servers,
    turnedAway: (caller, why) => void recordTurnedAway(parts, caller, why),
    ...parts.watch,
    settings: {
      ...doorSettings,
      inputs: ground.config.inputs,
      version: parts.version,
      holdMs: waiting.holdSeconds * 1000,
      legs: waiting.legs,
      atOnce: ground.config.load.requests,
      atOncePerAgent: ground.config.load.requestsPerAgent,
    },
    sealKey: ground.keys.state,
    clock: ground.clock,
  })
  const endpoint = createTokenEndpoint({
    audience: `${parts.url}/token`,
    proofs: createProofs({
      audience: `${parts.url}/token`,
      agent: (name) => core.agents.get(name),
      used: ground.store.agents,
      clock: ground.clock,
    }),
    tasks: core.tasks,
    tokens,
    revocations: core.revocations,
    clock: ground.clock,
    onRefused: (refused) => void recordTokenRefusal(parts, refused),
  })
  const token = tokenRoutes(endpoint)
  const routes = async (exchange: Exchange): Promise<void> => {
    if (await token(exchange)) return
    if (mcp.handles(exchange.path)) return mcp.serve(exchange)
    refuse(exchange, 404, 'expected `/mcp`, `/mcp/<server>`, `/token` or `/revoke`')
  }
  return { routes, mcp }
}

/** A token that was asked for in vain leaves an entry as a refused call does; a flood of them is counted. */
async function recordTokenRefusal(
  { ground, ports }: Pick<DoorParts, 'ground' | 'ports'>,
  refused: { readonly error: string; readonly detail: string; readonly agent: string | null },
): Promise<void> {
  const at = ground.clock.now()
  const key = { caller: null, door: 'token', code: refused.error, tool: null }
  if (ports.refusals.admit(key, at) === 'count') return
  const entry: RefusedEntry = {
    v: 1,
    kind: 'refused',
    at: rfc3339(at),
    broker: ground.broker,
    call: newId('c'),
    stage: 'token',
    code: 'unauthenticated',
    reason: toIJsonText(`${refused.error}: ${refused.detail}`.slice(0, 1000)),
    who: null,
    task: null,
    what: null,
    wanted: refused.agent === null ? 'a token' : toIJsonText(`a token for ${refused.agent.slice(0, 63)}`),
    arguments: null,
    policy: null,
    policies: [],
    ask: null,
    count: 1,
  }
  try {
    await ports.log.append(ports.recorder.encode(entry), null)
  } catch {
    ports.owed.refusal('unauthenticated')
  }
}

/** The operators' side. */
export function buildOperatorApi(
  parts: DoorParts,
  status: () => Promise<import('../lib/json.ts').JsonObject>,
): OperatorApi {
  const { ground, core, ports } = parts
  return createOperatorApi({
    clock: ground.clock,
    gate: core.gate,
    hub: parts.hub,
    agents: core.agents,
    tasks: core.tasks,
    approvals: core.approvals,
    revocations: core.revocations,
    tokens: parts.tokens,
    registry: registryPart({ ...core, clock: ground.clock }),
    policy: policyPart({
      policies: core.policies,
      policySet: core.policySet,
      tools: () => core.registry.tools(),
      servers: () => core.registry.servers(),
      log: ground.store.log,
    }),
    secrets: secretPart(core),
    calls: { run: parts.run, explain: (arrival) => explain(ports, arrival) },
    audit: auditPart({
      log: ground.store.log,
      acts: ground.acts,
      published: join(ground.home, 'log'),
      copies: join(ground.home, 'copies'),
    }),
    status,
    defaults: { owner: ground.operator, template: plainTemplate(ground.config) },
    onFault: ground.onFault,
  })
}

const secretPart = ({ vault }: Core): SecretPart => ({
  list: () => vault.list(),
  set: async ({ name, value }, by) => {
    const set = await vault.set(name, secretOf(value), by)
    return set.ok
      ? { ok: true, value: { secret: name, replaced: set.replaced } }
      : { ok: false, problem: 'invalid', message: set.detail }
  },
  remove: async (name, by) =>
    (await vault.remove(name, by))
      ? { ok: true, value: { secret: name } }
      : { ok: false, problem: 'not-found', message: `there is no secret \`${name}\`` },
})
