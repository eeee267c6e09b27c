import { parseArgs } from 'node:util'
import { calls, connections, silence, tasks, tools, unread, type Sizes } from './soak/parts.ts'

/**
 * An hour of traffic in fast motion, and the heavier of the loads of `test/load`: compressed by count, not by time. Each
 * part has a broker and servers of its own, in processes of their own; memory is measured after garbage collection.
 * `node scripts/soak.ts [--json] [--parts calls,connections,…] [--calls N] [--connections N] [--tasks N] [--tools N] [--seconds N]`.
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    parts: { type: 'string', default: 'calls,connections,unread,tasks,tools,silence' },
    calls: { type: 'string', default: '200000' },
    connections: { type: 'string', default: '5000' },
    tasks: { type: 'string', default: '10000' },
    tools: { type: 'string', default: '10000' },
    seconds: { type: 'string', default: '1800' },
  },
})

const parts = { calls, connections, unread, tasks, tools, silence }
type Part = keyof typeof parts
const isPart = (name: string): name is Part => Object.hasOwn(parts, name)

const number = (name: 'calls' | 'connections' | 'tasks' | 'tools' | 'seconds'): number => {
  const value = Number(values[name])
  if (Number.isSafeInteger(value) && value > 0) return value
  process.stderr.write(`error: expected a number above 0 for --${name}, found \`${values[name]}\`\n`)
  process.exit(2)
}
const sizes: Sizes = {
  calls: number('calls'),
  connections: number('connections'),
  tasks: number('tasks'),
  tools: number('tools'),
  seconds: number('seconds'),
}

/** Growth that says that something is kept of each call. The log's own edge and caches move by less. */
const mostBytesPerCall = 40

const results: { [part: string]: { readonly [name: string]: unknown } } = {}
const wanted = values.parts.split(',').filter((name) => name !== '')
for (const name of wanted) {
  if (!isPart(name)) {
    process.stderr.write(`error: expected parts among ${Object.keys(parts).join(', ')}, found \`${name}\`\n`)
    process.exit(2)
  }
  process.stderr.write(`${name}\n`)
  results[name] = await parts[name](sizes, (text) => process.stderr.write(`  ${text}\n`))
}

const problems = wanted.flatMap((name) => problemsOf(name, { ...results[name] }))
if (!values.json)
  for (const [name, { samples: _, ...result }] of Object.entries(results) as [
    string,
    { samples?: unknown },
  ][])
    process.stdout.write(`${name}: ${JSON.stringify(result)}\n`)
for (const problem of problems) process.stderr.write(`problem: ${problem}\n`)
if (values.json)
  process.stdout.write(`${JSON.stringify({ ...results, problems, ok: problems.length === 0 })}\n`)
process.exitCode = problems.length === 0 ? 0 : 1

function problemsOf(part: string, result: { readonly [name: string]: unknown }): readonly string[] {
  const over = (name: string, most: number): readonly string[] =>
    Number(result[name]) > most ? [`${part}: ${name} is ${String(result[name])}, above ${most}`] : []
  switch (part) {
    case 'calls':
      return [...over('heap_bytes_per_call', mostBytesPerCall), ...over('broken', 0), ...over('faults', 0)]
    case 'connections':
      return [...over('failed', 0), ...over('kept', 2_048 + 128)]
    case 'unread':
      // All of them at once while they are read and judged; afterwards what one agent may leave unread (64 MiB).
      return [...over('failed', 0), ...over('most_mib', 300), ...over('left_mib', 80)]
    case 'tasks':
      return [...over('failed', 0), ...over('bytes_each', 1_024)]
    default:
      return []
  }
}
