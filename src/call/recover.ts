import { rfc3339 } from '../lib/clock.ts'
import { join, clean, type Labels } from '../flow/labels.ts'
import type { CallStore, LogStore } from '../store/ports.ts'
import type { Clock } from '../lib/clock.ts'
import type { Owed } from './ports.ts'
import type { OutcomeEntry, ActEntry } from '../audit/entry.ts'
import type { Recorder } from '../audit/recorder.ts'

type RecoverPorts = {
  readonly calls: Pick<CallStore, 'unsettled' | 'settle'>
  readonly log: Pick<LogStore, 'append'>
  readonly clock: Clock
  readonly recorder: Recorder
  readonly broker: string
}

/**
 * Settles as `unknown` the intents of incarnations that no longer live, at start and periodically. Never those of a
 * living node: the store's settle is a compare-and-swap, so a late outcome of a node that was thought dead loses.
 * Returns the calls it settled.
 */
export async function recover(ports: RecoverPorts, living: readonly string[]): Promise<readonly string[]> {
  const settled: string[] = []
  for (const call of await ports.calls.unsettled(living)) {
    const worst: Labels = { confidentiality: 'internal', integrity: 'untrusted', sources: [call.tool] }
    const result = await settleOwed(ports, {
      call: call.call,
      task: call.task,
      outcome: 'unknown',
      labels: worst,
      lease: null,
      detail: `broker \`${call.broker}\` ended before the outcome was known`,
    })
    if (result) settled.push(call.call)
  }
  return settled
}

type OwedOutcome = Parameters<Owed['outcome']>[0]

export type OwedLedger = Owed & {
  /** Writes what is owed; what still cannot be written stays owed. Returns true when nothing is. */
  pay(ports: RecoverPorts): Promise<boolean>
  /** How much is owed now, for those who watch. */
  waiting(): { readonly refusals: number; readonly outcomes: number }
}

const maxOwed = 10_000

/**
 * What could not be recorded when it happened. Bounded: of outcomes beyond the limit only the number is kept, and
 * `recover` finds their calls after a restart.
 */
export function createOwed(): OwedLedger {
  const refusals = new Map<string, number>()
  const outcomes: OwedOutcome[] = []
  let beyond = 0
  return {
    refusal: (code) => void refusals.set(code, (refusals.get(code) ?? 0) + 1),
    outcome: (call) => {
      if (outcomes.length < maxOwed) outcomes.push(call)
      else beyond += 1
    },
    pay: async (ports) => {
      try {
        for (let owed = outcomes[0]; owed !== undefined; owed = outcomes[0]) {
          const detail = 'the outcome could not be recorded when it was known'
          await settleOwed(ports, { outcome: 'unknown', ...owed, detail })
          if (outcomes[0] === owed) outcomes.shift()
        }
        const gap = { refusals: Object.fromEntries(refusals), outcomes: beyond }
        if (refusals.size > 0 || beyond > 0) await ports.log.append(gapEntry(ports, gap), null)
        for (const [code, written] of Object.entries(gap.refusals)) forget(refusals, code, written)
        beyond -= gap.outcomes
        return true
      } catch {
        return false
      }
    },
    waiting: () => ({
      refusals: [...refusals.values()].reduce((sum, count) => sum + count, 0),
      outcomes: outcomes.length + beyond,
    }),
  }
}

/** Others may have been added while the gap entry was being written. */
function forget(refusals: Map<string, number>, code: string, written: number): void {
  const left = (refusals.get(code) ?? 0) - written
  if (left > 0) refusals.set(code, left)
  else refusals.delete(code)
}

type Late = Omit<OwedOutcome, 'outcome'> & {
  readonly outcome: 'not-sent' | 'unknown'
  readonly detail: string
}

/** False when the intent has its outcome already, or was never written. */
async function settleOwed(ports: RecoverPorts, call: Late): Promise<boolean> {
  const at = ports.clock.now()
  const labels = join(clean, call.labels)
  const entry: OutcomeEntry = {
    v: 1,
    kind: 'outcome',
    at: rfc3339(at),
    broker: ports.broker,
    call: call.call,
    task: call.task,
    outcome: call.outcome,
    detail: call.detail,
    result: null,
    labels,
    lease: call.lease === null ? null : { id: call.lease, secrets: [] },
    redacted: {},
    durationMs: 0,
  }
  const result = await ports.calls.settle({
    call: call.call,
    task: call.task,
    outcome: call.outcome,
    at,
    entry: ports.recorder.encode(entry),
    payload: null,
    raise: labels,
    taught: null,
    spilled: null,
    lease: call.lease,
    expect: null,
  })
  return !('problem' in result)
}

type Gap = { readonly refusals: { readonly [code: string]: number }; readonly outcomes: number }

/** A gap is itself a record: how many refusals went unwritten, by code, and how many outcomes are left to `recover`. */
function gapEntry(ports: RecoverPorts, gap: Gap): Uint8Array {
  const entry: ActEntry = {
    v: 1,
    kind: 'act',
    at: rfc3339(ports.clock.now()),
    broker: ports.broker,
    act: 'log-gap',
    by: 'broker',
    proof: 'none',
    subject: 'log',
    detail: { ...gap },
  }
  return ports.recorder.encode(entry)
}
