import { configSchema } from '../../src/config/schema.ts'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { startBroker, type Broker } from '../../src/broker.ts'

/** A broker in a process of its own, so that what it holds is told apart from what plays with it. Speaks over IPC. */

export type Wanted =
  | { readonly kind: 'memory' }
  | { readonly kind: 'stall' }
  | { readonly kind: 'log' }
  | { readonly kind: 'review' }
  | { readonly kind: 'tasks'; readonly agents: number; readonly each: number }
  | { readonly kind: 'sweep' }
  | { readonly kind: 'server'; readonly name: string; readonly url: string }
  | { readonly kind: 'refresh'; readonly name: string }
  | { readonly kind: 'close' }

export type Memory = { readonly heap: number; readonly external: number; readonly rss: number }

const by = { name: 'soak', proof: 'terminal' }
const delay = monitorEventLoopDelay({ resolution: 5 })
delay.enable()
let faults = 0

const config = configSchema.parse(JSON.parse(process.argv[2] ?? '{}'))
const broker = await startBroker(
  { config, file: null, base: config.home, digest: 'sha256:soak' },
  { ports: { agents: 0, operators: 0 }, onFault: () => void (faults += 1) },
)
await broker.listed
await review(broker)
process.on('message', ({ id, wanted }: { readonly id: number; readonly wanted: Wanted }) => {
  void reply(id, wanted)
})
process.send?.({ id: 0, value: { agents: broker.urls.agents } })

async function reply(id: number, wanted: Wanted): Promise<void> {
  const value = await answer(wanted).catch((problem: unknown) => ({ problem: String(problem) }))
  process.send?.({ id, value })
  if (wanted.kind === 'close') process.disconnect()
}

async function review({ core }: Broker): Promise<number> {
  const tools = core.registry.tools({ state: 'quarantined' })
  for (const { id, digest } of tools.slice(0, 100))
    await core.registry.review({ id, digest, overrides: {}, by })
  return tools.length
}

function memory(): Memory {
  for (let n = 0; n < 3; n++) globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed, external, rss }
}

async function answer(wanted: Wanted): Promise<object> {
  switch (wanted.kind) {
    case 'memory':
      return memory()
    case 'stall': {
      const ms = delay.max / 1e6
      delay.reset()
      return { ms: Number.isFinite(ms) ? ms : 0 }
    }
    case 'log': {
      const { body } = await broker.api({ method: 'GET', path: '/v1/status', level: 'terminal' })
      return { ...(typeof body['log'] === 'object' ? body['log'] : {}), faults }
    }
    case 'review':
      return { reviewed: await review(broker) }
    case 'tasks':
      return openTasks(wanted)
    case 'sweep':
      return timed(async () => ({
        closed: (await broker.core.tasks.sweep()).length,
        listed: (await broker.core.tasks.list({ state: 'open' })).length,
      }))
    case 'server':
      return timed(() => operate('/v1/servers', { name: wanted.name, config: { url: wanted.url } }))
    case 'refresh':
      return timed(() => operate(`/v1/servers/${wanted.name}/refresh`, {}))
    case 'close':
      await broker.close()
      return { faults }
  }
}

async function operate(path: string, body: object): Promise<{ readonly problem: unknown }> {
  const answered = await broker.api({ method: 'POST', path, body, level: 'terminal' })
  return { problem: answered.body['problem'] ?? answered.body['error'] ?? null }
}

async function timed<Result extends object>(
  work: () => Promise<Result>,
): Promise<Result & { readonly ms: number }> {
  const began = performance.now()
  const result = await work()
  return { ...result, ms: performance.now() - began }
}

const openTasks = ({ agents, each }: { readonly agents: number; readonly each: number }) =>
  timed(async () => {
    let opened = 0
    const opening = async (agent: string): Promise<void> => {
      for (let n = 0; n < each; n++) {
        const made = await broker.core.tasks.open({ by: 'agent', agent }, by)
        if (made.ok) opened += 1
      }
    }
    await Promise.all(Array.from({ length: agents }, (_, n) => opening(`crowd-${n}`)))
    return { opened }
  })
