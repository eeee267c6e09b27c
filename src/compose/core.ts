import { createActs, type Acts } from '../identity/actor.ts'
import { createAgents, type Agents } from '../identity/agents.ts'
import { createApprovals, type ApprovalService } from '../approval/approvals.ts'
import { createFlow, type LiveFlow } from '../flow/live.ts'
import { createGate, type Gate } from '../identity/operator.ts'
import { createLenders, type TaskLenders } from '../credential/lender.ts'
import type { LivePolicies } from '../policy/live.ts'
import { createRecorder } from '../audit/record.ts'
import { createRevocations, type LiveRevocations } from '../revocation/live.ts'
import { createServers, type ServersPort } from '../server/servers.ts'
import { createTasks, type Tasks } from '../task/tasks.ts'
import { createVault, type Vault } from '../credential/vault.ts'
import { defining, digest, toCatalogue } from '../registry/define.ts'
import { inSlices } from '../lib/slices.ts'
import { refuseSpoken } from './spoken.ts'
import { keptChecks } from './checked.ts'
import { loadKeys, settleKeys, type BrokerKeys } from './keys.ts'
import { loadRegistry, type LiveRegistry } from '../registry/live.ts'
import { profileOf } from '../registry/profiles.ts'
import { newId } from '../lib/id.ts'
import { injectStoreFault, type StoreFaults } from '../store/fault.ts'
import { openStore } from './store.ts'
import { startPolicies } from './waiting.ts'
import { catchUpOf } from './nodes.ts'
import { createLiveSet, startingPolicy, type LiveSet } from './policies.ts'
import { serverSchema, type ServerConfig } from '../config/schema.ts'
import type { CatchUp } from '../call/ports.ts'
import type { Clock } from '../lib/clock.ts'
import type { Config } from '../config/schema.ts'
import type { Recorder } from '../audit/recorder.ts'
import type { Store } from '../store/ports.ts'
import type { TaskTemplate } from '../identity/caller.ts'

/** What everything else stands on. */
export type Ground = {
  readonly config: Config
  readonly home: string
  readonly operator: string
  readonly clock: Clock
  /** This incarnation. */
  readonly broker: string
  readonly keys: BrokerKeys
  readonly store: Store
  /** Nobody else is on this store. */
  readonly alone: boolean
  readonly recorder: Recorder
  readonly acts: Acts
  /** Told of surprises; prints no payload. */
  readonly onFault: (fault: unknown) => void
}

/** For tests alone: the store fails at a chosen moment. */
export type Breakable = { readonly [injectStoreFault]?: StoreFaults | undefined }

export async function layGround(
  given: Pick<Ground, 'config' | 'operator' | 'clock' | 'onFault'> & Breakable,
): Promise<Ground> {
  const fault = given[injectStoreFault]
  const home = given.config.home
  const broker = newId('b')
  const keys = await loadKeys(given.config)
  const store = await openStore(given.config, { broker, clock: given.clock, fault })
  const recorder = createRecorder({ fingerprintKey: keys.fingerprint })
  return {
    ...given,
    home,
    broker,
    keys,
    store,
    alone: given.config.store === undefined,
    recorder,
    acts: createActs({ recorder, clock: given.clock, broker }),
  }
}

/** The parts of the domain, put together on the ground. */
export type Core = {
  readonly agents: Agents
  readonly approvals: ApprovalService
  readonly gate: Gate
  readonly lenders: TaskLenders
  readonly policies: LivePolicies
  /** The set that is live, here and on every other node. */
  readonly policySet: LiveSet
  /** What this node keeps in memory comes as far as the store. */
  readonly catchUp: CatchUp
  /** What tasks have met and people's agents have done. */
  readonly flow: LiveFlow
  /** Nothing is allowed yet: the set names what only the first listing can show. */
  readonly policiesWait: boolean
  readonly registry: LiveRegistry
  readonly revocations: LiveRevocations
  readonly servers: ServersPort
  readonly tasks: Tasks
  readonly vault: Vault
  /** What tasks are bound to: another environment ends them. */
  readonly context: () => { readonly [name: string]: string }
}

