import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { agentNames, furnishPlace, makePlace, serverNames } from './kill/place.ts'
import { callTool, openTask, type Told } from './kill/agent.ts'
import { decide, isSound, openOn } from './kill/verdict.ts'
import { hear, noTruth } from './kill/truth.ts'
import { loadAgentKey } from '../src/identity/key.ts'
import { randomFrom } from './kill/random.ts'
import { runLoad } from './kill/load.ts'
import { startBrokerProcess, startUpstreamProcess, type BrokerProcess } from './kill/child.ts'
import { startDatabase, storeAt, type Database } from './kill/database.ts'
import { startProxy, type Proxy } from './kill/proxy.ts'

/**
 * Two nodes on one PostgreSQL, under load: one is killed, the way to the database is cut, the database restarts and
 * crashes. Nothing is done by hand: what is away is refused while it lasts, and goes on by itself. Then servers, agents
 * and the person are asked whether what the log says is what happened.
 * `node scripts/two-nodes.ts [--json] [--rounds N] [--seed S]`.
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '1' },
    seed: { type: 'string' },
  },
})

/** A node that is away answers that within so long; one that is back serves within so long. Milliseconds. */
const awayMs = 60_000
const backMs = 40_000
/** A dead node is taken for dead after its heartbeat ran out, and then its calls get their outcome. */
const takenOverMs = 90_000

const say = (text: string): void => void process.stderr.write(`${text}\n`)
const started = performance.now()
const told = (text: string): void => say(`${((performance.now() - started) / 1000).toFixed(1)} s  ${text}`)

type Node = { broker: BrokerProcess; readonly file: string; readonly base: string; readonly proxy: Proxy }

type Scene = {
  readonly nodes: readonly [Node, Node]
  readonly database: Database
  readonly env: { readonly [name: string]: string }
  /** Makes a call at this node and says what was told. */
  readonly probe: (node: Node) => Promise<Told>
  /** Calls without outcome: of an incarnation, and of all that are dead. */
  readonly inFlight: (name: string) => Promise<number>
  readonly waiting: () => Promise<number>
}

const serves = ({ kind }: Told): boolean => kind === 'done'
/** Refused by what the node itself knows, as it must be while it cannot record. */
const isRefused = (one: Told): boolean =>
  (one.kind === 'refused' && one.code === 'audit-unavailable') ||
  (one.kind === 'turned' && (one.status === 503 || one.status === 429))

async function until(what: string, ms: number, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + ms
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`expected within ${ms / 1000} s: ${what}`)
    await wait(200)
  }
  told(what)
}

/** Asks a node until it answers so. What it answered else is said: it tells more than that it did not. */
async function answers(what: string, ms: number, asked: () => Promise<Told>, so: (one: Told) => boolean) {
  const others = new Map<string, number>()
  const wanted = async (): Promise<boolean> => {
    const one = await asked()
    const words = 'code' in one ? one.code : 'status' in one ? `status ${one.status}` : one.kind
    if (!so(one)) others.set(words, (others.get(words) ?? 0) + 1)
    return so(one)
  }
  await until(what, ms, wanted).finally(() => {
    if (others.size > 0) told(`  (before that: ${[...others].map(([said, n]) => `${said} ${n}`).join(', ')})`)
  })
}

const served = (scene: Scene, node: Node, name: string): Promise<void> =>
  answers(`${name} serves`, backMs, () => scene.probe(node), serves)

const refused = (scene: Scene, node: Node, name: string): Promise<void> =>
  answers(`${name} refuses what it cannot record`, awayMs, () => scene.probe(node), isRefused)

async function killOne(scene: Scene): Promise<void> {
  const [first, second] = scene.nodes
  const { name } = await second.broker.ready
  await until('the second has calls in flight', backMs, async () => (await scene.inFlight(name)) > 0)
  await second.broker.kill()
  told('the second node is killed')
  told(`it left ${await scene.inFlight(name)} calls`)
  await served(scene, first, 'the first')
  await until(
    'the first has settled what the second left',
    takenOverMs,
    async () => (await scene.waiting()) === 0,
  )
  second.broker = startBrokerProcess(second.file, scene.env)
  await second.broker.ready
  await served(scene, second, 'the second, started again,')
}

async function cutOne(scene: Scene, at: 0 | 1, how: 'late' | 'gone'): Promise<void> {
  const node = scene.nodes[at]
  const other = scene.nodes[at === 0 ? 1 : 0]
  const [name, others] = at === 0 ? ['the first', 'the second'] : ['the second', 'the first']
  node.proxy.cut()
  told(`the way of ${name} to the database is cut`)
  await refused(scene, node, name)
  await served(scene, other, others)
  node.proxy.heal(how)
  told(`the way is there again (${how === 'late' ? 'what was sent arrives late' : 'what was sent is lost'})`)
  await served(scene, node, name)
}

