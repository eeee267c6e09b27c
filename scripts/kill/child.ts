import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { isJsonObject, type Json, type JsonObject } from '../../src/lib/json.ts'
import type { Seen } from './upstream.ts'

/** `name` is that of the incarnation, as it stands in the log. */
export type Ready = { readonly name: string; readonly vkey: string; readonly recovered: number }

/** A broker's process, from the terminal that it runs in. */
export type BrokerProcess = {
  readonly pid: number
  /** Resolves when it serves; rejects when it ended before. */
  readonly ready: Promise<Ready>
  /** Resolves when it has listed its servers, or has ended. */
  readonly listed: Promise<void>
  /** What it reported as faults, the last hundred. */
  readonly faults: readonly string[]
  /** As a person at its terminal: the body, or null when it was not done or nobody can say. */
  act(method: string, path: string, body?: JsonObject, query?: JsonObject): Promise<JsonObject | null>
  /** SIGKILL, at once. Resolves when it is gone. */
  kill(): Promise<void>
  /** An orderly end. Rejects when it takes longer than a minute. */
  close(): Promise<void>
  isAlive(): boolean
}

const answerMs = 20_000
const closeMs = 60_000
const mostFaults = 100

export function startBrokerProcess(
  config: string,
  env: { readonly [name: string]: string } = {},
): BrokerProcess {
  const child = fork(new URL('./broker.ts', import.meta.url), [config], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, ...env },
  })
  const waiting = new Map<number, (answer: JsonObject | null) => void>()
  const ready = Promise.withResolvers<Ready>()
  const listed = Promise.withResolvers<void>()
  const faults: string[] = []
  let last = 0
  ready.promise.catch(() => undefined)
  child.on('message', (message: Json) => {
    if (!isJsonObject(message)) return
    const { id, status, body, fault, ready: here } = message
    if (isJsonObject(here)) {
      const { name, vkey, recovered } = here
      ready.resolve({ name: String(name), vkey: String(vkey), recovered: Number(recovered) })
    }
    if (message['listed'] === true) listed.resolve()
    if (typeof fault === 'string') faults.splice(0, Math.max(0, faults.push(fault) - mostFaults))
    if (typeof id !== 'number') return
    waiting.get(id)?.(Number(status) < 300 && isJsonObject(body) ? body : null)
    waiting.delete(id)
  })
  // A channel to a process that was killed breaks in its own time.
  child.on('error', () => undefined)
  const end = async (): Promise<void> => {
    await once(child, 'exit')
    ready.reject(new Error('the broker ended before it was ready'))
    listed.resolve()
    for (const told of waiting.values()) told(null)
    waiting.clear()
  }
  const gone = end()
  return {
    pid: child.pid ?? 0,
    ready: ready.promise,
    listed: listed.promise,
    faults,
    isAlive: () => isRunning(child),
    act: (method, path, body, query) =>
      new Promise((resolve) => {
        if (!isRunning(child)) return resolve(null)
        last += 1
        const id = last
        const late = setTimeout(() => waiting.delete(id) && resolve(null), answerMs)
        waiting.set(id, (answer) => {
          clearTimeout(late)
          resolve(answer)
        })
        child.send({ id, method, path, body: body ?? null, query: query ?? null }, () => undefined)
      }),
    async kill() {
      child.kill('SIGKILL')
      await gone
    },
    async close() {
      if (isRunning(child)) child.send({ method: 'close' }, () => undefined)
      const late = setTimeout(() => child.kill('SIGKILL'), closeMs)
      await gone
      clearTimeout(late)
      if (child.signalCode !== null) throw new Error('the broker did not end by itself')
    },
  }
}

const isRunning = (child: ChildProcess): boolean =>
  child.connected && child.exitCode === null && child.signalCode === null

/** An upstream's process, which outlives the brokers. */
export type UpstreamProcess = { readonly url: string; seen(): Promise<Seen>; end(): Promise<void> }

export async function startUpstreamProcess(slowestMs: number): Promise<UpstreamProcess> {
  const child = fork(new URL('./upstream.ts', import.meta.url), [String(slowestMs)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const next = async (): Promise<JsonObject> => {
    const [message]: unknown[] = await once(child, 'message')
    return isJsonObject(message) ? message : {}
  }
  const { url } = await next()
  return {
    url: String(url),
    async seen() {
      const answer = next()
      child.send({ ask: 'seen' })
      const { seen } = await answer
      return Object.fromEntries(
        Object.entries(isJsonObject(seen) ? seen : {}).map(([key, n]) => [key, Number(n)]),
      )
    },
    async end() {
      const gone = once(child, 'exit')
      child.disconnect()
      await gone
    },
  }
}
