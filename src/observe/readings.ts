import { checks, type Health } from './health.ts'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { Ask } from '../approval/ask.ts'
import type { Clock } from '../lib/clock.ts'
import type { Counts, LogStore } from '../store/ports.ts'
import type { Hub } from './hub.ts'
import type { Meter } from './meter.ts'
import type { Publisher } from '../audit/publish.ts'
import type { Report } from '../server/servers.ts'
import type { Tool } from '../registry/tool.ts'

/** What a broker is asked about itself when somebody looks. Each part is as narrow as its readings. */
export type Readable = {
  readonly clock: Clock
  readonly counts: (now: number) => Promise<Counts>
  readonly log: Pick<LogStore, 'size' | 'checkpoint'>
  readonly publisher: Pick<Publisher, 'status'>
  readonly owed: { readonly waiting: () => { readonly refusals: number; readonly outcomes: number } }
  readonly door: {
    readonly counts: () => { readonly sessions: number; readonly streams: number; readonly held: number }
  }
  readonly servers: { readonly diagnose: () => Report }
  readonly tools: () => readonly Tool[]
  readonly revocations: () => readonly { readonly key: string }[]
  readonly health: Health
  readonly running: () => number
  readonly reached: ReadonlyMap<string, boolean>
  readonly build: { readonly version: string; readonly environment: string }
}

/** Readings that several metrics share are taken once for all of them. */
const sharedMs = 500

export function readBroker(meter: Meter, from: Readable): void {
  readStore(meter, from)
  const { door, servers, health } = from
  meter.read('countersign.calls.running', from.running)
  meter.read('countersign.calls.held', () => door.counts().held)
  meter.read('countersign.sessions.open', () => door.counts().sessions)
  meter.read('countersign.streams.open', () => door.counts().streams)
  meter.read('countersign.revocations', () =>
    tallied(from.revocations().map(({ key }) => key.split(':', 1)[0] ?? key)).map(([of, value]) => ({
      labels: { of },
      value,
    })),
  )
  meter.read('countersign.owed', () => {
    const { refusals, outcomes } = from.owed.waiting()
    return [
      { labels: { kind: 'refusal' }, value: refusals },
      { labels: { kind: 'outcome' }, value: outcomes },
    ]
  })
  meter.read('countersign.server.up', () =>
    [...from.reached].map(([server, yes]) => ({ labels: { server }, value: yes ? 1 : 0 })),
  )
  meter.read('countersign.server.connections', () =>
    tallied(servers.diagnose().connections.map(({ server }) => server)).map(([server, value]) => ({
      labels: { server },
      value,
    })),
  )
  meter.read('countersign.server.dropped', () =>
    Object.entries(servers.diagnose().dropped).flatMap(([server, sorts]) =>
      Object.entries(sorts).map(([what, value]) => ({ labels: { server, what }, value })),
    ),
  )
  meter.read('countersign.tools', () =>
    tallied(from.tools().map((tool) => `${tool.server}\n${tool.state}`)).map(([key, value]) => {
      const [server = '', state = ''] = key.split('\n')
      return { labels: { server, state }, value }
    }),
  )
  meter.read('countersign.ready', () => {
    const readiness = health.readiness()
    return checks.map((check) => ({ labels: { check }, value: readiness.checks[check].ok ? 1 : 0 }))
  })
  meter.read('countersign.build.info', () => [
    { labels: { ...from.build, node: process.versions.node }, value: 1 },
  ])
}

