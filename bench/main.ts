import { parseArgs } from 'node:util'
import { facts } from './facts.ts'
import { startChild } from './child.ts'
import { layWorld } from './world.ts'
import { decide } from './part/decide.ts'
import { json } from './part/json.ts'
import { list } from './part/list.ts'
import { memory } from './part/memory.ts'
import { physics } from './part/physics.ts'
import { start } from './part/start.ts'
import { store } from './part/store.ts'
import { verify } from './part/verify.ts'
import { latency } from './part/latency.ts'
import { revoke } from './part/revoke.ts'
import { throughput } from './part/throughput.ts'
import type { Figures, Part } from './part.ts'

const parts: { readonly [name: string]: Part } = {
  throughput,
  latency,
  revoke,
  decide,
  list,
  verify,
  start,
  memory,
  store,
  json,
  physics,
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: Object.keys(parts).join(',') },
  },
})

const say = (line: string): void => void process.stderr.write(`${line}\n`)
const machine = await facts()
const world = await layWorld({ tools: 100, agents: 16 })
const load = await startChild(new URL('./process/load.ts', import.meta.url))
const figures: { [name: string]: Figures[string] } = {}
try {
  for (const name of values.only.split(',')) {
    const part = parts[name]
    if (part === undefined)
      throw new Error(`expected parts out of ${Object.keys(parts).join(', ')}; found \`${name}\``)
    say(`${name} …`)
    Object.assign(figures, await part({ world, load, quick: values.quick, say: (line) => say(`  ${line}`) }))
  }
} finally {
  await load.end()
  await world.close()
}
if (!values.json)
  for (const [name, value] of Object.entries(figures)) process.stdout.write(`${name.padEnd(32)} ${value}\n`)
process.stdout.write(`${JSON.stringify({ ...figures, machine })}\n`)
