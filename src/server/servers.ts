import type { ServerConfig } from '../config/schema.ts'
import type { Lease } from '../credential/lease.ts'
import type { InputKind, Outgoing, ServerAnswer, Servers, Updates } from './answer.ts'
import { keepBooks, reportChanges, type Ended } from './books.ts'
import { runCall } from './call.ts'
import type { RawCatalogue } from './catalogue.ts'
import { notSent, type Dropped, type NotSent } from './channel.ts'
import type { Resolve } from './destination.ts'
import { createGate, type Gate } from './gate.ts'
import { createAgents } from './http.ts'
import type { Freshness, Pinning } from './link.ts'
import { createPark } from './park.ts'
import { createPool, type Diagnosis } from './pool.ts'
import { createWatch } from './subscribe.ts'

export type ServersOptions = {
  /** The configuration of a server as of now; `null`: there is none. */
  readonly servers: (name: string) => ServerConfig | null
  /** How definitions are made of what a server lists, and compared. */
  readonly pinning: Pinning
  /** Each time a server is seen to offer something else than before. The call that noticed it waits for this. */
  readonly onCatalogue: (raw: RawCatalogue) => void | Promise<void>
  /** Where `PATH` comes from; the broker's own environment when left out. */
  readonly hostEnvironment?: () => { readonly [name: string]: string | undefined }
  /** Stands in for the system's name resolution. */
  readonly resolve?: Resolve
  /** What servers may ask of clients in the middle of a call; forms alone when left out. */
  readonly inputs?: readonly InputKind[]
  readonly limits?: Partial<ServersLimits>
}

/** Times in milliseconds. */
export type ServersLimits = {
  /** Longest wait for one of the `concurrency` places of a server. */
  readonly queueMs: number
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs: number
  /** A process that is silent at the modern question for so long is asked the legacy one as well. */
  readonly silenceMs: number
  /** An unused process or session is ended after this. */
  readonly idleMs: number
  /** Processes or sessions of one server at once. */
  readonly connections: number
  /** Calls of one server that stand still for a person's answer, and for how long. */
  readonly parked: number
  readonly parkedMs: number
  /** How long a list is believed. */
  readonly freshness: Freshness
  /** One process without secrets is kept started for the next task. */
  readonly spares: boolean
}

export const defaultServersLimits: ServersLimits = {
  queueMs: 2_000,
  graceMs: 2_000,
  silenceMs: 2_000,
  idleMs: 30 * 60_000,
  connections: 64,
  parked: 32,
  parkedMs: 15 * 60_000,
  freshness: { leastMs: 1_000, unsaidMs: 30_000, mostMs: 300_000 },
  spares: true,
}

export type ServersPort = Servers &
  Updates & {
    /** Lists a server's offer anew, for nobody's task. `lease` where its configuration names secrets. */
    catalogue(
      server: string,
      options?: { readonly lease?: Lease; readonly signal?: AbortSignal },
    ): Promise<RawCatalogue | NotSent>
    diagnose(): Report
    /** Ends every process and session. Nothing can be called afterwards. */
    close(): Promise<void>
  }

/** For operators only: much of it is servers' own text. */
export type Report = {
  readonly connections: readonly Diagnosis[]
  readonly ended: { readonly [server: string]: Ended }
  /** What servers sent that went nowhere: counts by server and sort. */
  readonly dropped: { readonly [server: string]: { readonly [what in Dropped]?: number } }
}

/** The broker's way out to MCP servers, both eras, over stdio and streamable HTTP. Nothing else reaches a server. */
export function createServers(options: ServersOptions): ServersPort {
  const limits = { ...defaultServersLimits, ...options.limits }
  const books = keepBooks()
  const agents = createAgents()
  const park = createPark({ perServer: limits.parked, expiryMs: limits.parkedMs })
  const pool = createPool({
    around: {
      pinning: options.pinning,
      freshness: limits.freshness,
      graceMs: limits.graceMs,
      silenceMs: limits.silenceMs,
      agents,
      elapsed: () => performance.now(),
      shown: { inputs: options.inputs ?? ['form'], log: null },
      resolve: options.resolve ?? null,
      onCatalogue: reportChanges(options.onCatalogue),
      onDropped: books.drop,
      onProcessEnd: books.end,
    },
    hostEnvironment: options.hostEnvironment ?? (() => process.env),
    idleMs: limits.idleMs,
    perServer: limits.connections,
    spares: limits.spares,
  })
  const watch = createWatch(() => performance.now())
  const gateOf = gates()

  return {
    async invoke(outgoing) {
      const config = options.servers(outgoing.server)
      if (config === null) return notSent('bad-configuration', 'the server is not configured')
      return inGate(gateOf(outgoing.server), { outgoing, config, queueMs: limits.queueMs }, () =>
        runCall({ pool, park, watch }, outgoing, config),
      )
    },
    async endTask(task) {
      park.drop(task)
      watch.drop(task)
      await pool.endTask(task)
    },
    onUpdated: watch.onUpdated,
    unsubscribe: watch.remove,
    async catalogue(server, { lease, signal = new AbortController().signal } = {}) {
      const config = options.servers(server)
      if (config === null) return notSent('bad-configuration', 'the server is not configured')
      const held = await pool.hold({ server, config, task: null, agent: null, lease: lease ?? null, signal })
      if ('kind' in held) return held
      try {
        return await held.connection.link.catalogue(held.headers)
      } finally {
        held.release()
      }
    },
    diagnose: () => ({ connections: pool.diagnose(), ended: books.ended(), dropped: books.dropped() }),
    async close() {
      park.drop(null)
      watch.drop(null)
      await pool.close()
      agents.destroy()
    },
  }
}

async function inGate(
  gate: Gate,
  {
    outgoing,
    config,
    queueMs,
  }: { readonly outgoing: Outgoing; readonly config: ServerConfig; readonly queueMs: number },
  run: () => Promise<ServerAnswer>,
): Promise<ServerAnswer> {
  const who = outgoing.agent
  const refused = await gate.enter({
    who,
    width: config.limits.concurrency,
    waitMs: queueMs,
    signal: outgoing.signal,
  })
  if (refused !== null) return refused
  try {
    return await run()
  } finally {
    gate.leave(who)
  }
}

function gates(): (server: string) => Gate {
  const made = new Map<string, Gate>()
  return (server) => {
    const gate = made.get(server) ?? createGate()
    made.set(server, gate)
    return gate
  }
}
