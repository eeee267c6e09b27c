import type { HttpServerConfig, ServerConfig, StdioServerConfig } from '../config/schema.ts'
import type { Era } from '../registry/tool.ts'
import type { Takes } from './answer.ts'
import type { RawCatalogue } from './catalogue.ts'
import { notSent, type Dropped, type Events, type Family, type Headers, type NotSent } from './channel.ts'
import { destination, type Resolve } from './destination.ts'
import { openHttp } from './http.ts'
import type { Agents } from './exchange.ts'
import { createLink, type Freshness, type Link, type Pinning } from './link.ts'
import { introduceHttp, introduceStdio, type Introduced } from './open.ts'
import type { Channel } from './channel.ts'
import { watchLists } from './watch.ts'
import { openStdio, type StdioChannel } from './stdio.ts'

/** What every connection shares. */
export type Surroundings = {
  readonly pinning: Pinning
  readonly freshness: Freshness
  readonly agents: Agents
  readonly elapsed: () => number
  /** What every server is told at most: fixed, whoever is behind us. */
  readonly shown: Takes
  readonly graceMs: number
  readonly silenceMs: number
  readonly resolve: Resolve | null
  readonly onCatalogue: (raw: RawCatalogue) => Promise<void>
  readonly onDropped: (server: string, what: Dropped) => void
  /** A process has gone: what it last wrote to stderr, for the operator. */
  readonly onProcessEnd: (server: string, how: string, stderr: string) => void
}

export type Connection = { readonly link: Link; readonly pid: number | null; readonly stderr: () => string }

export type Opening = {
  readonly server: string
  readonly era: Era | null
  readonly signal: AbortSignal
  /** Nothing is lent: between calls, too, the server may be asked what it offers. */
  readonly open: boolean
}

/** Room beside a result for the message around it. */
const messageBytes = 64 * 1024

/** Starts a server's process and agrees on an era with it. */
export async function connectStdio(
  config: StdioServerConfig,
  environment: { readonly [name: string]: string },
  { server, era, signal }: Opening,
  around: Surroundings,
): Promise<Connection | NotSent> {
  const { events, heed } = eventsFor(server, around, relistSoon({}))
  const started: StdioChannel[] = []
  const start = (): StdioChannel => {
    const channel = openStdio({
      command: config.command,
      args: config.args,
      cwd: config.cwd ?? null,
      environment,
      maxBytes: config.limits.resultBytes + messageBytes,
      graceMs: around.graceMs,
      events,
      onEnd: (how) => around.onProcessEnd(server, how, channel.stderr()),
    })
    started.push(channel)
    return channel
  }
  let introduced: Introduced<StdioChannel> | NotSent
  try {
    introduced = await introduceStdio(start, era, {
      ms: config.limits.connectMs,
      signal,
      headers: {},
      shown: around.shown,
      silenceMs: around.silenceMs,
    })
  } catch (error) {
    // `spawn` throws at arguments that no system would take; the reason names none of them.
    introduced = notSent('bad-configuration', `the program could not be started (${codeOf(error)})`)
  }
  const kept = 'kind' in introduced || signal.aborted ? null : introduced
  await Promise.all(started.filter((channel) => channel !== kept?.channel).map((channel) => channel.close()))
  if (kept === null) return 'kind' in introduced ? introduced : notSent('cancelled', 'the task has ended')
  const { channel, session } = kept
  watchLists(channel, session, { headers: {}, events })
  return {
    link: heed(linkOver(kept, config, { server, mirrored: false }, around)),
    pid: channel.pid,
    stderr: () => channel.stderr(),
  }
}

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : 'unknown error'

/** Agrees on an era with the server at a URL; a legacy session begins with it. */
export async function connectHttp(
  config: HttpServerConfig,
  headers: Headers,
  { server, era, signal, open }: Opening,
  around: Surroundings,
): Promise<Connection | NotSent> {
  const where = destination(config.url, {
    allowPrivate: config.allowPrivate,
    ...(around.resolve === null ? {} : { resolve: around.resolve }),
  })
  if ('problem' in where) return notSent('bad-configuration', where.problem)
  // Asking again may take a credential, and none is at hand between calls: then the next call brings its own.
  const onStale = open ? relistSoon(headers) : (link: Link, family: Family) => link.stale(family)
  const { events, heed } = eventsFor(server, around, onStale)
  const { resultBytes, connectMs } = config.limits
  const channel = openHttp({
    destination: where,
    agents: around.agents,
    maxBytes: resultBytes + messageBytes,
    connectMs,
    events,
  })
  const { shown } = around
  const introduced = await introduceHttp(channel, era, { ms: connectMs, signal, headers, shown })
  if ('kind' in introduced) {
    await channel.close()
    return introduced
  }
  if (open) watchLists(channel, introduced.session, { headers, events })
  if (open && introduced.session.era === 'legacy') void channel.stand()
  const mirrored = introduced.session.era === 'modern'
  return {
    link: heed(linkOver(introduced, config, { server, mirrored }, around)),
    pid: null,
    stderr: () => '',
  }
}

const linkOver = (
  { channel, session }: Introduced<Channel>,
  config: ServerConfig,
  kind: { readonly server: string; readonly mirrored: boolean },
  around: Surroundings,
): Link => createLink({ ...around, ...kind, channel, session, connectMs: config.limits.connectMs })

/** A server may speak before there is a link to hear it. */
function eventsFor(
  server: string,
  around: Surroundings,
  onStale: (link: Link, family: Family) => void,
): { readonly events: Events; readonly heed: (link: Link) => Link } {
  const heard: Family[] = []
  let link: Link | null = null
  return {
    events: {
      onListChanged(family) {
        if (link !== null) onStale(link, family)
        else if (heard.length < 8) heard.push(family)
      },
      onUpdated: (uri) => link?.updated(uri),
      onDropped: (what) => around.onDropped(server, what),
    },
    heed(made) {
      link = made
      for (const family of heard) onStale(made, family)
      return made
    },
  }
}

const relistMs = 300

/**
 * A process is asked for its new list soon after it announces one: a changed tool goes to quarantine before anyone
 * calls it. However often it announces, it is asked a few times a second at most.
 */
function relistSoon(headers: Headers): (link: Link, family: Family) => void {
  let waiting = false
  return (link, family) => {
    link.stale(family)
    if (waiting) return
    waiting = true
    const pause = Math.max(relistMs, link.restMs())
    setTimeout(() => {
      waiting = false
      // A failure shows at the next call, which lists again.
      if (link.channel.alive()) void link.catalogue(headers).catch(() => {})
    }, pause).unref()
  }
}
