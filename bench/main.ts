import { parseArgs } from 'node:util'
import { decide } from './part/decide.ts'
import { flow } from './part/flow.ts'
import { engines, startEngine, type EngineName } from './engine.ts'
import { facts } from './facts.ts'
import { goals, met } from './goals.ts'
import { json } from './part/json.ts'
import { latency } from './part/latency.ts'
import { layWorld } from './world.ts'
import { lent } from './part/lent.ts'
import { list } from './part/list.ts'
import { memory } from './part/memory.ts'
import { physics } from './part/physics.ts'
import { revoke } from './part/revoke.ts'
import { start } from './part/start.ts'
import { startChild } from './child.ts'
import { store } from './part/store.ts'
import { throughput } from './part/throughput.ts'
import { verify } from './part/verify.ts'
import type { Figures, Ground, Part } from './part.ts'

/*
 * npm run bench [-- --json] [--quick] [--only NAME,…] [--engine postgres]
 *
 * One run, one upstream, the floor and the whole path beside each other. People read a table, programs the last line:
 * one JSON object. Timings are looked at and never asserted: a run exits with 0 unless something failed.
 */

const parts: { readonly [name: string]: Part } = {
  throughput,
  latency,
  lent,
  revoke,
  decide,
  flow,
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
    engine: { type: 'string', default: 'sqlite' },
  },
})

const say = (line: string): void => void process.stderr.write(`${line}\n`)

function demand<Name extends string>(given: string, known: readonly Name[]): Name {
  const found = known.find((name) => name === given)
  if (found === undefined) throw new Error(`expected one of ${known.join(', ')}; found \`${given}\``)
  return found
}

/** A part that fails is named in `failed`; the others are measured all the same. */
async function measure(names: readonly string[], ground: Ground) {
  const figures: { [name: string]: Figures[string] } = {}
  const failed: string[] = []
  for (const name of names) {
    say(`${name} …`)
    try {
      Object.assign(figures, await parts[name]?.(ground))
    } catch (problem) {
      say(`  ${problem instanceof Error ? problem.message : String(problem)}`)
      failed.push(name)
    }
  }
  return { figures, failed }
}

async function run(names: readonly string[], engineName: EngineName) {
  const machine = await facts()
  const engine = await startEngine(engineName)
  const lay: Ground['lay'] = async (options) => layWorld({ ...options, store: await engine.store() })
  const world = await lay({ tools: 100, agents: 16 })
  const load = await startChild(new URL('./process/load.ts', import.meta.url))
  const ground: Ground = { world, load, lay, quick: values.quick, say: (line) => say(`  ${line}`) }
  try {
    return { ...(await measure(names, ground)), machine }
  } finally {
    await load.end()
    await world.close()
    await engine.end()
  }
}

function show(figures: Figures): void {
  const print = (line: string): void => void process.stdout.write(`${line}\n`)
  const isMet = met(figures)
  for (const { name, what, at, now } of goals) {
    if (isMet[name] === undefined) continue
    const goal = `${at === 'least' ? '≥' : '≤'} ${now}`
    print(
      `${isMet[name] ? '✓' : '✗'} ${name.padEnd(20)} ${String(figures[name]).padStart(10)}  ${goal.padEnd(12)} ${what}`,
    )
  }
  print('')
  for (const [name, value] of Object.entries(figures))
    if (isMet[name] === undefined) print(`  ${name.padEnd(34)} ${value}`)
}

const known = Object.keys(parts)
const names = values.only.split(',').map((name) => demand(name, known))
const engine = demand(values.engine, engines)
const { figures, failed, machine } = await run(names, engine)
if (!values.json) show(figures)
process.stdout.write(
  `${JSON.stringify({ ...figures, engine, quick: values.quick, failed, met: met(figures), machine })}\n`,
)
if (failed.length > 0) process.exitCode = 1
