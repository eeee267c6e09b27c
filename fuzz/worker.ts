import { parentPort, workerData } from 'node:worker_threads'
import { loop, runQuietly, type Looped, type Progress } from './loop.ts'
import { readCorpus, writeCorpus } from './corpus.ts'
import { startCoverage, type Coverage } from './coverage.ts'
import type { Entry, Input, Target } from './target.ts'

/** What one thread is told to do. */
export type Job = {
  readonly target: string
  /** The module that lists the targets. */
  readonly from: string
  readonly seed: number
  readonly inputs: number
  readonly until: number | null
  readonly blind: boolean
  /** Replace the corpus by the fewest inputs that reach as much. */
  readonly keep: boolean
  /** Where the input that runs now is written, for whoever watches: a count, a length, the bytes. */
  readonly slot: SharedArrayBuffer
}

export type Said =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'done'; readonly result: Omit<Looped, 'all'> }
  /** The harness itself failed: no finding about what is fuzzed, and no result either. */
  | { readonly kind: 'broken'; readonly detail: string }

/** Bytes before the input in the slot: how many inputs have begun, and how long this one is. */
export const slotHead = 8
export const slotSize = 64 * 1024

const isJob = (value: unknown): value is Job =>
  typeof value === 'object' && value !== null && 'slot' in value && value.slot instanceof SharedArrayBuffer

/** Coverage first, then what is measured: only what V8 compiles from then on has block counters. */
async function work(job: Job, say: (said: Said) => void): Promise<void> {
  const coverage = job.blind ? null : startCoverage((url) => isMeasured(url))
  const { targets }: { readonly targets: readonly Entry[] } = await import(job.from)
  const entry = targets.find(({ name }) => name === job.target)
  if (entry === undefined) throw new Error(`expected a known target, found \`${job.target}\``)
  const target = await entry.open()
  const corpus = readCorpus(entry.name)
  // What opening ran is not the merit of any input.
  coverage?.ran().keep()
  try {
    const looped = await loop(target, {
      name: entry.name,
      seed: job.seed,
      inputs: job.inputs,
      corpus: corpus.map(({ input }) => input),
      coverage,
      slowMs: entry.slowMs,
      ...(job.until === null ? {} : { until: job.until }),
      onInput: announce(job.slot),
      stray: catchStrays(),
      onProgress: slowly((progress) => say({ kind: 'progress', progress })),
    })
    if (job.keep && coverage !== null) await keepFew(entry, target, looped.all, coverage)
    const { all: _all, ...result } = looped
    say({ kind: 'done', result })
  } finally {
    await target.close?.()
  }
}

/** What is fuzzed, and not the harness, its libraries, or what only keeps what it is given. */
const isMeasured = (url: string): boolean =>
  /\/src\/(?!store\/|cli\/)|\/planted\.ts$/.test(url) && !url.includes('node_modules')

/** What would end a process is kept to be asked for. */
function catchStrays(): () => unknown {
  let last: unknown
  const keep = (fault: unknown): void => {
    last ??= fault ?? new Error('a rejection without a reason')
  }
  process.on('unhandledRejection', keep)
  process.on('uncaughtException', keep)
  return () => {
    const fault = last
    last = undefined
    return fault
  }
}

function announce(slot: SharedArrayBuffer): (input: Input) => void {
  const head = new Int32Array(slot, 0, 2)
  const body = new Uint8Array(slot, slotHead)
  return (input) => {
    const shown = input.subarray(0, body.length)
    body.set(shown)
    Atomics.store(head, 1, shown.length)
    Atomics.add(head, 0, 1)
  }
}

function slowly<Value>(tell: (value: Value) => void): (value: Value) => void {
  let last = 0
  return (value) => {
    if (Date.now() - last < 1000) return
    last = Date.now()
    tell(value)
  }
}

/** What the seeds reach needs no file. Then smallest first: an input stays when it reaches what no smaller one did. */
async function keepFew(
  entry: Entry,
  target: Target,
  all: readonly Input[],
  coverage: Coverage,
): Promise<void> {
  coverage.forget()
  const few: Input[] = []
  const isFirst = async (input: Input): Promise<boolean> => {
    coverage.ran()
    await runQuietly(target, input)
    const ran = coverage.ran()
    ran.keep()
    return ran.fresh > 0
  }
  for (const seed of target.seeds) await isFirst(seed)
  for (const input of all.toSorted((a, b) => a.length - b.length)) if (await isFirst(input)) few.push(input)
  writeCorpus(entry.name, few)
}

const port = parentPort
if (port !== null && isJob(workerData)) {
  const say = (said: Said): void => port.postMessage(said)
  await work(workerData, say).catch((fault: unknown) =>
    say({ kind: 'broken', detail: fault instanceof Error ? (fault.stack ?? fault.message) : String(fault) }),
  )
}
