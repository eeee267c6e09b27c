import { chmod, mkdir } from 'node:fs/promises'
import { createFlood } from './audit/flood.ts'
import { createObserver, type Observer } from './observe/observer.ts'
import { observeBroker } from './compose/observe.ts'
import { createListener, operatorLimits, refuse, type Listener } from './door/listener.ts'
import { probes } from './door/health.ts'
import { createOwed } from './call/recover.ts'
import { createPublisher, type Publisher } from './audit/publish.ts'
import { buildAgentDoor, buildIdentity, buildOperatorApi, type DoorParts } from './compose/doors.ts'
import { loadWaiting } from './compose/waiting.ts'
import { buildCore, layGround, type Breakable, type Core, type Ground } from './compose/core.ts'
import { injectStoreFault } from './store/fault.ts'
import { join } from 'node:path'
import { packageVersion } from './config/version.ts'
import { createTurns } from './call/turns.ts'
import { followNodes } from './compose/nodes.ts'
import { parseAddress } from './config/address.ts'
import { operatorRoutes } from './door/operator/http.ts'
import { createShadowing } from './compose/shadowed.ts'
import { recoverAtStart, startUpkeep } from './compose/upkeep.ts'
import { registerConfigured } from './compose/configured.ts'
import { removeRunFile, writeRunFile } from './cli/run.ts'
import { rfc3339, systemClock, type Clock } from './lib/clock.ts'
import { run } from './call/path.ts'
import { userInfo } from 'node:os'
import type { Exchange } from './door/exchange.ts'
import type { Hub } from './observe/hub.ts'
import type { JsonObject } from './lib/json.ts'
import type { Loaded } from './config/load.ts'
import type { OperatorApi } from './door/operator/api.ts'
import type { Ports } from './call/ports.ts'

/** A broker that runs. `close` ends everything it started and publishes the log a last time. */
export type Broker = {
  /** Base URLs of the two listeners. */
  readonly urls: { readonly agents: string; readonly operators: string }
  /** Where this node itself listens, whatever stands in front of it. */
  readonly here: { readonly agents: string; readonly operators: string }
  readonly home: string
  readonly operator: string
  readonly operatorKey: string
  readonly core: Core
  readonly hub: Hub
  readonly api: OperatorApi
  readonly publisher: Publisher
  /** Intents of a dead incarnation that were settled as unknown at this start. */
  readonly recovered: readonly string[]
  /** Resolves when every configured server has been listed once; gives the problems by server. */
  readonly listed: Promise<{ readonly [server: string]: string }>
  readonly observer: Observer
  /** `/readyz` says no from now on; resolves when `listen.drainSeconds` have passed. Then close. */
  drain(): Promise<void>
  close(): Promise<void>
}

export type BrokerOptions = Breakable & {
  readonly clock?: Clock
  readonly onFault?: (fault: unknown) => void
  /** Where the structured log goes, line by line; nowhere when left out. False: the line is lost. */
  readonly onLog?: (line: string) => boolean | void
  /** Replaces the addresses of the configuration, for tests: port 0 takes a free one. */
  readonly ports?: { readonly agents: number; readonly operators: number }
}

/** The composition root: configuration → ports → doors. Nothing is reachable before everything stands. */
export async function startBroker(loaded: Loaded, options: BrokerOptions = {}): Promise<Broker> {
  return onGround(loaded, options, (ground, observer) => raise({ ground, observer, loaded }, options))
}

/** A core with the operators' API and nothing else: no listener, no recovery, for the time of one command. */
export async function openBroker(loaded: Loaded, options: BrokerOptions = {}): Promise<Opened> {
  return onGround(loaded, options, async (ground, observer) => {
    const core = await buildCore(ground)
    const version = await packageVersion()
    const urls = { agents: 'http://127.0.0.1', operators: '' }
    const identity = await buildIdentity(ground, core, { url: urls.agents, base: loaded.base })
    const ports = pathPorts({
      ground,
      core,
      verifier: identity.verifier,
      owed: createOwed(),
      flood: createFlood(),
      shadow: null,
    })
    const publisher = publisherOf(ground)
    const { tokens } = identity
    const parts = partsOf({ ground, core, ports, tokens, url: urls.agents, version }, observer)
    const api = buildOperatorApi(parts, () => statusOf({ ground, core, publisher, urls, version }))
    return {
      core,
      api,
      operatorKey: ground.keys.operator,
      async close() {
        await core.servers.close()
        await publisher.stop()
        await ground.store.close()
      },
    }
  })
}

export type Opened = Pick<Broker, 'core' | 'api' | 'operatorKey' | 'close'>

