import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { z } from 'zod'
import { systemClock } from '../../src/lib/clock.ts'
import { answering, usage } from '../child.ts'
import { createInspection } from './inspect.ts'
import { loadConfig } from '../../src/config/load.ts'
import { relist } from '../../src/compose/registry.ts'
import { secretOf } from '../../src/credential/secret.ts'
import { openBroker, startBroker } from '../../src/broker.ts'

/** The whole broker as its command line starts it, with a few questions that only the bench asks. */
const file = process.argv[2] ?? ''
const stalls = monitorEventLoopDelay({ resolution: 1 })
stalls.enable()
/** The longest time since it was last asked that the event loop served nobody, in milliseconds. */
function stall(): number {
  const longest = stalls.max / 1e6
  stalls.reset()
  return longest
}
const faults: string[] = []
const by = { name: 'bench', proof: 'terminal' }

/** What the server's configuration names must be there before it can be listed. */
async function putSecret(): Promise<void> {
  const opened = await openBroker(loadConfig(file))
  await opened.core.vault.set('upstream', secretOf('s3cr3t-bench-value-0123456789'), by)
  await opened.close()
}

if (process.argv[3] === 'lent') await putSecret()
const broker = await startBroker(loadConfig(file), {
  onFault: (fault) => void faults.push(fault instanceof Error ? fault.message : String(fault)),
})
await broker.listed
await new Promise((after) => setTimeout(after, 10))
const stalledAtStart = stall()
setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/** Reviews all that waits as tools that read, one file a server, as an operator who looked elsewhere would. */
async function reviewAll(): Promise<number> {
  const { registry } = broker.core
  const waiting = registry.tools({ state: 'quarantined' })
  const pin = {
    effects: ['read'],
    environment: 'development',
    confidentiality: 'internal',
    integrity: 'untrusted',
    targets: { path: '/path' },
    reviewer: 'bench',
    at: new Date().toISOString(),
  }
  for (const server of registry.servers()) {
    const tools = waiting
      .filter((tool) => tool.server === server)
      .map(({ id, digest, kind }) => ({ id, digest, ...pin, targets: kind === 'tool' ? pin.targets : {} }))
    const text = JSON.stringify({ version: 1, server, tools })
    const imported = await registry.importReviewed({ server, text, by })
    if (!imported.ok) throw new Error(imported.problem)
  }
  return waiting.length
}

const relistUp = async (): Promise<string | null> =>
  (await relist({ ...broker.core, clock: systemClock }, 'up')).problem

const inspection = createInspection()
const openingSchema = z.object({ agents: z.array(z.string()), each: z.number() })

async function openTasks(value: unknown): Promise<number> {
  const { agents, each } = openingSchema.parse(value)
  for (const agent of agents) {
    await Promise.all(
      Array.from({ length: each }, async () => {
        const opened = await broker.core.tasks.open({ agent, by: 'agent' }, by)
        if (!opened.ok) throw new Error(opened.detail)
      }),
    )
  }
  return agents.length * each
}

const keySchema = z.string()

answering(
  {
    usage,
    port: () => Number(new URL(broker.urls.agents).port),
    faults: () => faults,
    reviewAll,
    openTasks,
    heap: () => {
      collect()
      collect()
      return usage()
    },
    revoke: async (key) => {
      await broker.core.revocations.revoke({ key: keySchema.parse(key), reason: 'bench' }, by)
    },
    lift: async (key) => {
      await broker.core.revocations.lift({ key: keySchema.parse(key), reason: 'bench' }, by)
    },
    stall,
    inspect: () => inspection.start(),
    inspected: (files) => inspection.stop(files),
    stallAtStart: () => stalledAtStart,
    relist: relistUp,
    tools: () => broker.core.registry.tools({ state: 'reviewed' }).length,
  },
  () => broker.close(),
)
