import { countAsks, readBroker, readProcess } from '../observe/readings.ts'
import { exposition } from '../observe/exposition.ts'
import { fill, secretsNamedIn } from '../credential/reference.ts'
import { setTimeout as pause } from 'node:timers/promises'
import { scrapeToken } from '../observe/scrape.ts'
import { watchingRoutes } from '../door/operator/watching.ts'
import type { Core, Ground } from './core.ts'
import type { Exchange } from '../door/exchange.ts'
import type { McpDoor } from '../door/mcp/door.ts'
import type { Observer } from '../observe/observer.ts'
import type { OwedLedger } from '../call/recover.ts'
import type { Publisher } from '../audit/publish.ts'

export type ObserveParts = {
  readonly ground: Ground
  readonly core: Core
  readonly observer: Observer
  readonly publisher: Publisher
  readonly owed: OwedLedger
  readonly door: McpDoor
  readonly version: string
  readonly listed: Promise<{ readonly [server: string]: string }>
}

export type Watching = {
  /** Answers what watchers ask, and leaves the rest to these routes. */
  before(routes: (exchange: Exchange) => Promise<void>): (exchange: Exchange) => Promise<void>
  drain(): Promise<void>
  close(): Promise<void>
}

/** A broker that stands is shown to those who watch: readings, readiness, routes, exports. */
export async function observeBroker(parts: ObserveParts): Promise<Watching> {
  const { ground, core, observer, version } = parts
  const { meter, health, log } = observer
  const { observe, environment, listen, home } = ground.config
  countAsks(meter, observer.hub, ground.clock)
  readBroker(meter, {
    clock: ground.clock,
    counts: (now) => ground.store.counts(now),
    log: ground.store.log,
    publisher: parts.publisher,
    owed: parts.owed,
    door: parts.door,
    servers: core.servers,
    tools: () => core.registry.tools(),
    revocations: () => core.revocations.list(),
    health,
    running: () => observer.flight.count(),
    reached: observer.reached,
    build: { version, environment },
  })
  const stopReading = readProcess(meter)
  void parts.listed.then(
    (problems) => observer.listed(problems, core.registry.servers()),
    () => undefined,
  )
  await observer.start({ broker: ground.broker, version, environment, headers: await headersOf(parts) })
  const token = observe.metrics.prometheus
    ? await scrapeToken({ home, tokenFile: observe.metrics.tokenFile, derived: ground.keys.scrape })
    : null
  health.attach({
    policies: () => ({ ok: true, detail: core.policies.snapshot().version }),
    registry: () => ({ ok: true, detail: `${core.registry.servers().length} servers` }),
  })
  const own = watchingRoutes({
    gate: core.gate,
    token,
    metrics: async () => exposition(await meter.collect()),
    readiness: () => health.readiness(),
  })
  return {
    before: (routes) => async (exchange) => {
      if (!(await own(exchange))) await routes(exchange)
    },
    drain: async () => {
      health.drain()
      log.say('draining', { count: listen.drainSeconds })
      await pause(listen.drainSeconds * 1000)
    },
    close: async () => {
      stopReading()
      await observer.close()
    },
  }
}

/** Headers of exports, with the secrets that they name. One that is missing is a fault of the start, not of each export. */
async function headersOf({ ground, core }: ObserveParts): Promise<{ readonly [name: string]: string }> {
  const headers: { [name: string]: string } = {}
  for (const [name, text] of Object.entries(ground.config.observe.otlp.headers)) {
    const values = new Map<string, string>()
    for (const secret of secretsNamedIn(text)) {
      const value = await core.vault.reveal(secret)
      if ('problem' in value) {
        ground.onFault(
          new Error(
            `\`observe.otlp.headers.${name}\`: ${value.detail}; set it with \`countersign secret set ${secret}\``,
          ),
        )
      } else values.set(secret, value.reveal())
    }
    headers[name] = fill(text, (secret) => values.get(secret) ?? '')
  }
  return headers
}
