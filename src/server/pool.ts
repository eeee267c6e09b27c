import type { ServerConfig } from '../config/schema.ts'
import type { Lease } from '../credential/lease.ts'
import type { Era } from '../registry/tool.ts'
import { notSent, orCancelled, type Headers, type NotSent } from './channel.ts'
import { connectHttp, connectStdio, type Connection, type Opening, type Surroundings } from './connect.ts'
import { environmentOf, fingerprintOf, headersOf, needsSecrets } from './lent.ts'

export type PoolOptions = {
  readonly around: Surroundings
  readonly hostEnvironment: () => { readonly [name: string]: string | undefined }
  readonly idleMs: number
  readonly perServer: number
  readonly spares: boolean
}

export type Wanted = {
  readonly server: string
  readonly config: ServerConfig
  /** `null`: for nobody's task, to see what the server offers. */
  readonly task: string | null
  /** Whose task it is. */
  readonly agent: string | null
  readonly lease: Lease | null
  readonly signal: AbortSignal
}

/** A connection in use: `release` says that the call is over. `headers` are lent for this use alone. */
export type Held = {
  readonly connection: Connection
  readonly headers: Headers
  readonly release: () => void
}

export type Pool = {
  hold(wanted: Wanted): Promise<Held | NotSent>
  endTask(task: string): Promise<void>
  close(): Promise<void>
  diagnose(): readonly Diagnosis[]
}

/** For operators only: stderr is a server's own text. */
export type Diagnosis = {
  readonly server: string
  readonly task: string | null
  readonly pid: number | null
  readonly era: Era
  readonly alive: boolean
  readonly stderr: string
}

type Values = { readonly [name: string]: string }

type Entry = {
  readonly server: string
  task: string | null
  agent: string | null
  readonly print: string
  readonly abort: AbortController
  readonly opening: Promise<Connection | NotSent>
  connection: Connection | null
  users: number
  usedAt: number
}

const maxEndedTasks = 10_000
/** Of a server's connections, for the tasks of one agent. */
const mostOfOne = 0.75
/** Unused for so long, a connection may make room for another task's. */
const restedMs = 10_000

/**
 * Who may use which connection. A process or a legacy session belongs to one task for as long as it lives: what one
 * task leaves in a server's memory no other finds. Modern HTTP keeps nothing between calls, so that it is shared.
 */
export const createPool = (options: PoolOptions): Pool => new Connections(options)

class Connections implements Pool {
  readonly #options: PoolOptions
  readonly #entries = new Map<string, Entry>()
  readonly #eras = new Map<string, { readonly print: string; readonly era: Era }>()
  readonly #endedTasks = remember(maxEndedTasks)
  /** By the server: what is about to end still runs. */
  readonly #ending = new Map<Promise<void>, string>()
  readonly #sweeper: NodeJS.Timeout
  #closed = false

  constructor(options: PoolOptions) {
    this.#options = options
    this.#sweeper = setInterval(() => this.#sweep(), Math.max(50, options.idleMs / 4))
    this.#sweeper.unref()
  }

