import { createServer } from 'node:net'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { effectsOf, policy } from './policy.ts'
import { loadConfig, type Loaded } from '../../src/config/load.ts'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import { startBrokerProcess, type BrokerProcess } from './child.ts'

export type EngineName = 'sqlite' | 'postgres'

/** Where the brokers of a run live: nodes with homes of their own, and a database when they share one. */
export type Place = {
  readonly root: string
  readonly nodes: readonly NodePlace[]
  readonly env: { readonly [name: string]: string }
  end(): Promise<void>
}

export type NodePlace = {
  readonly file: string
  readonly base: string
  /** As agents know the broker, whatever node answers. */
  readonly known: string
  readonly loaded: Loaded
}

export const agentNames = ['ada', 'ben', 'cleo', 'dan'] as const
export const serverNames = ['one', 'two'] as const

export type PlaceOptions = {
  readonly upstreams: readonly string[]
  readonly nodes?: number
  /** The part of the configuration that names a database; the password lies in `passwordFile` below `root`. */
  readonly store?: { readonly config: JsonObject; readonly password: string } | null
  /** How each node reaches the database, when that is not as `store` says. */
  readonly ways?: readonly JsonObject[]
}

export async function makePlace(options: PlaceOptions): Promise<Place> {
  const root = await mkdtemp(join(tmpdir(), 'countersign-kill-'))
  const { upstreams, nodes: count = 1, store = null, ways = [] } = options
  await mkdir(join(root, 'policies'))
  await writeFile(join(root, 'policies', 'kill.cedar'), policy)
  await mkdir(join(root, 'keys'), { mode: 0o700 })
  if (store !== null) await writeFile(join(root, 'password'), store.password, { mode: 0o600 })
  const ports = await freePorts(2 * count)
  const known = `http://127.0.0.1:${ports[0] ?? 0}`
  const nodes: NodePlace[] = []
  for (let n = 0; n < count; n += 1) {
    const file = join(root, `node-${n}.json`)
    const config = {
      home: join(root, `home-${n}`),
      keys: join(root, 'keys'),
      operator: 'operator',
      listen: {
        agents: `127.0.0.1:${ports[2 * n] ?? 0}`,
        operators: `127.0.0.1:${ports[2 * n + 1] ?? 0}`,
        agentsUrl: known,
      },
      policy: { dir: join(root, 'policies') },
      servers: Object.fromEntries(
        serverNames.map((name, i) => [
          name,
          {
            url: upstreams[i % upstreams.length] ?? '',
            headers: { authorization: 'Bearer ${secret:upstream}' },
          },
        ]),
      ),
      agents: Object.fromEntries(agentNames.map((name) => [name, {}])),
      approvals: { holdSeconds: 1, legs: 1, minutes: 2, pendingPerAgent: 100 },
      audit: { checkpointMs: 100 },
      ...(store === null
        ? {}
        : { store: { passwordFile: join(root, 'password'), ...store.config, ...ways[n] } }),
    }
    await writeFile(file, JSON.stringify(config, null, 2))
    nodes.push({ file, base: `http://127.0.0.1:${ports[2 * n] ?? 0}`, known, loaded: loadConfig(file) })
  }
  return {
    root,
    nodes,
    // What a start compiles is kept: hundreds of them follow.
    env: { NODE_COMPILE_CACHE: join(root, 'compiled') },
    end: () => rm(root, { recursive: true, force: true, maxRetries: 5 }),
  }
}

/** Free a moment ago: another program may take one meanwhile, which shows as a broker that does not start. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const probes = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    probes.map(
      (probe) =>
        new Promise<number>((resolve, reject) => {
          probe.once('error', reject)
          probe.listen(0, '127.0.0.1', () => {
            const address = probe.address()
            resolve(address === null || typeof address === 'string' ? 0 : address.port)
          })
        }),
    ),
  )
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))))
  return ports
}

/** The first start: a secret is set, the servers are listed, and a person reviews their tools. Gives the log's key. */
export async function furnishPlace(place: Place): Promise<string> {
  const [node] = place.nodes
  if (node === undefined) throw new TypeError('expected a node')
  const broker = startBrokerProcess(node.file, place.env)
  try {
    const { vkey } = await broker.ready
    await broker.listed
    await furnish(broker)
    await broker.close()
    return vkey
  } catch (problem) {
    await broker.kill()
    throw problem
  }
}

async function furnish(broker: BrokerProcess): Promise<void> {
  await must(broker, 'PUT', '/v1/secrets/upstream', { value: 'only the server may see this' })
  for (const server of serverNames) await must(broker, 'POST', `/v1/servers/${server}/refresh`, {})
  const found = await must(broker, 'GET', '/v1/tools')
  for (const tool of Array.isArray(found['tools']) ? found['tools'].filter(isJsonObject) : []) {
    const effect = Object.entries(effectsOf).find(([name]) => name === tool['name'])?.[1] ?? 'read'
    const review = { digest: String(tool['digest']), accept: true, overrides: { effects: [effect] } }
    await must(broker, 'POST', `/v1/tools/${encodeURIComponent(String(tool['id']))}/review`, review)
  }
}

async function must(
  broker: BrokerProcess,
  method: string,
  path: string,
  body?: JsonObject,
): Promise<JsonObject> {
  const done = await broker.act(method, path, body)
  if (done === null) throw new Error(`\`${method} ${path}\` was not done: ${broker.faults.join('; ')}`)
  return done
}
