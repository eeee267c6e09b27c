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
  readonly lease: Lease | null
  readonly signal: AbortSignal
}

/** A connection in use: `release` says that the call is over. `headers` are lent for this use alone. */
export type Held = { readonly connection: Connection; readonly headers: Headers; release(): void }

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

type Entry = {
  readonly server: string
  task: string | null
  readonly print: string
  readonly abort: AbortController
  readonly opening: Promise<Connection | NotSent>
  connection: Connection | null
  users: number
  usedAt: number
}

/**
 * Who may use which connection. A process or a legacy session belongs to one task for as long as it lives: what one
 * task leaves in a server's memory no other finds. Modern HTTP keeps nothing between calls, so that it is shared.
 */
export function createPool(options: PoolOptions): Pool {
  const { around } = options
  const entries = new Map<string, Entry>()
  const eras = new Map<string, { readonly print: string; readonly era: Era }>()
  let closed = false
  const sweeper = setInterval(() => sweep(), Math.max(50, options.idleMs / 4))
  sweeper.unref()

  const sweep = () => {
    const before = around.elapsed() - options.idleMs
    for (const [key, entry] of entries) if (entry.users === 0 && entry.usedAt < before) void end(key, entry)
  }
  const end = async (key: string, entry: Entry): Promise<void> => {
    if (entries.get(key) === entry) entries.delete(key)
    entry.abort.abort()
    const connection = await entry.opening
    if ('link' in connection) await connection.link.channel.close()
  }
  const eraOf = (server: string, print: string): Era | null => {
    const known = eras.get(server)
    return known?.print === print ? known.era : null
  }
  const open = (wanted: Wanted, print: string, lent: { readonly [name: string]: string }): Entry => {
    const { server, config, task } = wanted
    const abort = new AbortController()
    const opening: Opening = {
      server,
      era: eraOf(server, configPrint(config)),
      signal: abort.signal,
      open: lendsNothing(wanted),
    }
    const connecting =
      'command' in config
        ? connectStdio(config, lent, opening, around)
        : connectHttp(config, lent, opening, around)
    const entry: Entry = {
      ...{ server, task, print, abort, users: 0, connection: null, usedAt: around.elapsed() },
      opening: connecting.then((connection) => {
        if (!('link' in connection)) {
          eras.delete(server)
          return connection
        }
        eras.set(server, { print: configPrint(config), era: connection.link.session.era })
        entry.connection = connection
        return connection
      }),
    }
    return entry
  }
  /** What was opened for nobody's task: a spare and what is shared stay, a session or a process with secrets does not. */
  const endTemporary = async (entry: Entry): Promise<void> => {
    const found = [...entries].find(
      ([key, each]) => each === entry && key.endsWith('\n') && key.startsWith('task\n'),
    )
    if (found !== undefined) await end(...found)
  }
  const take = async (
    key: string,
    wanted: Wanted,
    print: string,
    lent: { readonly [name: string]: string },
  ): Promise<Entry | NotSent> => {
    const existing = entries.get(key)
    if (existing !== undefined) {
      const usable = existing.print === print && (existing.connection?.link.channel.alive() ?? true)
      if (usable) return existing
      await end(key, existing)
    }
    const spare = takeSpare(wanted, print)
    if (
      spare === null &&
      [...entries.values()].filter(({ server }) => server === wanted.server).length >= options.perServer
    ) {
      return notSent('busy', `${options.perServer} tasks use this server already; try again later`)
    }
    const entry = spare ?? open(wanted, print, lent)
    entries.set(key, entry)
    return entry
  }
  const takeSpare = ({ server, task }: Wanted, print: string): Entry | null => {
    const key = spareKey(server)
    const spare = entries.get(key)
    if (spare === undefined) return null
    entries.delete(key)
    if (spare.print === print && (spare.connection?.link.channel.alive() ?? true)) {
      spare.task = task
      return spare
    }
    void end(key, spare)
    return null
  }
  /** Only where nothing is lent: a spare is started before anyone has a right to a secret. */
  const keepSpare = (wanted: Wanted, print: string, lent: { readonly [name: string]: string }) => {
    const { server, config } = wanted
    const key = spareKey(server)
    if (closed || !options.spares || !('command' in config) || entries.has(key)) return
    if (!lendsNothing(wanted)) return
    const spare = open({ ...wanted, task: null, lease: null }, print, lent)
    entries.set(key, spare)
    void spare.opening.then((connection) => {
      if (!('link' in connection) && entries.get(key) === spare) entries.delete(key)
    })
  }

  return {
    async hold(wanted) {
      const { server, config, task, lease } = wanted
      if (closed) return notSent('cancelled', 'the broker is stopping')
      const stdio = 'command' in config
      const lent = stdio ? environmentOf(config, lease, options.hostEnvironment()) : headersOf(config, lease)
      if (!('values' in lent)) return lent
      const print = stdio ? `${configPrint(config)}\n${fingerprintOf(lent.values)}` : configPrint(config)
      const key = keyFor(wanted, eraOf(server, configPrint(config)))
      const entry = await take(key, wanted, print, lent.values)
      if ('kind' in entry) return entry
      entry.users++
      const connection = await orCancelled(entry.opening, wanted.signal)
      const release = () => {
        entry.users--
        entry.usedAt = around.elapsed()
        if (task === null && entry.users === 0) void endTemporary(entry)
      }
      const problem = 'link' in connection ? rebind(key, wanted, entry, connection) : connection
      if (problem !== null || !('link' in connection)) {
        release()
        if (entry.connection === null && !wanted.signal.aborted && entries.get(key) === entry)
          entries.delete(key)
        return problem ?? notSent('unreachable', 'the server cannot be used')
      }
      if (task !== null) keepSpare(wanted, print, lent.values)
      return { connection, headers: stdio ? {} : lent.values, release }
    },
    async endTask(task) {
      await Promise.all(
        [...entries].filter(([, entry]) => entry.task === task).map(([key, entry]) => end(key, entry)),
      )
    },
    async close() {
      closed = true
      clearInterval(sweeper)
      await Promise.all([...entries].map(([key, entry]) => end(key, entry)))
    },
    diagnose: () =>
      [...entries.values()].flatMap((entry) =>
        entry.connection === null ? [] : [diagnosisOf(entry, entry.connection)],
      ),
  }

  /** Only an answer tells whether a URL is a session of one task or shared: then the connection moves to its place. */
  function rebind(key: string, wanted: Wanted, entry: Entry, { link }: Connection): NotSent | null {
    if ('command' in wanted.config) return null
    const bound = keyFor(wanted, link.session.era)
    if (bound !== key && entries.get(key) === entry && !entries.has(bound)) {
      entries.delete(key)
      entries.set(bound, entry)
      entry.task = link.session.era === 'modern' ? null : wanted.task
    }
    const foreign = link.session.era === 'legacy' && entry.task !== wanted.task
    return foreign ? notSent('unreachable', 'the server has changed its revision; call again') : null
  }
}

const lendsNothing = ({ config, lease }: Wanted): boolean =>
  !needsSecrets(config) && Object.keys({ ...lease?.environment, ...lease?.headers }).length === 0

const configPrint = (config: ServerConfig): string => JSON.stringify(config)
const spareKey = (server: string): string => `spare\n${server}`

/** Until the era is known, each task asks for itself: two tasks may not meet in what turns out to be a session. */
function keyFor({ server, config, task, lease }: Wanted, era: Era | null): string {
  if ('command' in config) {
    return task === null && !needsSecrets(config) ? spareKey(server) : `task\n${server}\n${task ?? ''}`
  }
  if (era !== 'modern') return `task\n${server}\n${task ?? ''}`
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
