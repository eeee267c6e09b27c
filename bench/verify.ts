import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { createPublisher } from '../src/audit/publish.ts'
import { createRecorder } from '../src/audit/record.ts'
import { leafHash } from '../src/audit/hash.ts'
import { loadSigningKey, newSigningKey } from '../src/audit/note.ts'
import { newId } from '../src/lib/id.ts'
import { rfc3339, systemClock } from '../src/lib/clock.ts'
import { verifyLog } from '../src/verify.ts'
import { walk } from '../src/audit/walk.ts'
import type { Entry } from '../src/audit/entry.ts'
import type { PublishedLog } from '../src/audit/publish.ts'

/** Prints how fast a log is published and verified. The goal is 250,000 entries a second and core for the hashes. */
const size = Number(process.argv[2] ?? 200_000)
const directory = await mkdtemp(join(tmpdir(), 'bench-verify-'))
try {
  const recorder = createRecorder({ fingerprintKey: new Uint8Array(32) })
  const entries: Uint8Array[] = []
  while (entries.length < size) for (const entry of pair()) entries.push(recorder.encode(entry))
  const bytes = entries.reduce((sum, entry) => sum + entry.length, 0)
  console.log(`${entries.length} entries of ${(bytes / entries.length).toFixed(0)} bytes`)

  const key = loadSigningKey(newSigningKey())
  const log = logOf(entries)
  const settings = { log, directory, key, origin: 'bench.example/log', everyMs: 1000, clock: systemClock }
  const publisher = createPublisher(settings)
  await time('publish (files synced)', () => publisher.tick())
  await time('recover', () => createPublisher(settings).tick())
  await time('verify: hashes and tiles', () => walk({ directory, size: entries.length, marks: [] }))
  const report = await time('verify: with meaning', () => verifyLog({ directory, vkey: publisher.vkey }))
  if (!report.ok) throw new Error(`expected a sound log: ${JSON.stringify(report.problems[0])}`)
} finally {
  await rm(directory, { recursive: true, force: true })
}

async function time<T>(name: string, run: () => Promise<T>): Promise<T> {
  const [start, used] = [performance.now(), process.cpuUsage()]
  const result = await run()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(used)
  const perCore = size / ((user + system) / 1e6)
  console.log(
    `${name.padEnd(26)} ${(size / seconds).toFixed(0).padStart(9)} entries/s ${perCore.toFixed(0).padStart(9)} per core second`,
  )
  return result
}

function pair(): readonly Entry[] {
  const common = { v: 1, at: rfc3339(1_800_000_000_000), broker: newId('b') } as const
  const call = newId('c')
  const labels = {
    confidentiality: 'internal',
    integrity: 'untrusted',
    sources: ['files/read_file'],
  } as const
  const commitment = `sha256:${'b'.repeat(64)}`
  const who = {
    kind: 'agent',
    name: 'reviewer',
    onBehalfOf: 'owner',
    proven: 'task-token',
    issuer: 'countersign',
  } as const
  const what = { tool: 'files/read_file', digest: commitment, effects: ['read'], operation: 'call' } as const
  const intent = {
    arguments: commitment,
    policy: commitment,
    policies: ['reads'],
    labels,
    approval: null,
    task: newId('t'),
  }
  const outcome = {
    outcome: 'ok',
    detail: 'answered',
    result: commitment,
    labels,
    lease: null,
    redacted: {},
    durationMs: 3,
  } as const
  return [
    { ...common, kind: 'intent', call, chain: call, who, what, ...intent },
    { ...common, kind: 'outcome', call, task: intent.task, ...outcome },
  ]
}

function logOf(entries: readonly Uint8Array[]): PublishedLog {
  let signed: { size: number; text: string } | null = null
  const leaves = entries.map(leafHash)
  const row = (bytes: Uint8Array, index: number) => ({ index, bytes, leaf: leaves[index] ?? bytes })
  return {
    size: async () => entries.length,
    read: async (from, count) => entries.slice(from, from + count).map((bytes, i) => row(bytes, from + i)),
    checkpoint: async () => signed,
    putCheckpoint: async (next) => {
      signed = next
      return { ok: true }
    },
  }
}
