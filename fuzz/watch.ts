import { Worker } from 'node:worker_threads'
import { slotHead, slotSize, type Job, type Said } from './worker.ts'
import type { Entry } from './target.ts'
import type { Finding } from './corpus.ts'
import type { Progress } from './loop.ts'

export type Ran = {
  readonly target: string
  readonly inputs: number
  readonly kept: number
  readonly covered: number
  readonly findings: readonly Finding[]
}

export type Orders = Pick<Job, 'seed' | 'inputs' | 'keep'> & {
  readonly until: number | null
  readonly onProgress?: (progress: Progress) => void
  /** Another module that lists targets than ours. */
  readonly from?: string
  /** Longest that no input may end or begin before the thread is taken for hung. */
  readonly hangMs?: number
  /** A thread that hangs or dies is started again with other numbers, so often at most. */
  readonly starts?: number
}

/** Runs one target in a thread of its own, so that what never returns can be seen and ended from outside. */
export async function runTarget(entry: Entry, orders: Orders): Promise<Ran> {
  const findings = new Map<string, Finding>()
  let [inputs, kept, covered] = [0, 0, 0]
  for (let start = 0; start < (orders.starts ?? 5) && inputs < orders.inputs; start++) {
    const { starts: _starts, ...rest } = orders
    const left = { ...rest, seed: orders.seed + start * 7919, inputs: orders.inputs - inputs }
    const end = await watch(entry, left)
    inputs += end.inputs
    kept += end.kept
    covered = Math.max(covered, end.covered)
    for (const finding of end.findings) findings.set(finding.what, finding)
    if (end.whole) break
  }
  return { target: entry.name, inputs, kept, covered, findings: [...findings.values()] }
}

type Watched = Omit<Ran, 'target'> & { readonly whole: boolean }

async function watch(entry: Entry, orders: Omit<Orders, 'starts'>): Promise<Watched> {
  const slot = new SharedArrayBuffer(slotHead + slotSize)
  const {
    onProgress = () => undefined,
    from = new URL('./targets.ts', import.meta.url).href,
    hangMs = Math.max(60_000, entry.slowMs * 20),
    ...rest
  } = orders
  const job: Job = { ...rest, from, target: entry.name, blind: entry.blind === true, slot }
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: 2048 },
  })
  const found: Finding[] = []
  let progress: Progress = { inputs: 0, pool: 0, kept: 0, findings: 0, covered: 0 }
  const add = (what: string, detail: string): void =>
    void found.push({ target: entry.name, what, detail, input: running(slot) })
  return new Promise((resolve) => {
    const timer = hangWatch(slot, hangMs, () => {
      add('hang', `nothing moved for ${hangMs} ms`)
      end(false)
    })
    const end = (whole: boolean): void => {
      clearInterval(timer)
      void worker.terminate()
      resolve({ ...progress, findings: found, whole })
    }
    worker.on('message', (said: Said) => {
      switch (said.kind) {
        case 'progress':
          progress = said.progress
          return onProgress(progress)
        case 'broken':
          add('the harness failed', said.detail)
          return end(true)
        case 'done': {
          progress = said.result
          found.push(...said.result.found)
          return end(true)
        }
      }
    })
    worker.once('error', (fault: Error) => {
      add(`died: ${fault.name}`, fault.stack ?? fault.message)
      end(false)
    })
  })
}

/** What the thread last began with. */
function running(slot: SharedArrayBuffer): Uint8Array {
  const length = Atomics.load(new Int32Array(slot, 0, 2), 1)
  return Uint8Array.from(new Uint8Array(slot, slotHead, length))
}

function hangWatch(slot: SharedArrayBuffer, hangMs: number, hung: () => void): NodeJS.Timeout {
  const head = new Int32Array(slot, 0, 2)
  let last = -1
  let since = Date.now()
  return setInterval(() => {
    const count = Atomics.load(head, 0)
    if (count !== last) {
      last = count
      since = Date.now()
    } else if (count > 0 && Date.now() - since > hangMs) hung()
  }, 250)
}