async function onGround<Made>(
  { config }: Loaded,
  options: BrokerOptions,
  make: (ground: Ground, observer: Observer) => Promise<Made>,
): Promise<Made> {
  await mkdir(config.home, { recursive: true, mode: 0o700 })
  await chmod(config.home, 0o700)
  const operator = config.operator ?? userName()
  const { clock = systemClock, onFault = () => undefined, onLog: write = null } = options
  const observer = createObserver({ config: config.observe, clock, write, onFault })
  const broken = { [injectStoreFault]: options[injectStoreFault] }
  const laid = await layGround({ ...broken, config, operator, clock, onFault: observer.fault })
  const ground = { ...laid, store: observer.store(laid.store) }
  try {
    return await make(ground, observer)
  } catch (problem) {
    await ground.store.close()
    throw problem
  }
}

/** A container that runs as a bare number has no name for it (`uv_os_get_passwd`). */
function userName(): string {
  try {
    return userInfo().username.toLowerCase()
  } catch {
    return 'operator'
  }
}

const partsOf = (given: Omit<DoorParts, 'run' | 'hub' | 'watch'>, observer: Observer): DoorParts => {
  const { ports, core } = given
  return {
    ...given,
    hub: observer.hub,
    run: observer.runs({ run, ports, record: (server) => core.registry.record(server) }),
    watch: observer.doors,
  }
}

type Raising = { readonly ground: Ground; readonly observer: Observer; readonly loaded: Loaded }

async function raise(given: Raising, options: BrokerOptions): Promise<Broker> {
  const { ground, observer } = given
  const { listen } = ground.config
  const core = await buildCore(ground)
  const agents = open('agents', listen.agents, { ground, observer, port: options.ports?.agents })
  const operators = open('operators', listen.operators, { ground, observer, port: options.ports?.operators })
  const end = async (): Promise<void> => {
    await Promise.all([agents.listener.close(), operators.listener.close()])
    await core.servers.close()
  }
  try {
    return await stand({ ...given, core, agents, operators })
  } catch (problem) {
    await end()
    throw problem
  }
}

type Opening = ReturnType<typeof open>

/** Everything behind the two listeners. Whoever calls it ends them when it fails. */
async function stand(
  parts: Raising & { readonly core: Core; readonly agents: Opening; readonly operators: Opening },
): Promise<Broker> {
  const { ground, core, agents, operators, loaded, observer } = parts
  const { hub } = observer
  const { config } = ground
  const here = {
    agents: (await agents.listener.listen()).url,
    operators: (await operators.listener.listen()).url,
  }
  // Tokens name the address that agents know, so that each node behind a load balancer takes those of the others.
  const urls = { ...here, agents: config.listen.agentsUrl ?? here.agents }
  const { tokens, verifier } = await buildIdentity(ground, core, { url: urls.agents, base: loaded.base })
  const nodes = followNodes({
    ...core,
    store: ground.store,
    now: ground.clock.now,
    onFault: ground.onFault,
  })
  const shadow = createShadowing(ground, core)
  const upkeepParts = { ground, core, owed: createOwed(), flood: createFlood(), nodes }
  const ports = pathPorts({ ...upkeepParts, verifier, shadow })
  const version = await packageVersion()
  const doors = partsOf({ ground, core, ports, tokens, url: urls.agents, version }, observer)
  const recovered = await recoverAtStart(upkeepParts)
  observer.recovered(recovered)
  const publisher = publisherOf(ground)
  const listed = registerConfigured({ ground, core, agents: config.agents, servers: config.servers })
  listed.catch(ground.onFault)
  if (core.policiesWait) await listed.then((failed) => loadWaiting({ core, failed, onFault: ground.onFault }))
  const api = buildOperatorApi(doors, () => statusOf({ ground, core, publisher, urls, version }))
  const door = buildAgentDoor(doors)
  tell(core, hub, ground.clock)
  agents.serve(door.routes)
  const watching = await observeBroker({
    ...upkeepParts,
    observer,
    publisher,
    version,
    door: door.mcp,
    listed,
  })
  operators.serve(watching.before(operatorRoutes({ api, hub })))
  publisher.start()
  const upkeep = startUpkeep({ ...upkeepParts, shadow, onRecovered: observer.recovered })
  await writeRunFile(ground.home, { pid: process.pid, ...urls, startedAt: rfc3339(ground.clock.now()) })

  return {
    urls,
    here,
    home: ground.home,
    operator: ground.operator,
    operatorKey: ground.keys.operator,
    core,
    hub,
    api,
    publisher,
    recovered,
    listed,
    observer,
    drain: watching.drain,
    async close() {
      observer.health.drain()
      await removeRunFile(ground.home, process.pid)
      // Calls under way come to their end first: sessions that end would cancel them.
      await Promise.all([agents.listener.close(), operators.listener.close()])
      await observer.flight.landed(landingMs)
      door.mcp.close()
      // First the servers: a listing that waits for one of them ends with it, and nobody who stops waits for it.
      await core.servers.close()
      await listed.catch(() => undefined)
      nodes.stop()
      await upkeep.stop()
      await publisher.stop()
      await watching.close()
      await ground.store.close()
    },
  }
}

