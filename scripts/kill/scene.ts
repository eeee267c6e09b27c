import { agentNames, furnishPlace, makePlace, type Place } from './place.ts'
import { callTool, openTask, type Agent, type Told } from './agent.ts'
import { hear, noTruth, type Truth } from './truth.ts'
import { loadAgentKey } from '../../src/identity/key.ts'
import { openOn } from './verdict.ts'
import { startBrokerProcess, startUpstreamProcess, type BrokerProcess } from './child.ts'
import { startDatabase, storeAt, type Database } from './database.ts'
import { startProxy, type Proxy } from './proxy.ts'
import type { Seen } from './upstream.ts'

/** A node as a process, with a way of its own to the database. */
export type Node = {
  readonly name: 'the first' | 'the second'
  readonly file: string
  readonly base: string
  readonly proxy: Proxy
  broker: BrokerProcess
}

/** Two nodes on one database, and all that is around them. */
export type Scene = {
  readonly nodes: readonly [Node, Node]
  readonly database: Database
  readonly place: Place
  readonly vkey: string
  readonly truth: Truth
  readonly agents: readonly Omit<Agent, 'base'>[]
  seen(): Promise<Seen>
  /** Makes a call at this node and says what was told. */
  probe(node: Node): Promise<Told>
  /** Calls without outcome of an incarnation. */
  inFlight(incarnation: string): Promise<number>
  /** Calls without outcome whose node is dead. */
  waiting(): Promise<number>
  /** All of them. */
  open(): Promise<number>
}

/** Whoever takes something to end pushes its end: they are called in turn, the last first. */
export type Ends = { push(end: () => Promise<unknown>): void }

export async function setScene(ends: Ends): Promise<Scene> {
  const database = await startDatabase()
  ends.push(() => database.end())
  const proxies = [await startProxy(database.port), await startProxy(database.port)] as const
  ends.push(() => Promise.all(proxies.map((proxy) => proxy.close())))
  const upstreams = [await startUpstreamProcess(0), await startUpstreamProcess(60)]
  ends.push(() => Promise.all(upstreams.map((one) => one.end())))
  const place = await makePlace({
    upstreams: upstreams.map(({ url }) => url),
    nodes: 2,
    store: database.store,
    ways: proxies.map(({ port }) => storeAt(database.address, port)),
  })
  ends.push(() => place.end())
  const vkey = await furnishPlace(place)
  const nodes = startNodes(place, proxies)
  ends.push(() => Promise.all(nodes.map(({ broker }) => broker.kill())))
  await Promise.all(nodes.map(({ broker }) => broker.ready))
  const truth = noTruth()
  const agents = await agentsOf(place)
  return {
    nodes,
    database,
    place,
    vkey,
    truth,
    agents,
    seen: async () => Object.assign({}, ...(await Promise.all(upstreams.map((one) => one.seen())))),
    probe: await prober({ truth, agents, nodes }),
    inFlight: async (incarnation) => (await openOn(place)).filter((one) => one === incarnation).length,
    waiting: async () => {
      const alive = nodes.filter(({ broker }) => broker.isAlive())
      const names = await Promise.all(alive.map(async ({ broker }) => (await broker.ready).name))
      return (await openOn(place)).filter((one) => !names.includes(one)).length
    },
    open: async () => (await openOn(place)).length,
  }
}

function startNodes(place: Place, proxies: readonly [Proxy, Proxy]): readonly [Node, Node] {
  const node = (name: Node['name'], n: 0 | 1): Node => {
    const found = place.nodes[n]
    if (found === undefined) throw new TypeError('expected two nodes')
    const { file, base } = found
    return { name, file, base, proxy: proxies[n], broker: startBrokerProcess(file, place.env) }
  }
  return [node('the first', 0), node('the second', 1)]
}

/** Whose keys the first node made at the first start. */
export async function agentsOf({ nodes }: Place): Promise<readonly Omit<Agent, 'base'>[]> {
  const [node] = nodes
  if (node === undefined) throw new TypeError('expected a node')
  const { home } = node.loaded.config
  return Promise.all(
    agentNames.map(async (name) => ({ name, key: await loadAgentKey(home, name), known: node.known })),
  )
}

/** A token is renewed in good time: that needs the database, which may be away. */
const freshMs = 60_000

async function prober({
  truth,
  agents: [who],
  nodes: [first],
}: Pick<Scene, 'truth' | 'agents' | 'nodes'>): Promise<Scene['probe']> {
  if (who === undefined) throw new TypeError('expected an agent')
  const agent = { ...who, base: first.base }
  const opened = await openTask(agent)
  if (!opened.ok) throw new Error('expected a task before anything is broken')
  const { task } = opened
  truth.tasks.set(task, { parent: null, calls: null })
  const held = { token: opened.token, at: performance.now() }
  return async (node) => {
    if (performance.now() - held.at > freshMs) {
      const fresh = await openTask(agent, { task })
      if (fresh.ok) Object.assign(held, { token: fresh.token, at: performance.now() })
    }
    const key = `probe-${truth.sent.size}`
    truth.sent.set(key, { task, tool: 'read' })
    const at = { base: node.base, token: held.token, server: 'one' }
    return hear(truth, key, () => callTool(at, 'read', key))
  }
}
