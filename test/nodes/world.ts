import { connect, createServer, type Socket } from 'node:net'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { startCluster, type Cluster } from '../postgres.ts'
import { startPlayground } from '../../examples/servers/playground.ts'
import { world, type World, type WorldOptions } from '../world.ts'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Two brokers on one PostgreSQL, behind one address as agents know it. */
export type Pair = {
  readonly cluster: Cluster
  readonly nodes: readonly [World, World]
  /** Sends agents to this node from now on; connections to the other are cut. */
  to(node: 0 | 1): void
  /** Starts another node on the same store, for as long as the pair. */
  more(): Promise<World>
  close(): Promise<void>
}

export async function pair(options: WorldOptions = {}): Promise<Pair> {
  const root = await mkdtemp(join(tmpdir(), 'countersign-pair-'))
  const cluster = await startCluster()
  const playground = await startPlayground({ port: 0 })
  const door = await balancer()
  const database = await cluster.database()
  const passwordFile = join(root, 'password')
  await writeFile(passwordFile, await database.password(), { mode: 0o600 })
  const { user, host, port } = database
  const node = () =>
    world({
      ...options,
      servers: { playground: { url: playground.url } },
      config: {
        ...options.config,
        keys: join(root, 'keys'),
        store: { postgres: `postgres://${user}@${host}:${port}/${database.database}`, passwordFile },
        listen: { agentsUrl: door.url },
      },
    })
  const first = await node()
  const nodes = [first, await node()] as const
  const all: World[] = [...nodes]
  const to = (which: 0 | 1) => door.to(nodes[which].broker.here.agents)
  to(0)
  return {
    cluster,
    nodes,
    to,
    async more() {
      const made = await node()
      all.push(made)
      return made
    },
    async close() {
      door.close()
      for (const one of all) await one.close()
      await playground.close()
      await cluster.end()
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** What stands in front of the nodes: passes bytes, knows nothing. */
async function balancer() {
  const open = new Set<Socket>()
  let target = new URL('http://127.0.0.1:1')
  const server = createServer((from) => {
    const on = connect(Number(target.port), target.hostname)
    for (const [one, other] of [
      [from, on],
      [on, from],
    ] as const) {
      open.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        open.delete(one)
        other.destroy()
      })
    }
    from.pipe(on).pipe(from)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const cut = () => open.forEach((socket) => socket.destroy())
  return {
    url: `http://127.0.0.1:${port}`,
    to: (url: string) => {
      target = new URL(url)
      cut()
    },
    close: () => {
      cut()
      server.close()
    },
  }
}