async function restart(scene: Scene, how: 'stop' | 'crash'): Promise<void> {
  const { nodes, database } = scene
  await database[how]()
  told(how === 'stop' ? 'the database is stopped' : 'the database has crashed')
  await refused(scene, nodes[0], 'the first')
  await refused(scene, nodes[1], 'the second')
  await database.start()
  told('the database is started')
  await served(scene, nodes[0], 'the first')
  await served(scene, nodes[1], 'the second')
}

await main()

async function main(): Promise<void> {
  const rounds = Math.min(100, Math.max(1, Number(values.rounds) || 1))
  const seed = Number(values.seed ?? Date.now() % 2 ** 32) >>> 0
  say(`seed ${seed}: \`--seed ${seed}\` makes the same choices again`)
  const ends: (() => Promise<unknown>)[] = []
  try {
    process.exitCode = (await play({ rounds, seed, ends })) ? 0 : 1
  } finally {
    for (const end of ends.toReversed()) await end()
  }
}

type Play = { readonly rounds: number; readonly seed: number; readonly ends: (() => Promise<unknown>)[] }

async function play({ rounds, seed, ends }: Play): Promise<boolean> {
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
  const truth = noTruth()
  const random = randomFrom(seed)
  const nodes = place.nodes.map(({ file, base }, n): Node => {
    const proxy = proxies[n === 0 ? 0 : 1]
    return { file, base, proxy, broker: startBrokerProcess(file, place.env) }
  })
  const [first, second] = nodes
  if (first === undefined || second === undefined) throw new TypeError('expected two nodes')
  ends.push(() => Promise.all(nodes.map(({ broker }) => broker.kill())))
  await Promise.all(nodes.map(({ broker }) => broker.ready))
  const home = place.nodes[0]?.loaded.config.home ?? ''
  const agents = await Promise.all(
    agentNames.map(async (name) => ({ name, key: await loadAgentKey(home, name), known: first.base })),
  )
  const [prober] = agents
  if (prober === undefined) throw new TypeError('expected an agent')

  const opened = await openTask({ ...prober, base: first.base })
  if (!opened.ok) throw new Error('expected a task before anything is broken')
  truth.tasks.set(opened.task, { parent: null, calls: null })
  const token = { now: opened.token, at: performance.now() }
  const probe: Scene['probe'] = async (node) => {
    // Fresh ones need the database, which may be away: in good time.
    if (performance.now() - token.at > 60_000) {
      const fresh = await openTask({ ...prober, base: first.base }, { task: opened.task })
      if (fresh.ok) Object.assign(token, { now: fresh.token, at: performance.now() })
    }
    const key = `probe-${truth.sent.size}`
    truth.sent.set(key, { task: opened.task, tool: 'read' })
    return hear(truth, key, () => callTool({ base: node.base, token: token.now, server: 'one' }, 'read', key))
  }
  const scene: Scene = {
    nodes: [first, second],
    database,
    env: place.env,
    probe,
    inFlight: async (name) => (await openOn(place)).filter((one) => one === name).length,
    waiting: async () => {
      const alive = nodes.filter(({ broker }) => broker.isAlive())
      const names = await Promise.all(alive.map(async ({ broker }) => (await broker.ready).name))
      return (await openOn(place)).filter((one) => !names.includes(one)).length
    },
  }
  const stop = new AbortController()
  const load = runLoad({
    truth,
    random,
    agents,
    servers: serverNames,
    base: () => random.pick([first.base, second.base]),
    terminal: () => random.pick([first, second]).broker,
    signal: stop.signal,
  })
  const done = { kills: 0, cuts: 0, restarts: 0 }
  try {
    for (const node of scene.nodes) await served(scene, node, node === first ? 'the first' : 'the second')
    for (let round = 0; round < rounds; round += 1) {
      await killOne(scene)
      await cutOne(scene, 0, 'late')
      await cutOne(scene, 1, 'gone')
      await restart(scene, 'stop')
      await restart(scene, 'crash')
      done.kills += 1
      done.cuts += 2
      done.restarts += 2
    }
  } finally {
    stop.abort()
    await load
  }
  await until('every call has its outcome', takenOverMs, async () => (await openOn(place)).length === 0)
  await Promise.all(nodes.map(({ broker }) => broker.close()))
  const seen = Object.assign({}, ...(await Promise.all(upstreams.map((one) => one.seen()))))
  const { verdict, problems } = await decide({ place, vkey, truth, seen, kills: done.kills, kept: [] })
  for (const problem of problems.slice(0, 50)) say(problem)
  const away = truth.told.filter(({ told: one }) => isRefused(one)).length
  if (!values.json) say(isSound(verdict) ? 'ok' : 'FAILED')
  process.stdout.write(`${JSON.stringify({ ...done, ...verdict, refused_while_away: away })}\n`)
  return isSound(verdict)
}
