import fc from 'fast-check'
import { setImmediate } from 'node:timers/promises'
import { createRandom } from './random.ts'
import { minimise } from './minimise.ts'
import { mutate } from './mutate.ts'
import { Violation, type Input, type Target } from './target.ts'
import type { Coverage } from './coverage.ts'
import type { Finding } from './corpus.ts'

export type LoopOptions = {
  readonly name: string
  readonly seed: number
  readonly inputs: number
  readonly corpus: readonly Input[]
  /** Null: inputs are not judged by what they reach (the bounded share of `npm test`). */
  readonly coverage: Coverage | null
  /** Longest time of one input alone, in milliseconds of the processor; infinite where timings are nobody's business. */
  readonly slowMs: number
  /** When to stop, by the wall clock. */
  readonly until?: number
  /** Told of every input right before it runs: whoever watches knows what hung. */
  readonly onInput?: (input: Input) => void
  readonly onProgress?: (progress: Progress) => void
  /** The fault of a promise that nobody waited for, or of a callback, since it was last asked; undefined for none. */
  readonly stray?: () => unknown
}

export type Progress = {
  readonly inputs: number
  /** Inputs in the pool, and how many of them came to it in this run. */
  readonly pool: number
  readonly kept: number
  readonly findings: number
  readonly covered: number
}

export type Looped = Progress & {
  readonly found: readonly Finding[]
  /** Everything in the pool. */
  readonly all: readonly Input[]
}

/** So many different faults, and it is time to repair some. */
const mostFindings = 20

/** Runs a target with its corpus first, then with what mutation and generation make of it. */
export async function loop(target: Target, options: LoopOptions): Promise<Looped> {
  const state = createState(target, options)
  await play(state, [...target.seeds, ...options.corpus])
  while (state.inputs < options.inputs && state.found.size < mostFindings && !isOver(options)) {
    const size = Math.min(state.batch, options.inputs - state.inputs)
    await play(
      state,
      Array.from({ length: size }, () => next(state)),
    )
    options.onProgress?.(progressOf(state))
  }
  await settle(state)
  return { ...progressOf(state), found: [...state.found.values()], all: state.pool }
}

type State = {
  readonly target: Target
  readonly options: LoopOptions
  readonly random: ReturnType<typeof createRandom>
  readonly words: readonly Buffer[]
  readonly pool: Input[]
  readonly found: Map<string, Finding>
  readonly fresh: Input[]
  /** A few inputs of late, kept whatever they reached: values can go where no new block tells of it. */
  readonly walk: Input[]
  readonly most: number
  inputs: number
  kept: number
  batch: number
  settled: number
}

function createState(target: Target, options: LoopOptions): State {
  return {
    target,
    options,
    random: createRandom(options.seed, options.name),
    words: target.words.map((word) => Buffer.from(word)),
    pool: [],
    found: new Map(),
    fresh: [],
    walk: [],
    most: target.most ?? 16 * 1024,
    inputs: 0,
    kept: 0,
    batch: Math.max(32, target.atOnce),
    settled: 0,
  }
}

const isOver = ({ until }: LoopOptions): boolean => until !== undefined && Date.now() >= until

const progressOf = (state: State): Progress => ({
  inputs: state.inputs,
  pool: state.pool.length,
  kept: state.kept,
  findings: state.found.size,
  covered: state.options.coverage?.total() ?? 0,
})

/** Another input: one of the pool, changed, or one from the target's own grammar. Newer ones in the pool come up more often. */
function next(state: State): Input {
  const { random, pool, target, walk } = state
  const from = (): Input => {
    const recent = random.chance(0.4) ? pool.length - 1 - random.below(Math.min(pool.length, 32)) : -1
    return (random.chance(0.1) ? random.pick(walk) : pool[recent]) ?? random.pick(pool) ?? Buffer.alloc(0)
  }
  const structure = target.json === true ? 0.8 : 0
  const material = { random, words: state.words, other: from, most: state.most, structure }
  if (target.fresh !== undefined && random.chance(0.3)) {
    if (state.fresh.length === 0)
      state.fresh.push(...fc.sample(target.fresh, { numRuns: 256, seed: random.below(2 ** 31) }))
    const made = state.fresh.pop() ?? from()
    return random.chance(0.5) ? made : mutate(made, material)
  }
  const made = mutate(from(), material)
  walk[random.below(64)] = made
  return made
}