export async function buildCore(ground: Ground): Promise<Core> {
  const { store, acts, clock, broker, recorder, keys } = ground
  await settleKeys(ground)
  const context = () => ({ environment: ground.config.environment })
  const revocations = await createRevocations({ store: store.revocations, acts, clock })
  const registry = await loadRegistry({
    store: store.registry,
    recorder,
    clock,
    broker,
    profiles: profileOf,
  })
  const starting = await startingPolicy(ground.config.policy, store.policies)
  const { policies, waiting } = await startPolicies(registry, {
    sources: starting.files,
    configured: Object.keys(ground.config.servers),
    kept: keptChecks(ground.home, keys.seal),
  })
  const policySet = createLiveSet({ policies, store: store.policies, acts, starting, now: clock.now })
  if (!waiting) await policySet.announce()
  registry.onChange(() => void policies.registryChanged(registry.tools()))

  const configOf = serverConfigs(registry)
  const vault = createVault({ store: store.secrets, key: keys.seal, recorder, broker, clock })
  const lenders = createLenders({
    servers: (name) => configOf(name) ?? undefined,
    vault,
    store: store.secrets,
    revocations,
    clock,
  })
  const servers = createServers({
    inputs: ground.config.inputs,
    servers: configOf,
    pinning: { define: async (raw) => (await inSlices(defining(raw))).definitions, digest },
    onCatalogue: async (raw) => {
      await refuseSpoken(raw, { lenders, clock })
      await registry.observe((await toCatalogue(raw)).catalogue)
    },
  })
  const tasks = createTasks({
    store: store.tasks,
    agents: store.agents,
    revocations,
    acts,
    clock,
    purposes: ground.config.purposes,
    personTemplate: plainTemplate(ground.config),
    labelsMemoryMs: ground.config.labels.memoryHours * 3_600_000,
    context,
    onClosed: (ids) => endAll(ids, { servers, lenders, onFault: ground.onFault }),
  })
  const gate = createGate({ key: keys.operator, operator: ground.operator, settings: store.settings, acts })
  return {
    agents: createAgents({
      store: store.agents,
      tasks,
      revocations,
      isPerson: (name) => gate.isOperator(name),
      acts,
      clock,
    }),
    approvals: createApprovals({ store: store.approvals, acts, clock }),
    gate,
    flow: createFlow({ store: store.flow, secret: keys.flow }),
    lenders,
    policies,
    policySet,
    catchUp: catchUpOf({ registry, policySet, revocations, now: clock.now, onFault: ground.onFault }),
    policiesWait: waiting,
    registry,
    revocations,
    servers,
    tasks,
    vault,
    context,
  }
}

/** When a task ends, everything it was lent ends: its processes and sessions, then its leases. */
function endAll(
  ids: readonly string[],
  parts: Pick<Core, 'servers' | 'lenders'> & Pick<Ground, 'onFault'>,
): void {
  for (const id of ids) {
    parts.servers
      .endTask(id)
      .then(() => parts.lenders.closeAll(id))
      .catch(parts.onFault)
  }
}

/** The registered configuration of a server, parsed again whenever its record is another. */
function serverConfigs(registry: LiveRegistry): (name: string) => ServerConfig | null {
  const parsed = new WeakMap<object, ServerConfig>()
  return (name) => {
    const record = registry.record(name)
    if (record === null || record.state !== 'active') return null
    const known = parsed.get(record.config)
    if (known !== undefined) return known
    const config = serverSchema.parse(record.config)
    parsed.set(record.config, config)
    return config
  }
}

/** What a task is when nothing else is said: every tool that policy allows, for a working day. */
export const plainTemplate = (config: Config): TaskTemplate => ({
  purposeClass: config.purposes[0] ?? 'general',
  environment: config.environment,
  tools: ['*'],
  budget: {},
  lifetimeMs: 8 * 3_600_000,
  idleMs: 2 * 3_600_000,
})
