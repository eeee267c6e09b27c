import { join } from 'node:path'
import { configSchema, type Config } from '../../src/config/schema.ts'
import { fsck, type FsckReport } from '../../src/audit/fsck.ts'
import { effectsOf, policy } from '../../scripts/kill/policy.ts'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import { readIntents } from '../../scripts/kill/intents.ts'
import { startBroker, type Broker, type BrokerOptions } from '../../src/broker.ts'
import type { Intended } from '../../scripts/kill/truth.ts'
import type { Upstream } from '../../scripts/kill/upstream.ts'
import type { Viewing } from '../../src/store/engine.ts'

export const configOf = (home: string, { url }: Pick<Upstream, 'url'>, store: JsonObject = {}): Config =>
  configSchema.parse({
    home,
    operator: 'operator',
    servers: { counting: { url, headers: { authorization: 'Bearer ${secret:upstream}' } } },
    agents: { coder: {}, scout: {} },
    // Nobody is waited for: the play answers itself, and in its own order.
    approvals: { holdSeconds: 0, legs: 1 },
    audit: { checkpointMs: 3_600_000 },
    ...store,
  })

export const start = (config: Config, options: BrokerOptions = {}): Promise<Broker> =>
  startBroker(
    { config, file: null, base: config.home, digest: 'sha256:test' },
    { ports: { agents: 0, operators: 0 }, ...options },
  )

/** Brokers of a suite: those that a failed test left running are ended with it. */
export function startBrokers() {
  const running = new Set<Broker>()
  const end = async (broker: Broker): Promise<void> => {
    if (running.delete(broker)) await broker.close()
  }
  return {
    async start(config: Config, options: BrokerOptions = {}): Promise<Broker> {
      const broker = await start(config, options)
      running.add(broker)
      return broker
    },
    end,
    endAll: async () => void (await Promise.all([...running].map(end))),
  }
}

/** As the person at the terminal. Gives the body, or null when the broker did not do it. */
export async function asOperator(
  broker: Pick<Broker, 'api'>,
  method: string,
  path: string,
  body?: JsonObject,
): Promise<JsonObject | null> {
  const given = body === undefined ? {} : { body }
  const answer = await broker.api({ method, path, level: 'terminal', ...given })
  return answer.status < 300 ? answer.body : null
}

/** Makes a home that is lived in: servers reviewed, policies loaded, a secret set. Gives the log's verifier key. */
export async function furnish(config: Config): Promise<string> {
  const broker = await start(config)
  try {
    await asOperator(broker, 'PUT', '/v1/secrets/upstream', { value: 'only the server may see this' })
    await asOperator(broker, 'POST', '/v1/servers/counting/refresh', {})
    if ((await reviewAll(broker)) === 0) throw new Error('expected tools to review')
    const files = [{ name: 'kill.cedar', text: policy }]
    if ((await asOperator(broker, 'PUT', '/v1/policy', { files })) === null)
      throw new Error('expected the policies to be loaded')
    return broker.publisher.vkey
  } finally {
    await broker.close()
  }
}

/** Accepts what waits, with the effects that the play goes by. Gives how many were accepted. */
export async function reviewAll(broker: Pick<Broker, 'api'>): Promise<number> {
  const query = { state: 'quarantined' }
  const found = await broker.api({ method: 'GET', path: '/v1/tools', query, level: 'terminal' })
  const tools = found.body['tools']
  let accepted = 0
  for (const tool of Array.isArray(tools) ? tools.filter(isJsonObject) : []) {
    const { id, digest, name } = tool
    const effect = Object.entries(effectsOf).find(([known]) => known === name)?.[1] ?? 'read'
    const review = { digest: String(digest), accept: true, overrides: { effects: [effect] } }
    const path = `/v1/tools/${encodeURIComponent(String(id))}/review`
    if ((await asOperator(broker, 'POST', path, review)) !== null) accepted += 1
  }
  return accepted
}

export type Found = { readonly report: FsckReport; readonly intents: readonly Intended[] }

/** What the store and the log say of themselves. `now` lies ahead when nothing may be on its way any more. */
export async function lookInto(
  { view }: Pick<Viewing, 'view'>,
  { home, ...given }: { readonly home: string; readonly vkey: string; readonly now?: number },
): Promise<Found> {
  const report = await fsck({
    view,
    published: join(home, 'log'),
    now: Date.now(),
    livingMs: 30_000,
    ...given,
  })
  return { report, intents: await view(readIntents()) }
}