function readStore(meter: Meter, { clock, counts, log, publisher, health }: Readable): void {
  const open = shared(() => counts(clock.now()))
  const lag = shared(async () => ({ size: await log.size(), signed: (await log.checkpoint())?.size ?? 0 }))
  const since = (at: number): number => Math.max(0, clock.now() - at) / 1000
  meter.read('countersign.tasks.open', async () => (await open()).tasks)
  meter.read('countersign.asks.open', async () => (await open()).asks)
  meter.read('countersign.asks.oldest', async () => {
    const { oldestAsk } = await open()
    return oldestAsk === null ? 0 : since(oldestAsk)
  })
  meter.read('countersign.leases.open', async () => (await open()).leases)
  meter.read('countersign.calls.unsettled', async () => (await open()).unsettled)
  meter.read('countersign.log.size', async () => (await lag()).size)
  meter.read('countersign.log.checkpoint.lag', async () => {
    const { size, signed } = await lag()
    return Math.max(0, size - signed)
  })
  meter.read('countersign.log.checkpoint.age', () => {
    const { at } = publisher.status()
    return at === null ? [] : [{ value: since(at) }]
  })
  meter.read('countersign.log.failing', () => (publisher.status().failing ? 1 : 0))
  meter.read('countersign.store.beat.age', () => {
    const age = health.beatAge()
    return age === null ? [] : [{ value: age }]
  })
}

function shared<Value>(read: () => Promise<Value>): () => Promise<Value> {
  let last: { readonly at: number; readonly value: Promise<Value> } | null = null
  return () => {
    const now = performance.now()
    if (last === null || now - last.at > sharedMs) last = { at: now, value: read() }
    return last.value
  }
}

function tallied(words: readonly string[]): readonly (readonly [string, number])[] {
  const counts = new Map<string, number>()
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  return [...counts]
}

/** Asks that were opened here and may run out without anybody saying so; what is beyond is not counted as expired. */
const mostAsks = 10_000

/** What becomes of questions to people, as far as this node hears of it. */
export function countAsks(meter: Meter, hub: Hub, clock: Clock): void {
  const open = new Map<string, number>()
  const count = (event: string): void => meter.count('countersign.asks', { event })
  const expire = (): void => {
    for (const [id, expiresAt] of open) {
      if (clock.now() < expiresAt) continue
      open.delete(id)
      count('expired')
    }
  }
  const answered = ({ id, state }: Ask): void => {
    if (state !== 'approved' && state !== 'refused') return
    open.delete(id)
    count(state)
  }
  hub.subscribe((fact) => {
    if (fact.kind === 'answered') answered(fact.ask)
    if (fact.kind !== 'ask') return
    count('opened')
    if (open.size >= mostAsks) expire()
    if (open.size < mostAsks) open.set(fact.ask.id, fact.ask.expiresAt)
  })
  // Nobody is told when a question runs out: it is seen when somebody looks.
  meter.read('countersign.asks', () => {
    expire()
    return []
  })
}

/** How often the loop is asked whether it is late. Rare, so that an idle broker sleeps. */
const resolution = 50

/** The process itself. Returns how to stop looking. */
export function readProcess(meter: Meter): () => void {
  const delays = monitorEventLoopDelay({ resolution })
  delays.enable()
  const late = (nanoseconds: number): number =>
    Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e9 - resolution / 1000) : 0
  // The median is read first and the maximum last: then it begins anew.
  const reading = { p50: 0, p99: 0, max: 0 }
  meter.read('nodejs.eventloop.delay.p50', () => {
    Object.assign(reading, {
      p50: late(delays.percentile(50)),
      p99: late(delays.percentile(99)),
      max: late(delays.max),
    })
    delays.reset()
    return reading.p50
  })
  meter.read('nodejs.eventloop.delay.p99', () => reading.p99)
  meter.read('nodejs.eventloop.delay.max', () => reading.max)
  let before = performance.eventLoopUtilization()
  meter.read('nodejs.eventloop.utilization', () => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    return utilization
  })
  meter.read('v8js.memory.heap.used', () => process.memoryUsage().heapUsed)
  meter.read('process.memory.usage', () => process.memoryUsage.rss())
  meter.read('process.cpu.time', () => {
    const { user, system } = process.cpuUsage()
    return [
      { labels: { 'cpu.mode': 'user' }, value: user / 1e6 },
      { labels: { 'cpu.mode': 'system' }, value: system / 1e6 },
    ]
  })
  meter.read('process.uptime', () => process.uptime())
  return () => delays.disable()
}
