import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs' // prettier-ignore
import { createPublisher } from '../../src/audit/publish.ts'
import { createRecorder } from '../../src/audit/record.ts'
import { decodeBundle } from '../../src/audit/tiles.ts'
import { dirname, join } from 'node:path'
import { leafHash } from '../../src/audit/hash.ts'
import { makeReceipt, verifyReceipt } from '../../src/audit/receipt.ts'
import { loadSigningKey, newSigningKey } from '../../src/audit/note.ts'
import { rfc3339 } from '../../src/lib/clock.ts'
import { tmpdir } from 'node:os'
import { verifyLog } from '../../src/verify.ts'
import { bytes, hold, type Input, type Target } from '../target.ts'
import type { Entry } from '../../src/audit/entry.ts'

const size = 300

/**
 * A published log, changed on disk by a few edits: `verifyLog` must not call it sound unless its entries and its
 * checkpoint are still those that were signed. Four bytes an edit: which file, what to do, where, with what.
 */
export async function open(): Promise<Target> {
  const root = mkdtempSync(join(tmpdir(), 'countersign-fuzz-'))
  const sound = join(root, 'sound')
  const vkey = await publish(sound)
  const copy = join(root, 'copy')
  cpSync(sound, copy, { recursive: true })
  const files = readdirSync(sound, { recursive: true, encoding: 'utf8' })
    .filter((file) => statSync(join(sound, file)).isFile())
    .toSorted()
  const kept = readFileSync(join(sound, 'checkpoint'), 'utf8')
  const entries = entriesIn(sound)
  return {
    atOnce: 1,
    most: 64,
    words: [],
    seeds: [bytes('\0\0\0\0'), ...files.map((_, i) => Buffer.of(i, 0, 40, 1)), ...files.map((_, i) => Buffer.of(i, 3, 0, 0))],
    async run(input) {
      const touched = edit(copy, files, input)
      try {
        const report = await verifyLog({ directory: copy, vkey, kept: [kept] })
        if (report.ok) {
          hold(report.size === size && report.signature === 'verified', 'what is sound is the whole log')
          hold(entriesIn(copy).equals(entries), 'a log is sound only with the entries that were signed')
        } else hold(report.problems.length > 0 && report.problems.length <= 100, 'what is not sound has problems')
        const index = (input[2] ?? 0) % size
        const made = await makeReceipt({ directory: copy, index })
        if (made.ok) hold(report.signature !== 'verified' || verifyReceipt({ text: made.receipt.text, vkey }).ok, 'a receipt that is made verifies')
      } finally {
        for (const file of touched) restore(sound, copy, file)
      }
    },
    async close() {
      rmSync(root, { recursive: true, force: true })
    },
  } // prettier-ignore
}

/** What the checkpoint is over, whatever else lies in the folder. */
function entriesIn(directory: string): Buffer {
  const all: Uint8Array[] = []
  for (let index = 0; all.length < size; index++) {
    const width = Math.min(256, size - all.length)
    const plain = join(directory, `tile/entries/${String(index).padStart(3, '0')}`)
    const path = width < 256 && existsSync(`${plain}.p/${width}`) ? `${plain}.p/${width}` : plain
    all.push(...decodeBundle(readFileSync(path)).entries.slice(0, width))
  }
  return Buffer.concat(all.flatMap((entry) => [Buffer.from(`${entry.length}:`), entry]))
}

/** Changes files; gives their names. What stands nowhere in `files` is made. */
function edit(copy: string, files: readonly string[], input: Input): readonly string[] {
  const touched: string[] = []
  for (let at = 0; at + 3 < input.length && touched.length < 8; at += 4) {
    const [which = 0, what = 0, where = 0, value = 0] = input.subarray(at, at + 4)
    const file = files[which % files.length] ?? 'checkpoint'
    touched.push(file, ...act({ copy, file, what, where, value, files }))
  }
  return touched
}

type Edit = {
  readonly copy: string
  readonly file: string
  readonly files: readonly string[]
  readonly what: number
  readonly where: number
  readonly value: number
}

function act({ copy, file, files, what, where, value }: Edit): readonly string[] {
  const path = join(copy, file)
  const old = existsSync(path) ? readFileSync(path) : Buffer.alloc(0)
  const at = Math.floor((where / 256) * old.length)
  const put = (next: Uint8Array, name = path): void => {
    mkdirSync(dirname(name), { recursive: true })
    writeFileSync(name, next)
  }
  const other = files[(value + where) % files.length] ?? file
  switch (what % 8) {
    case 0:
      old[at] = (old[at] ?? 0) ^ (value === 0 ? 0 : 1 << (value % 8))
      put(old)
      return []
    case 1:
      put(old.subarray(0, at))
      return []
    case 2:
      put(Buffer.concat([old, Buffer.alloc(value, where)]))
      return []
    case 3:
      if (existsSync(path)) unlinkSync(path)
      return []
    case 4:
      put(Buffer.concat([old.subarray(0, at), old.subarray(at + value)]))
      return []
    case 5:
      if (existsSync(path) && existsSync(join(copy, other)) && other !== file) {
        renameSync(path, `${path}.tmp`)
        renameSync(join(copy, other), path)
        renameSync(`${path}.tmp`, join(copy, other))
      }
      return [other]
    case 6: {
      // An older or longer tile beside the one that counts.
      const name = `tile/${value % 2 === 0 ? 'entries' : '0'}/00${where % 3}.p/${1 + (value % 255)}`
      put(old.subarray(0, (1 + (value % 255)) * 32), join(copy, name))
      return [name]
    }
    default:
      put(Buffer.from(old.toString('latin1').replace(String(value % 10), String(where % 10)), 'latin1'))
      return []
  }
}

function restore(sound: string, copy: string, file: string): void {
  const from = join(sound, file)
  rmSync(join(copy, file), { force: true })
  if (!existsSync(from)) return
  mkdirSync(dirname(join(copy, file)), { recursive: true })
  writeFileSync(join(copy, file), readFileSync(from))
}

/** Publishes a log of 300 calls and half calls, signed with a fresh key. */
async function publish(directory: string): Promise<string> {
  const recorder = createRecorder({ fingerprintKey: new Uint8Array(32).fill(7) })
  const rows = Array.from({ length: size }, (_, index) => {
    const bytes = recorder.encode(entry(index))
    return { index, bytes, leaf: leafHash(bytes) }
  })
  const signed: { now: { readonly size: number; readonly text: string } | null } = { now: null }
  const publisher = createPublisher({
    log: {
      size: async () => rows.length,
      read: async (from, count) => rows.slice(from, from + count),
      checkpoint: async () => signed.now,
      putCheckpoint: async (next) => ({ ok: ((signed.now = next), true) }),
    },
    directory,
    key: loadSigningKey(newSigningKey()),
    origin: 'fuzz.example/log',
    everyMs: 1000,
    clock: { now: () => 1_800_000_000_000 },
  })
  await publisher.tick()
  return publisher.vkey
}

const entry = (index: number): Entry => ({
  v: 1,
  kind: 'act',
  at: rfc3339(1_800_000_000_000 + index),
  broker: 'b_0000000000000000000000',
  act: 'task-opened',
  by: 'owner',
  proof: 'terminal',
  subject: `t_${index}`,
  detail: { index, words: 'x'.repeat(index % 7) },
})
