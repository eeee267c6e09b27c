import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { areaOf } from './areas.ts'
import { layWorld } from './world.ts'
import { round } from './part/throughput.ts'
import { short } from './stats.ts'
import { startChild } from './child.ts'

/**
 * Where the time and the memory of the broker's own thread go under the bench's load:
 * `node bench/profile.ts [--seconds N] [--connections N] [--lent] [--top N]`. Shares by area and by function; the last
 * line is one JSON object. Shares hold on a busy machine, where times do not.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    connections: { type: 'string', default: '64' },
    lent: { type: 'boolean', default: false },
    top: { type: 'string', default: '40' },
  },
})

const frameSchema = z.object({ functionName: z.string(), url: z.string(), lineNumber: z.number() })
const timeSchema = z.object({
  nodes: z.array(
    z.object({ id: z.number(), callFrame: frameSchema, children: z.array(z.number()).optional() }),
  ),
  samples: z.array(z.number()),
  timeDeltas: z.array(z.number()),
})
type Allocated = {
  readonly callFrame: z.infer<typeof frameSchema>
  readonly selfSize: number
  readonly children: readonly Allocated[]
}
const allocatedSchema: z.ZodType<Allocated> = z.lazy(() =>
  z.object({ callFrame: frameSchema, selfSize: z.number(), children: z.array(allocatedSchema) }),
)
const memorySchema = z.object({ head: allocatedSchema })

type Frame = z.infer<typeof frameSchema>

const shown = ({ functionName, url, lineNumber }: Frame): string =>
  `${functionName || '(anonymous)'} ${url.replace(/^.*\/(src|bench|node_modules)\//, '$1/')}:${lineNumber + 1}`

/** What a stack counts for: its innermost function of ours; WebAssembly and the collector stand for themselves. */
const isOurs = ({ functionName, url }: Frame): boolean =>
  /\/src\/|^wasm:/.test(url) || functionName === '(garbage collector)'

const add = (to: Map<string, number>, name: string, amount: number): void =>
  void to.set(name, (to.get(name) ?? 0) + amount)

/** Microseconds by function of ours, without idle time. */
function timeBy({ nodes, samples, timeDeltas }: z.infer<typeof timeSchema>): Map<string, number> {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const parents = new Map(
    nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)),
  )
  const found = new Map<string, number>()
  for (const [index, id] of samples.entries()) {
    if (frames.get(id)?.functionName === '(idle)') continue
    let at: number | undefined = id
    let frame = frames.get(id)
    while (at !== undefined && frame !== undefined && !isOurs(frame)) {
      at = parents.get(at)
      frame = at === undefined ? undefined : frames.get(at)
    }
    add(found, frame === undefined ? 'Node itself' : nameOf(frame), timeDeltas[index] ?? 0)
  }
  return found
}

const nameOf = (frame: Frame): string =>
  frame.url.startsWith('wasm:')
    ? 'wasm: Cedar'
    : frame.functionName === '(garbage collector)'
      ? frame.functionName
      : shown(frame)

/** Bytes by function of ours. */
function memoryBy(head: Allocated): Map<string, number> {
  const found = new Map<string, number>()
  const open: { readonly node: Allocated; readonly owner: string }[] = [{ node: head, owner: 'Node itself' }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { node } = next
    const owner = isOurs(node.callFrame) ? nameOf(node.callFrame) : next.owner
    add(found, owner, node.selfSize)
    for (const child of node.children) open.push({ node: child, owner })
  }
  return found
}

const sumOf = (all: Map<string, number>): number => [...all.values()].reduce((sum, one) => sum + one, 0)
const sortedBy = (all: Map<string, number>): [string, number][] => [...all].sort(([, a], [, b]) => b - a)

function areasOf(all: Map<string, number>): { readonly [area: string]: number } {
  const areas = new Map<string, number>()
  for (const [name, amount] of all) add(areas, areaOf(name), amount)
  return Object.fromEntries(sortedBy(areas).map(([area, amount]) => [area, short(amount / sumOf(all))]))
}

const print = (line: string): void => void process.stdout.write(`${line}\n`)

function report(title: string, all: Map<string, number>, perCall: (amount: number) => string): void {
  print(`\n${title}`)
  for (const [area, share] of Object.entries(areasOf(all)))
    print(`  ${(share * 100).toFixed(1).padStart(5)} %  ${area}`)
  print('')
  for (const [name, amount] of sortedBy(all).slice(0, Number(values.top)))
    print(`  ${perCall(amount).padStart(9)}  ${name}`)
}

const folder = await mkdtemp(join(tmpdir(), 'countersign-profile-'))
const files = { time: join(folder, 'time.json'), memory: join(folder, 'memory.json') }
const world = await layWorld({ tools: 100, agents: 16, lent: values.lent })
const load = await startChild(new URL('./process/load.ts', import.meta.url))
try {
  const [ms, connections] = [Number(values.seconds) * 1000, Number(values.connections)]
  await round(world, { load, ms: ms / 2, through: 'broker', connections })
  await world.broker.ask('inspect', z.null())
  const measured = await round(world, { load, ms, through: 'broker', connections })
  await world.broker.ask('inspected', z.null(), files)
  const calls = (measured.rps * ms) / 1000
  const time = timeBy(timeSchema.parse(JSON.parse(await readFile(files.time, 'utf8'))))
  const memory = memoryBy(memorySchema.parse(JSON.parse(await readFile(files.memory, 'utf8'))).head)
  print(`${calls.toFixed(0)} calls`)
  report('time of the main thread, µs a call', time, (us) => (us / calls).toFixed(1))
  report('memory allocated, bytes a call', memory, (bytes) => (bytes / calls).toFixed(0))
  print(
    JSON.stringify({
      calls: Math.round(calls),
      connections,
      main_us: short(sumOf(time) / calls),
      allocated_kb: short(sumOf(memory) / calls / 1024),
      time: areasOf(time),
      memory: areasOf(memory),
    }),
  )
} finally {
  await load.end()
  await world.close()
  await rm(folder, { recursive: true })
}