/** Runs a batch, and each of it alone when together they reached something new. */
async function play(state: State, batch: readonly Input[]): Promise<void> {
  const { coverage } = state.options
  const { atOnce } = state.target
  for (let at = 0; at < batch.length; at += atOnce) {
    const together = batch.slice(at, at + atOnce)
    await Promise.all(together.map((input) => attempt(state, input)))
    state.inputs += together.length
  }
  await findStray(state, batch)
  if (state.target.settle !== undefined && state.inputs - state.settled >= 5_000) await settle(state)
  if (coverage === null) {
    if (state.pool.length < 512) state.pool.push(...batch)
    else for (const input of batch.slice(0, 8)) state.pool[state.random.below(512)] = input
    return
  }
  const ran = coverage.ran()
  const isNew = ran.fresh > 0
  state.batch = Math.max(32, Math.min(1024, isNew ? state.batch / 2 : state.batch * 2))
  if (!isNew) return
  const before = state.kept
  await halve(state, batch, coverage)
  // What only ran because of what ran beside it is not looked for again and again.
  if (state.kept === before) ran.keep()
}

/** For what it reaches or leaves behind; what it finds was told before. */
export async function runQuietly(target: Target, input: Input): Promise<void> {
  try {
    await target.run(input)
  } catch {
    // Told when it was found.
  }
}

/** Failures that reach nobody show when the event loop turns; then each input is tried alone. */
async function findStray(state: State, batch: readonly Input[]): Promise<void> {
  await setImmediate()
  const { stray, name } = state.options
  const fault = stray?.()
  if (stray === undefined || fault === undefined) return
  const { what, detail } = told(fault)
  const finding = { target: name, what: `unhandled: ${what}`, detail }
  if (state.found.has(finding.what)) return
  for (const input of batch) {
    await runQuietly(state.target, input)
    await setImmediate()
    if (stray() === undefined) continue
    state.found.set(finding.what, { ...finding, input })
    return
  }
  state.found.set(finding.what, { ...finding, input: Buffer.alloc(0) })
}

/**
 * Runs the batch again, half by half, down to the inputs that reach something new: asking costs as much as many inputs,
 * and mostly it is one of them.
 */
async function halve(state: State, batch: readonly Input[], coverage: Coverage): Promise<void> {
  const [first] = batch
  for (const input of batch) await attempt(state, input)
  const ran = coverage.ran()
  if (ran.fresh === 0 || first === undefined) return
  if (batch.length === 1) {
    ran.keep()
    state.pool.push(first)
    state.kept += 1
    return
  }
  const middle = Math.ceil(batch.length / 2)
  await halve(state, batch.slice(0, middle), coverage)
  await halve(state, batch.slice(middle), coverage)
}

async function attempt(state: State, input: Input): Promise<void> {
  const problem = await problemOf(state, input)
  if (problem === null || state.found.has(problem.what)) return
  const { name } = state.options
  const same = async (candidate: Input): Promise<boolean> =>
    (await problemOf(state, candidate))?.what === problem.what
  // Marked first: while one is made small, others of the same kind are not.
  state.found.set(problem.what, { target: name, ...problem, input })
  const small = await minimise(input, same)
  const again = await problemOf(state, small)
  state.found.set(problem.what, { target: name, ...(again ?? problem), input: small })
}

type Problem = { readonly what: string; readonly detail: string }

/** What is wrong with how the target took the input, or null. */
async function problemOf(state: State, input: Input): Promise<Problem | null> {
  state.options.onInput?.(input)
  const start = spent()
  try {
    const running = state.target.run(input)
    if (running !== undefined) await running
  } catch (fault) {
    return told(fault)
  }
  const took = spent() - start
  if (took <= state.options.slowMs || state.target.atOnce > 1) return null
  // Once may be the machine's fault; three times is the input's.
  const times = [took]
  while (times.length < 3) {
    const from = spent()
    await state.target.run(input)
    times.push(spent() - from)
  }
  const least = Math.min(...times)
  if (least <= state.options.slowMs) return null
  return { what: 'too slow', detail: `took ${Math.round(least)} ms three times` }
}

/** This thread's own time on a processor, in milliseconds: how busy the machine is otherwise is no fault of an input. */
function spent(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

function told(fault: unknown): Problem {
  if (fault instanceof Violation) return { what: fault.what, detail: fault.message }
  if (!(fault instanceof Error)) return { what: 'crash: not an error', detail: String(fault).slice(0, 500) }
  // Where it was thrown tells two crashes apart better than its words, which hold parts of the input.
  const place = /\n\s+at (?:async )?([^\n]+)/.exec(fault.stack ?? '')?.[1] ?? ''
  return {
    what: `crash: ${fault.name} ${place.replace(/^.*\/(?=[^/]+\/[^/]+$)/, '')}`,
    detail: (fault.stack ?? String(fault)).slice(0, 4000),
  }
}

async function settle(state: State): Promise<void> {
  state.settled = state.inputs
  if (state.target.settle === undefined) return
  try {
    await state.target.settle()
  } catch (fault) {
    const problem = told(fault)
    // No one input did it: the finding holds none.
    state.found.set(problem.what, { target: state.options.name, ...problem, input: Buffer.alloc(0) })
  }
}
