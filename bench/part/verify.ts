import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { createPublisher, type PublishedLog } from '../../src/audit/publish.ts'
import { createRecorder } from '../../src/audit/record.ts'
import { leafHash } from '../../src/audit/hash.ts'
import { loadSigningKey, newSigningKey } from '../../src/audit/note.ts'
import { newId } from '../../src/lib/id.ts'
import { rfc3339, systemClock } from '../../src/lib/clock.ts'
import { short } from '../stats.ts'
import { verifyLog } from '../../src/verify.ts'
import { walk } from '../../src/audit/walk.ts'
import type { Entry } from '../../src/audit/entry.ts'
import type { Part } from '../part.ts'

/** Entries a second and core: how fast a log is published, walked (hashes and tiles), and verified with its meaning. */
export const verify: Part = async ({ quick }) => {
  const size = quick ? 40_000 : 200_000
  const directory = await mkdtemp(join(tmpdir(), 'countersign-bench-'))
  try {
    const recorder = createRecorder({ fingerprintKey: new Uint8Array(32) })
    const entries: Uint8Array[] = []
    while (entries.length < size) for (const entry of pair()) entries.push(recorder.encode(entry))
    const key = loadSigningKey(newSigningKey())
    const settings = {
      log: logOf(entries),
      directory,
      key,
      origin: 'bench.example/log',
      everyMs: 1000,
      clock: systemClock,
    }
    const publisher = createPublisher(settings)
    const published = await perCore(size, () => publisher.tick())
    const hashes = await perCore(size, () => walk({ directory, size, marks: [] }))
    const meaning = await perCore(size, async () => {
      const report = await verifyLog({ directory, vkey: publisher.vkey })
      if (!report.ok) throw new Error(`expected a sound log: ${JSON.stringify(report.problems[0])}`)
    })
    return {
      verify_per_s: short(hashes),
      verify_meaning_per_s: short(meaning),
      publish_per_s: short(published),
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function perCore(size: number, run: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(before)
  return size / ((user + system) / 1e6)
}

function pair(): readonly Entry[] {
  const common = { v: 1, at: rfc3339(1_800_000_000_000), broker: newId('b') } as const
  const [call, task] = [newId('c'), newId('t')]
  const labels = { confidentiality: 'internal', integrity: 'untrusted', sources: ['up/tool_1'] } as const
  const commitment = `sha256:${'b'.repeat(64)}`
  const who = {
    kind: 'agent',
    name: 'reviewer',
    onBehalfOf: 'owner',
    proven: 'task-token',
    issuer: 'countersign',
  } as const
  const what = { tool: 'up/tool_1', digest: commitment, effects: ['read'], operation: 'call' } as const
  const intent = {
    arguments: commitment,
    policy: commitment,
    policies: ['reads'],
    labels,
    approval: null,
    task,
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
    { ...common, kind: 'outcome', call, task, ...outcome },
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
