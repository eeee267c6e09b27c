import { leafHash } from '../../src/audit/hash.ts'
import { newId } from '../../src/lib/id.ts'
import { createRecorder } from '../../src/audit/record.ts'
import { rfc3339 } from '../../src/lib/clock.ts'
import type { ActEntry, Entry, IntentEntry, OutcomeEntry, RefusedEntry } from '../../src/audit/entry.ts'
import type { PublishedLog } from '../../src/audit/publish.ts'
import type { StoredEntry } from '../../src/store/ports.ts'

/** One entry of each kind, typed: what the broker writes. Tests change the field that they are about. */
export const recorder = createRecorder({ fingerprintKey: new Uint8Array(32).fill(7) })

const common = { v: 1, broker: 'b_0000000000000000000000' } as const
const labels = { confidentiality: 'internal', integrity: 'untrusted', sources: ['files/read_file'] } as const
const who = {
  kind: 'agent',
  name: 'reviewer',
  onBehalfOf: 'owner',
  proven: 'task-token',
  issuer: 'countersign',
} as const
const what = {
  tool: 'files/write_file',
  digest: `sha256:${'a'.repeat(64)}`,
  effects: ['write'],
  operation: 'call',
} as const
const commitment = `sha256:${'b'.repeat(64)}`
const task = 't_0000000000000000000001'

export const refused = (more: Partial<RefusedEntry> = {}): RefusedEntry => ({
  ...common,
  kind: 'refused',
  at: rfc3339(1_800_000_000_000),
  call: newId('c'),
  stage: 'decide',
  code: 'denied',
  reason: 'no policy allows `write` outside of `/srv`',
  who,
  task,
  what,
  wanted: null,
  arguments: commitment,
  policy: 'p1',
  policies: ['default-deny'],
  ask: null,
  count: 1,
  ...more,
})

export const intent = (more: Partial<IntentEntry> = {}): IntentEntry => {
  const call = more.call ?? newId('c')
  return {
    ...common,
    kind: 'intent',
    at: rfc3339(1_800_000_000_100),
    call,
    chain: call,
    who,
    task,
    what,
    arguments: commitment,
    policy: 'p1',
    policies: ['writes-ask'],
    labels,
    approval: null,
    ...more,
  }
}

export const approved = (ask: string, by: readonly string[] = ['approver']): IntentEntry['approval'] => ({
  ask,
  digest: `sha256:${'c'.repeat(64)}`,
  answers: by.map((name) => ({
    by: name,
    proof: 'passphrase',
    answer: 'approve',
    reason: '',
    at: 1_800_000_000_050,
  })),
  requirement: { count: 1, independent: false, proof: 'passphrase' },
})

export const outcome = (call: string, more: Partial<OutcomeEntry> = {}): OutcomeEntry => ({
  ...common,
  kind: 'outcome',
  at: rfc3339(1_800_000_000_200),
  call,
  task,
  outcome: 'ok',
  detail: 'answered',
  result: commitment,
  labels,
  lease: { id: newId('l'), secrets: ['files-token'] },
  redacted: { 'files-token': 2 },
  durationMs: 12.5,
  ...more,
})

export const act = (more: Partial<ActEntry> = {}): ActEntry => ({
  ...common,
  kind: 'act',
  at: rfc3339(1_799_999_999_000),
  act: 'task.open',
  by: 'owner',
  proof: 'terminal',
  subject: task,
  detail: { purpose: 'maintenance', words: 'Übersicht – 日本語' },
  ...more,
})

/** A day of calls: acts, refusals, and pairs of intent and outcome, `n` entries altogether. */
export function day(n: number): Entry[] {
  const entries: Entry[] = [act()]
  for (let i = 0; entries.length < n; i++) {
    if (i % 5 === 4) entries.push(refused())
    else {
      const started = intent({ approval: i % 7 === 0 ? approved(newId('a')) : null })
      entries.push(started, outcome(started.call))
    }
  }
  return entries.slice(0, n)
}

export type MemoryLog = PublishedLog & {
  readonly rows: StoredEntry[]
  add(...entries: readonly (Entry | Uint8Array)[]): void
  /** Changes bytes and leaf, as someone with a handle on the store would. */
  rewrite(index: number, entry: Entry | Uint8Array): void
  signed: { size: number; text: string } | null
}

/** The log's side of a store, in memory, to be tampered with. */
export function memoryLog(entries: readonly (Entry | Uint8Array)[] = []): MemoryLog {
  const rows: StoredEntry[] = []
  const row = (index: number, entry: Entry | Uint8Array): StoredEntry => {
    const bytes = entry instanceof Uint8Array ? entry : recorder.encode(entry)
    return { index, bytes, leaf: leafHash(bytes) }
  }
  const log: MemoryLog = {
    rows,
    signed: null,
    add: (...more) => {
      for (const entry of more) rows.push(row(rows.length, entry))
    },
    rewrite: (index, entry) => {
      rows[index] = row(index, entry)
    },
    size: async () => rows.length,
    read: async (from, count) => rows.slice(from, from + Math.min(count, 1024)),
    checkpoint: async () => log.signed,
    putCheckpoint: async (next) => {
      const ok = next.size <= rows.length && next.size >= (log.signed?.size ?? 0)
      if (ok) log.signed = { ...next }
      return { ok }
    },
  }
  log.add(...entries)
  return log
}
