import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { z } from 'zod'
import { createAccesses, type Accesses } from '../src/cli/bridge/access.ts'
import { loadAgentKey } from '../src/identity/key.ts'
import { hundredPolicies } from './policies.ts'
import { startChild, type Child } from './child.ts'
import type { CallAs } from './wire.ts'

/** Everything that a run measures through: one upstream, the floor before it, a whole broker before it. */
export type World = {
  readonly home: string
  readonly configFile: string
  readonly upstream: Child
  readonly floor: Child
  readonly broker: Child
  readonly ports: { readonly floor: number; readonly broker: number }
  readonly agents: readonly string[]
  /** Fresh tokens of every agent, as callers of the broker; the floor takes the same and reads none. */
  callers(count?: number): Promise<readonly CallAs[]>
  close(): Promise<void>
}

export type WorldOptions = {
  /** How many tools the upstream offers. */
  readonly tools: number
  readonly agents: number
  /** The server's configuration names a secret, so that each call borrows one. */
  readonly lent?: boolean
  /** Each agent's task has a scope of its own, so that no list of one is known from another. */
  readonly scoped?: boolean
  /** For the broker's process, such as `--cpu-prof`. */
  readonly execArgv?: readonly string[]
  /** A store elsewhere than in a file below home. */
  readonly store?: StoreConfig | null
}

export type StoreConfig = { readonly postgres: string; readonly passwordFile: string }

export const portSchema = z.number().int().positive()

const file = (name: string): URL => new URL(`./process/${name}.ts`, import.meta.url)

/** Everything on: token, task with a budget, 100 policies, labels, both entries durable on the disk below `home`. */
export async function layWorld(options: WorldOptions): Promise<World> {
  const root = await mkdtemp(join(tmpdir(), 'countersign-bench-'))
  const upstream = await startChild(file('upstream'), [String(options.tools)])
  const upstreamPort = await upstream.ask('port', portSchema)
  const floor = await startChild(file('floor'), [String(upstreamPort)])
  const agents = Array.from({ length: options.agents }, (_, index) => `agent-${index}`)
  const configFile = await writeConfig(root, { ...options, agents, upstreamPort })
  const home = join(root, 'home')
  const broker = await startChild(
    file('broker'),
    [configFile, ...(options.lent === true ? ['lent'] : [])],
    options.execArgv ?? [],
  )
  const ports = { floor: await floor.ask('port', portSchema), broker: await broker.ask('port', portSchema) }
  await broker.ask('reviewAll', z.number())
  const accesses = new Map<string, Accesses>()
  return {
    home,
    configFile,
    upstream,
    floor,
    broker,
    ports,
    agents,
    async callers(count = agents.length) {
      return Promise.all(
        agents.slice(0, count).map(async (agent, index) => {
          const key = await loadAgentKey(home, agent)
          const base = async (): Promise<string> => `http://127.0.0.1:${ports.broker}`
          const access = accesses.get(agent) ?? createAccesses({ agent, key, base })
          accesses.set(agent, access)
          return { path: '/mcp/up', token: (await access.get()).token, tool: `tool_${index % options.tools}` }
        }),
      )
    },
    async close() {
      await broker.end()
      await floor.end()
      await upstream.end()
      await rm(root, { recursive: true, force: true })
    },
  }
}

type Configured = WorldOptions & { readonly upstreamPort: number }

async function writeConfig(
  root: string,
  {
    agents,
    upstreamPort,
    lent = false,
    scoped = false,
    store = null,
  }: Omit<Configured, 'agents'> & { agents: readonly string[] },
): Promise<string> {
  const [agentsPort, operatorsPort] = [await freePort(), await freePort()]
  await mkdir(join(root, 'policy'))
  await writeFile(join(root, 'policy', 'bench.cedar'), hundredPolicies('up'))
  const taskOf = (agent: string) => ({
    task: { budget: { calls: 1_000_000_000 }, ...(scoped ? { tools: ['up/*', `${agent}/none`] } : {}) },
  })
  const config = {
    home: './home',
    operator: 'operator',
    listen: { agents: `127.0.0.1:${agentsPort}`, operators: `127.0.0.1:${operatorsPort}` },
    policy: { dir: './policy' },
    servers: {
      up: {
        url: `http://127.0.0.1:${upstreamPort}/mcp`,
        limits: { concurrency: 256 },
        ...(lent ? { headers: { 'X-Api-Key': 'secret:upstream' } } : {}),
      },
    },
    agents: Object.fromEntries(agents.map((name) => [name, taskOf(name)])),
    ...(store === null ? {} : { store }),
  }
  const path = join(root, 'countersign.json')
  await writeFile(path, JSON.stringify(config, null, 2))
  return path
}

/** A port that was free a moment ago: the same one serves again after a restart, so tokens stay good. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return address === null || typeof address === 'string' ? 0 : address.port
}
