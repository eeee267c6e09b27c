import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { spawn } from 'node:child_process'
import { buildPackage } from '../package.ts'
import { isAnswered, call, openWire, type CallAs, type Answer } from '../wire.ts'
import { median, pause, short } from '../stats.ts'
import type { Part } from '../part.ts'

/** Resident memory of a process in MiB; null where the system does not say. */
async function rss(pid: number, field: 'VmRSS' | 'VmHWM' = 'VmRSS'): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => null)
  const kib = new RegExp(`${field}:\\s+(\\d+) kB`).exec(text ?? '')?.[1]
  return kib === undefined ? null : Number(kib) / 1024
}

/** One call, or null when nobody listens yet. */
async function tryCall(port: number, as: CallAs, id: number): Promise<Answer | null> {
  const wire = await openWire(port).catch(() => null)
  if (wire === null) return null
  const answer = await new Promise<Answer>((resolve) => wire.send(call(as, id), resolve))
  wire.close()
  return answer
}

const longestMs = 60_000

type Called = { readonly configFile: string; readonly port: number; readonly as: CallAs }

/** Starts the broker by its command line on a home that it knows, and calls it until a call is served. */
async function startOnce(main: string, called: Called, idleMs: number) {
  const { configFile, port, as } = called
  const start = performance.now()
  const child = spawn(process.execPath, [main, 'serve', '--json', '--config', configFile], {
    stdio: ['ignore', 'ignore', 'inherit'],
    // A cache of compiled code of its own: the first start finds it empty.
    env: { ...process.env, XDG_CACHE_HOME: dirname(configFile) },
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  try {
    for (let id = 1; ; id++) {
      const answer = await tryCall(port, as, id)
      if (answer !== null && isAnswered(answer)) break
      if (performance.now() - start > longestMs)
        throw new Error('no call was served within a minute of the start')
      await pause(5)
    }
    const ms = performance.now() - start
    await pause(idleMs)
    return { ms, idle: await rss(child.pid ?? 0), peak: await rss(child.pid ?? 0, 'VmHWM') }
  } finally {
    child.kill('SIGTERM')
    await exited
  }
}

/** The package as it is shipped: from its command line to the first call served, and what it holds while nothing happens. */
export const start: Part = async ({ lay, quick, say }) => {
  const built = await buildPackage()
  const world = await lay({ tools: 100, agents: 4 })
  try {
    const [as] = await world.callers(1)
    if (as === undefined) throw new Error('expected a caller')
    await world.broker.end()
    const called = { configFile: world.configFile, port: world.ports.broker, as }
    const runs: Awaited<ReturnType<typeof startOnce>>[] = []
    for (let index = 0; index < (quick ? 3 : 6); index++) {
      runs.push(await startOnce(built.main, called, quick ? 1_500 : 5_000))
      say(`start ${index + 1}: ${runs.at(-1)?.ms.toFixed(0)} ms, ${runs.at(-1)?.idle?.toFixed(0)} MB`)
    }
    const [first, ...later] = runs
    const idle = later.flatMap((run) => run.idle ?? [])
    const peak = later.flatMap((run) => run.peak ?? [])
    return {
      start_ms: short(median(later.map((run) => run.ms))),
      start_first_ms: first === undefined ? null : short(first.ms),
      idle_rss_mb: idle.length === 0 ? null : short(median(idle)),
      idle_first_rss_mb: first === undefined || first.idle === null ? null : short(first.idle),
      start_peak_rss_mb: peak.length === 0 ? null : short(median(peak)),
    }
  } finally {
    await world.close()
    await built.remove()
  }
}
