import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { layWorld } from './world.ts'
import { round } from './part/throughput.ts'
import { startChild } from './child.ts'

/**
 * Where the broker's time goes under the bench's load: `node bench/profile.ts [--seconds N] [--lent]`. Self time by
 * function and by file, one table a thread, in microseconds per call. `--cpu-prof` samples; small numbers are noise.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    lent: { type: 'boolean', default: false },
    top: { type: 'string', default: '45' },
    connections: { type: 'string', default: '64' },
  },
})

const profileSchema = z.object({
  nodes: z.array(
    z.object({
      id: z.number(),
      callFrame: z.object({ functionName: z.string(), url: z.string(), lineNumber: z.number() }),
      children: z.array(z.number()).optional(),
    }),
  ),
  samples: z.array(z.number()),
  timeDeltas: z.array(z.number()),
})

type Frame = z.infer<typeof profileSchema>['nodes'][number]['callFrame']

const fileOf = (url: string): string => url.replace(/^.*\/(src|bench|node_modules)\//, '$1/')
const shown = ({ functionName, url, lineNumber }: Frame): string =>
  `${functionName || '(anonymous)'} ${fileOf(url)}:${lineNumber + 1}`

const folder = await mkdtemp(join(tmpdir(), 'countersign-profile-'))
const world = await layWorld({
  tools: 100,
  agents: 16,
  lent: values.lent,
  execArgv: ['--cpu-prof', `--cpu-prof-dir=${folder}`, '--cpu-prof-interval=500'],
})
const load = await startChild(new URL('./process/load.ts', import.meta.url))
let calls = 0
try {
  const ms = Number(values.seconds) * 1000
  const connections = Number(values.connections)
  await round(world, { load, ms: 2_000, through: 'broker', connections })
  const measured = await round(world, { load, ms, through: 'broker', connections })
  calls = measured.rps * Number(values.seconds) * 1.15
  process.stdout.write(
    `${measured.rps.toFixed(0)} calls/s, ${measured.cpuUs.toFixed(0)} µs of CPU time a call (with the profiler)\n`,
  )
} finally {
  await load.end()
  await world.close()
}

for (const name of await readdir(folder)) {
  const profile = profileSchema.parse(JSON.parse(await readFile(join(folder, name), 'utf8')))
  report(profile)
}
await rm(folder, { recursive: true })

function report({ nodes, samples, timeDeltas }: z.infer<typeof profileSchema>): void {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const parents = new Map(
    nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)),
  )
  const ours = (id: number | undefined): string => {
    for (let at = id; at !== undefined; at = parents.get(at)) {
      const frame = byId.get(at)?.callFrame
      if (frame !== undefined && /\/(src|bench)\//.test(frame.url)) return shown(frame)
    }
    const root = byId.get(id ?? 0)?.callFrame
    return root?.url === '' ? root.functionName : 'node itself'
  }
  const functions = new Map<string, number>()
  const callers = new Map<string, number>()
  const files = new Map<string, number>()
  let busy = 0
  for (const [index, id] of samples.entries()) {
    const frame = byId.get(id)?.callFrame
    if (frame === undefined) continue
    const us = timeDeltas[index] ?? 0
    if (frame.functionName === '(idle)') continue
    busy += us
    add(functions, shown(frame), us)
    add(callers, ours(id), us)
    add(files, frame.url === '' ? frame.functionName : fileOf(frame.url), us)
  }
  process.stdout.write(`\na thread: ${(busy / calls).toFixed(1)} µs a call busy\n`)
  table('self time by function', functions)
  table('by file', files)
  table('by the innermost function of ours, with what it calls of others', callers)
}

function add(to: Map<string, number>, name: string, us: number): void {
  to.set(name, (to.get(name) ?? 0) + us)
}

function table(title: string, rows: Map<string, number>): void {
  process.stdout.write(`  ${title}\n`)
  const top = [...rows].sort(([, a], [, b]) => b - a).slice(0, Number(values.top))
  for (const [name, us] of top) process.stdout.write(`  ${(us / calls).toFixed(1).padStart(9)}  ${name}\n`)
}