const loadOf = ({
  load,
}: Ground['config']): { readonly connections: number; readonly perRemote: number } => ({
  connections: load.connections,
  perRemote: load.perAddress,
})

/** How long calls that were cut off may take to be settled. */
const landingMs = 3_000

type Routes = (exchange: Exchange) => Promise<void>

/** A listener that answers 503 until its routes stand: tokens name its address, so it must be known first. */
function open(
  name: string,
  address: string,
  given: Pick<Raising, 'ground' | 'observer'> & { readonly port: number | undefined },
): { readonly listener: Listener; serve(routes: Routes): void } {
  const { ground, observer } = given
  const { listen } = ground.config
  const { host, port } = parseAddress(`listen.${name}`, address)
  const route: { now: Routes } = {
    now: async (exchange) =>
      refuse(exchange, 503, 'the broker is starting; try again in a moment', { 'Retry-After': '1' }),
  }
  const listener = createListener({
    name,
    host,
    port: given.port ?? port,
    routes: (exchange) => route.now(exchange),
    allowedHosts:
      name === 'agents' ? [...listen.allowedHosts, ...knownHost(listen.agentsUrl)] : listen.allowedHosts,
    allowedOrigins: listen.allowedOrigins,
    limits: {
      ...(name === 'operators' ? operatorLimits : loadOf(ground.config)),
      graceMs: listen.graceSeconds * 1000,
    },
    probes: probes(() => observer.health.readiness().ready, { detailed: name === 'operators' }),
    onFault: ground.onFault,
  })
  return { listener, serve: (routes) => void (route.now = routes) }
}

/** Agents that use the address they were given send its host. */
const knownHost = (url: string | undefined): readonly string[] =>
  url === undefined ? [] : [new URL(url).host]

function pathPorts(parts: {
  readonly ground: Ground
  readonly core: Core
  readonly verifier: Ports['verifier']
  readonly owed: Ports['owed']
  readonly flood: Ports['refusals']
  readonly shadow: Ports['shadow'] | null
}): Ports {
  const { ground, core } = parts
  const { config, store } = ground
  return {
    clock: ground.clock,
    verifier: parts.verifier,
    revocations: core.revocations,
    tasks: store.tasks,
    registry: core.registry,
    policies: core.policies,
    ...(parts.shadow === null || parts.shadow === undefined ? {} : { shadow: parts.shadow }),
    approvals: core.approvals,
    catchUp: core.catchUp,
    flow: core.flow,
    calls: store.calls,
    log: store.log,
    recorder: ground.recorder,
    lenders: core.lenders,
    servers: core.servers,
    refusals: parts.flood,
    owed: parts.owed,
    turns: createTurns(),
    settings: {
      broker: ground.broker,
      environment: config.environment,
      askMs: config.approvals.minutes * 60_000,
      clearance: config.labels.clearance,
      context: core.context,
    },
  }
}

function publisherOf(ground: Ground): Publisher {
  const { config } = ground
  return createPublisher({
    log: ground.store.log,
    directory: join(ground.home, 'log'),
    key: ground.keys.log,
    origin: config.audit.origin ?? 'countersign.local/log',
    everyMs: config.audit.checkpointMs,
    clock: ground.clock,
    onProblem: (problem) => ground.onFault(new Error(problem)),
  })
}

/** People who watch hear of asks, answers, revocations and changes of the registry. */
function tell(core: Core, hub: Hub, clock: Clock): void {
  core.approvals.onAsk((ask) => hub.emit({ kind: 'ask', at: clock.now(), ask }))
  core.approvals.onAnswer((ask) => hub.emit({ kind: 'answered', at: clock.now(), ask }))
  core.revocations.onChange(({ kind, key }) =>
    hub.emit({ kind: 'act', at: clock.now(), act: kind, subject: key, by: 'operator' }),
  )
}

async function statusOf(parts: {
  readonly ground: Ground
  readonly core: Core
  readonly publisher: Publisher
  readonly urls: Broker['urls']
  readonly version: string
}): Promise<JsonObject> {
  const { ground, core, publisher } = parts
  const open = await core.tasks.list({ state: 'open' })
  return {
    version: parts.version,
    broker: ground.broker,
    environment: ground.config.environment,
    operator: ground.operator,
    passphraseSet: await core.gate.hasPassphrase(),
    agentsUrl: `${parts.urls.agents}/mcp`,
    operatorsUrl: parts.urls.operators,
    policy: core.policies.snapshot().version,
    servers: core.registry.servers(),
    tools: core.registry.tools().filter(({ state }) => state === 'reviewed').length,
    quarantined: core.registry.tools({ state: 'quarantined' }).length,
    openTasks: open.length,
    pendingAsks: (await core.approvals.pending()).length,
    revocations: core.revocations.list().map(({ key }) => key),
    log: { size: await ground.store.log.size(), vkey: publisher.vkey, failing: publisher.status().failing },
  }
}