  async hold(wanted: Wanted): Promise<Held | NotSent> {
    const { server, config, task, lease } = wanted
    if (this.#closed) return notSent('cancelled', 'the broker is stopping')
    // A call that raced with the end of its task would start a process that nobody ends.
    if (task !== null && this.#endedTasks.has(task)) return notSent('cancelled', 'the task has ended')
    const stdio = 'command' in config
    const lent = stdio
      ? environmentOf(config, lease, this.#options.hostEnvironment())
      : headersOf(config, lease)
    if (!('values' in lent)) return lent
    const configured = configPrint(config)
    const print = stdio ? `${configured}\n${fingerprintOf(lent.values)}` : configured
    const key = keyFor(wanted, this.#eraOf(server, configured))
    const entry = this.#take(key, wanted, { print, lent: lent.values })
    if ('kind' in entry) return entry
    entry.users++
    const connection = entry.connection ?? (await orCancelled(entry.opening, wanted.signal))
    const problem = 'link' in connection ? this.#rebind(key, wanted, entry, connection) : connection
    if (problem !== null || !('link' in connection)) {
      this.#release(entry)
      if (entry.connection === null && !wanted.signal.aborted) this.#forget(entry)
      return problem ?? notSent('unreachable', 'the server cannot be used')
    }
    if (task !== null && stdio) this.#keepSpare(wanted, { print, lent: lent.values })
    return { connection, headers: stdio ? {} : lent.values, release: () => this.#release(entry) }
  }

  async endTask(task: string): Promise<void> {
    this.#endedTasks.add(task)
    await Promise.all(
      [...this.#entries.values()].filter((entry) => entry.task === task).map((entry) => this.#end(entry)),
    )
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#sweeper)
    for (const entry of this.#entries.values()) void this.#end(entry)
    await Promise.all(this.#ending.keys())
  }

  diagnose(): readonly Diagnosis[] {
    return [...this.#entries.values()].flatMap((entry) =>
      entry.connection === null ? [] : [diagnosisOf(entry, entry.connection)],
    )
  }

  /** No wait between the look and the place taken: two calls of one task may not start two processes. */
  #take(key: string, wanted: Wanted, as: { readonly print: string; readonly lent: Values }): Entry | NotSent {
    const existing = this.#entries.get(key)
    if (existing !== undefined) {
      if (isUsable(existing, as.print)) return existing
      void this.#end(existing)
    }
    const spare = this.#takeSpare(wanted, as.print)
    if (spare === null && !this.#hasRoom(wanted)) {
      return notSent('busy', 'as many tasks use this server already as may; try again later')
    }
    const entry = spare ?? this.#open(wanted, as)
    this.#entries.set(key, entry)
    return entry
  }

  /**
   * A process stays with its task for as long as the task is open. Of all places one agent gets three quarters; when they
   * are taken, the process that has rested the longest, of whoever has the most of them, makes room.
   */
  #hasRoom({ server, agent }: Wanted): boolean {
    const { perServer } = this.#options
    if (this.#isEndingMany(server)) return false
    const here = [...this.#entries.values()].filter((entry) => entry.server === server)
    const of = (who: string | null): number => here.filter((entry) => entry.agent === who).length
    const isGreedy = agent !== null && of(agent) >= Math.ceil(perServer * mostOfOne)
    if (here.length < perServer && !isGreedy) return true
    const rested = this.#options.around.elapsed() - Math.min(restedMs, this.#options.idleMs / 4)
    const [first] = here
      .filter((entry) => entry.users === 0 && entry.usedAt < rested && (!isGreedy || entry.agent === agent))
      .sort((a, b) => of(b.agent) - of(a.agent) || a.usedAt - b.usedAt)
    if (first === undefined) return false
    void this.#end(first)
    return true
  }

  /** Tasks that begin and end quickly must not pile up processes that take their time to go. */
  #isEndingMany(server: string): boolean {
    return [...this.#ending.values()].filter((one) => one === server).length >= this.#options.perServer
  }

  #open(wanted: Wanted, { print, lent }: { readonly print: string; readonly lent: Values }): Entry {
    const { around } = this.#options
    const { server, config, task, agent } = wanted
    const abort = new AbortController()
    const era = this.#eraOf(server, configPrint(config))
    const opening: Opening = { server, era, signal: abort.signal, open: lendsNothing(wanted) }
    const connecting =
      'command' in config
        ? connectStdio(config, lent, opening, around)
        : connectHttp(config, lent, opening, around)
    const entry: Entry = {
      server,
      task,
      agent,
      print,
      abort,
      users: 0,
      connection: null,
      usedAt: around.elapsed(),
      opening: connecting.then((connection) => {
        if ('link' in connection) {
          this.#eras.set(server, { print: configPrint(config), era: connection.link.session.era })
          entry.connection = connection
        } else this.#eras.delete(server)
        return connection
      }),
    }
    return entry
  }

  #takeSpare({ server, task, agent }: Wanted, print: string): Entry | null {
    const spare = this.#entries.get(spareKey(server))
    if (spare === undefined) return null
    this.#entries.delete(spareKey(server))
    if (isUsable(spare, print)) {
      spare.task = task
      spare.agent = agent
      return spare
    }
    void this.#end(spare)
    return null
  }

  /** Only where nothing is lent: a spare is started before anyone has a right to a secret. */
  #keepSpare(wanted: Wanted, as: { readonly print: string; readonly lent: Values }): void {
    const key = spareKey(wanted.server)
    if (this.#closed || !this.#options.spares || this.#entries.has(key) || !lendsNothing(wanted)) return
    const spare = this.#open({ ...wanted, task: null, agent: null, lease: null }, as)
    this.#entries.set(key, spare)
    void spare.opening.then((connection) => ('link' in connection ? undefined : this.#forget(spare)))
  }

  /** Only an answer tells whether a URL is a session of one task or shared: then the connection moves to its place. */
  #rebind(key: string, wanted: Wanted, entry: Entry, { link }: Connection): NotSent | null {
    if ('command' in wanted.config) return null
    const bound = keyFor(wanted, link.session.era)
    if (bound !== key && this.#entries.get(key) === entry && !this.#entries.has(bound)) {
      this.#entries.delete(key)
      this.#entries.set(bound, entry)
      entry.task = link.session.era === 'modern' ? null : wanted.task
      entry.agent = link.session.era === 'modern' ? null : wanted.agent
    }
    const foreign = link.session.era === 'legacy' && entry.task !== wanted.task
    return foreign ? notSent('unreachable', 'the server has changed its revision; call again') : null
  }

  #release(entry: Entry): void {
    entry.users--
    entry.usedAt = this.#options.around.elapsed()
    // Opened for nobody's task: a spare and what is shared stay, a session or a process with secrets does not.
    const temporary = this.#entries.get(taskKey(entry.server, null)) === entry
    if (temporary && entry.users === 0) void this.#end(entry)
  }

  #end(entry: Entry): Promise<void> {
    this.#forget(entry)
    entry.abort.abort()
    const ending = entry.opening.then((connection) =>
      'link' in connection ? connection.link.channel.close() : undefined,
    )
    this.#ending.set(ending, entry.server)
    return ending.finally(() => this.#ending.delete(ending))
  }

  #forget(entry: Entry): void {
    for (const [key, each] of this.#entries) if (each === entry) this.#entries.delete(key)
  }

  #sweep(): void {
    const before = this.#options.around.elapsed() - this.#options.idleMs
    for (const entry of this.#entries.values())
      if (entry.users === 0 && entry.usedAt < before) void this.#end(entry)
  }

  #eraOf(server: string, print: string): Era | null {
    const known = this.#eras.get(server)
    return known?.print === print ? known.era : null
  }
}

const isUsable = (entry: Entry, print: string): boolean =>
  entry.print === print && (entry.connection?.link.channel.alive() ?? true)

const lendsNothing = ({ config, lease }: Wanted): boolean =>
  !needsSecrets(config) && Object.keys({ ...lease?.environment, ...lease?.headers }).length === 0

const configPrint = (config: ServerConfig): string => JSON.stringify(config)
const spareKey = (server: string): string => `spare\n${server}`

const taskKey = (server: string, task: string | null): string => `task\n${server}\n${task ?? ''}`

/** Until the era is known, each task asks for itself: two tasks may not meet in what turns out to be a session. */
function keyFor({ server, config, task, lease }: Wanted, era: Era | null): string {
  if ('command' in config) {
    return task === null && !needsSecrets(config) ? spareKey(server) : taskKey(server, task)
  }
  if (era !== 'modern') return taskKey(server, task)
  // One set of secrets is one identity upstream: lists may vary with it.
  return `shared\n${server}\n${[...(lease?.secrets ?? [])].sort().join('\n')}`
}

const diagnosisOf = (entry: Entry, { link, pid, stderr }: Connection): Diagnosis => ({
  server: entry.server,
  task: entry.task,
  pid,
  era: link.session.era,
  alive: link.channel.alive(),
  stderr: stderr(),
})

/** The last so many names. */
function remember(limit: number): { add(name: string): void; has(name: string): boolean } {
  const names = new Set<string>()
  return {
    add(name) {
      names.delete(name)
      names.add(name)
      const [oldest] = names
      if (names.size > limit && oldest !== undefined) names.delete(oldest)
    },
    has: (name) => names.has(name),
  }
}
