import { createAccesses } from './bridge/access.ts'
import { Bridge } from './bridge/bridge.ts'
import { lines } from './bridge/stream.ts'
import { loadAgentKey } from '../identity/key.ts'
import { once } from 'node:events'
import { readRunFile } from './run.ts'
import type { Readable, Writable } from 'node:stream'

export type Connecting = {
  readonly agent: string
  readonly home: string
  /** The agents' listener of a broker that runs elsewhere; the one that runs in `home` when left out. */
  readonly url?: string
  /** One server's tools under their own names; all servers' when left out. */
  readonly server?: string
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
  /** Aborts on SIGINT, SIGTERM and the like. */
  readonly signal: AbortSignal
}

/** How long answers under way are waited for when the client has closed its end. */
const graceMs = 1500

/**
 * What a client launches: MCP on stdio, carried to the running broker. Proves the agent's key, opens its default task,
 * and closes it when the client goes. Never opens the store, and starts with nothing but the key: a broker that is down
 * is an answer to each request, not a crash, so a client can be started first.
 *
 * Resolves with the exit code. Throws `PrivateFileError` with a hint when there is no key.
 */
export async function connect({
  agent,
  home,
  url,
  server,
  stdin,
  stdout,
  stderr,
  signal,
}: Connecting): Promise<0> {
  const key = await loadAgentKey(home, agent)
  const base = async (): Promise<string> => url ?? (await readRunFile(home)).agents
  const accesses = createAccesses({ agent, key, base })
  const ended = new AbortController()
  const stop = AbortSignal.any([signal, ended.signal])
  // The client has gone: there is nobody to write to.
  stdout.on('error', () => ended.abort())
  const bridge = new Bridge({
    accesses,
    endpoint: async () =>
      new URL(server === undefined ? '/mcp' : `/mcp/${encodeURIComponent(server)}`, await base()),
    write: (line) => write(stdout, line, stop),
    log: (text) => void stderr.write(`countersign: ${text}\n`),
  })
  await readAll(stdin, bridge, stop)
  if (!stop.aborted) await within(graceMs, bridge.idle(), stop)
  // Nobody reads any more: nothing may wait for room in the client's pipe.
  ended.abort()
  await bridge.close()
  await accesses.close()
  return 0
}

async function readAll(stdin: Readable, bridge: Bridge, stop: AbortSignal): Promise<void> {
  const end = (): void => void stdin.destroy()
  stop.addEventListener('abort', end, { once: true })
  if (stop.aborted) end()
  try {
    for await (const line of lines(stdin)) if (line.trim() !== '') bridge.take(line)
  } catch {
    // Ended by a signal, or by a line longer than any message: either way the client is not served any more.
  } finally {
    stop.removeEventListener('abort', end)
  }
}

async function write(stdout: Writable, line: string, stop: AbortSignal): Promise<void> {
  if (stop.aborted || stdout.destroyed || stdout.write(`${line}\n`)) return
  await once(stdout, 'drain', { signal: stop }).catch(() => undefined)
}

async function within(ms: number, work: Promise<void>, stop: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  stop.addEventListener('abort', () => resolve(), { once: true })
  await Promise.race([work, promise])
  clearTimeout(timer)
}
