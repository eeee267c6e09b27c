import { stillStands, subjectOf } from './identity.ts'
import type { Caller, Credential } from '../../identity/caller.ts'
import type { DoorPorts } from './ports.ts'
import type { Exchange, Headers } from '../exchange.ts'
import type { JsonObject } from '../../lib/json.ts'

/** Long-lived streams that say when lists have changed. They end when the identity or task behind them does. */
export type Streams = {
  /** Nothing is sent when there are too many, of the agent's (`own`) or of all (`all`). Returns once the stream is open; it lives on. */
  open(stream: StreamOptions): 'open' | 'own' | 'all'
  count(): number
  close(): void
}

export type StreamOptions = {
  readonly exchange: Exchange
  readonly caller: Caller
  readonly credential: Credential
  readonly headers?: Headers
  readonly first: readonly JsonObject[]
  readonly changed: readonly JsonObject[]
  /** Said when the broker ends it in good order. */
  readonly last: JsonObject | null
  /** Gives the way to say something on it. What has an end of its own ends with `ended`. */
  readonly opened?: (say: (message: JsonObject) => void) => void
  readonly ended?: () => void
}

/** A burst of changes (a server's whole catalogue) is one message. */
const settleMs = 50

export function createStreams(ports: DoorPorts): Streams {
  const open = new Set<{ readonly subject: string; tell(): void; end(): void }>()
  let timer: NodeJS.Timeout | null = null
  const stop = ports.registry.onChange(() => {
    timer ??= setTimeout(() => {
      timer = null
      for (const stream of open) stream.tell()
    }, settleMs)
  })
  return {
    open: (options) => {
      const subject = subjectOf(options.caller)
      const mine = [...open].filter((stream) => stream.subject === subject).length
      if (mine >= ports.settings.streamsPerAgent) return 'own'
      if (open.size >= ports.settings.streams) return 'all'
      const started = start(ports, options, () => {
        open.delete(entry)
        options.ended?.()
      })
      const entry = { subject, ...started }
      if (started.alive()) open.add(entry)
      return 'open'
    },
    count: () => open.size,
    close: () => {
      stop()
      if (timer !== null) clearTimeout(timer)
      for (const stream of open) stream.end()
    },
  }
}

type Started = { tell(): void; end(): void; alive(): boolean }

function start(ports: DoorPorts, options: StreamOptions, ended: () => void): Started {
  const { exchange, credential, first, changed, last } = options
  const stream = exchange.stream(options.headers)
  let alive = true
  // The listener outlives its streams: what listens to it must not.
  const over = new AbortController()
  const recheck = setInterval(() => {
    void stillStands(ports, credential).then((stands) => (stands ? undefined : end(false)))
  }, ports.settings.recheckMs)
  recheck.unref()
  const end = (inOrder: boolean) => {
    if (!alive) return
    alive = false
    clearInterval(recheck)
    over.abort()
    if (inOrder && last !== null) stream.send(last)
    stream.end()
    ended()
  }
  // Nothing is told to somebody whose access has ended meanwhile.
  const sayIfStands = async (messages: readonly JsonObject[]) => {
    if (!(await stillStands(ports, credential))) return end(false)
    for (const message of messages) stream.send(message)
  }
  exchange.gone.addEventListener('abort', () => end(false), { signal: over.signal })
  exchange.closing.addEventListener('abort', () => end(true), { signal: over.signal })
  for (const message of first) stream.send(message)
  options.opened?.((message) => void sayIfStands([message]))
  if (exchange.gone.aborted) end(false)
  else if (changed.length === 0 && last !== null && options.opened === undefined) end(true)
  return {
    tell: () => void sayIfStands(changed),
    end: () => end(true),
    alive: () => alive,
  }
}
