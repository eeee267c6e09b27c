import { configSchema } from '../src/config/schema.ts'
import { createAccesses } from '../src/cli/bridge/access.ts'
import { loadAgentKey } from '../src/identity/key.ts'
import { join } from 'node:path'
import { mkdtemp, rm } from 'node:fs/promises'
import { startBroker, type Broker } from '../src/broker.ts'
import { tmpdir } from 'node:os'
import type { z } from 'zod'

/** A whole broker in a folder of its own: store, keys, policies, log, tokens, tasks. */
export type World = {
  readonly broker: Broker
  /** A token of the agent's task, renewed before it ends. */
  readonly token: () => Promise<string>
  /** Problems of listing servers, by server. */
  readonly problems: { readonly [server: string]: string }
  /** What the broker reported as faults. */
  readonly faults: readonly unknown[]
  close(): Promise<void>
}

export type WorldOptions = {
  readonly servers: z.input<typeof configSchema>['servers']
  readonly config?: Partial<z.input<typeof configSchema>>
  /** What a reviewer could not accept stays in quarantine instead of ending it all. */
  readonly unreviewable?: 'skip'
}

const agent = 'conformance'

/** Starts a broker with these servers and reviews all that they offer, as a reviewer who looked would. */
export async function startWorld({ servers, config: more, unreviewable }: WorldOptions): Promise<World> {
  const root = await mkdtemp(join(tmpdir(), 'countersign-conformance-'))
  const faults: unknown[] = []
  const config = configSchema.parse({
    home: join(root, 'home'),
    operator: 'operator',
    policy: { dir: join(import.meta.dirname, 'policies') },
    servers,
    agents: { [agent]: {} },
    ...more,
  })
  const end = () => rm(root, { recursive: true, force: true })
  const broker = await startBroker(
    { config, file: null, base: root, digest: 'sha256:conformance' },
    { ports: { agents: 0, operators: 0 }, onFault: (fault) => void faults.push(fault) },
  ).catch(async (problem: unknown) => {
    await end()
    throw problem
  })
  const close = async () => {
    await broker.close()
    await end()
  }
  try {
    const problems = await broker.listed
    await reviewAll(broker, unreviewable === 'skip')
    const key = await loadAgentKey(config.home, agent)
    const access = createAccesses({ agent, key, base: async () => broker.urls.agents })
    return { broker, faults, problems, token: async () => (await access.get()).token, close }
  } catch (problem) {
    await close()
    throw problem
  }
}

async function reviewAll({ core: { registry } }: Broker, skip: boolean): Promise<void> {
  const by = { name: 'operator', proof: 'terminal' } as const
  for (const { id, digest } of registry.tools({ state: 'quarantined' })) {
    const reviewed = await registry.review({ id, digest, overrides: {}, by })
    if (!reviewed.ok && !skip) throw new Error(`\`${id}\` could not be reviewed: ${reviewed.detail}`)
  }
}
