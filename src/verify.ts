import { openCheckpoint } from './audit/checkpoint.ts'
import { sameBytes } from './audit/hash.ts'
import { callIn, Meaning } from './audit/meaning.ts'
import { parseVkey } from './audit/note.ts'
import { readTile, rootOfTiles, strays, walk } from './audit/walk.ts'
import type { Checkpoint } from './audit/checkpoint.ts'
import type { Counts } from './audit/meaning.ts'
import type { Difference, Walked } from './audit/walk.ts'

/**
 * The offline verifier: checks a copy of the log without the broker, its store or its word. It reads the format (C2SP
 * tiles and checkpoints, RFC 8785 entries) and nothing else of this program.
 */
export type VerifySettings = {
  readonly directory: string
  /** The log's verifier key. Without it, anyone could have made this log. */
  readonly vkey?: string
  /** Texts of checkpoints that were kept elsewhere: without one, a log that was cut or replaced whole looks sound. */
  readonly kept?: readonly string[]
  readonly progress?: (done: number, size: number) => void
}

export type Problem = {
  /** Index of the first entry concerned, counted from 0. */
  readonly index?: number
  readonly call?: string
  readonly problem: string
  readonly hint: string
}

export type Report = {
  /** True when there is no problem at all. */
  readonly ok: boolean
  readonly origin: string | null
  readonly size: number
  /** Base64, as in the checkpoint. */
  readonly root: string | null
  readonly signature: 'verified' | 'unchecked' | 'failed'
  /** In the order of the log, those of the whole log first; a hundred at most. */
  readonly problems: readonly Problem[]
  readonly counts: Counts
  /** Intents without outcome, oldest first; a hundred at most, all of them in `counts.open`. */
  readonly open: readonly { readonly index: number; readonly call: string }[]
  /** What is worth knowing and no fault. */
  readonly notes: readonly string[]
}

const most = 100

/** Rejects only when the folder cannot be read at all. */
export async function verifyLog(settings: VerifySettings): Promise<Report> {
  const problems: Problem[] = []
  const report = (problem: Problem): void => {
    if (problems.length < most) problems.push(problem)
  }
  const head = readHead(settings, report)
  const meaning = new Meaning()
  const notes =
    settings.vkey === undefined ? ['no verifier key was given: whose log this is was not checked'] : []
  if (head.checkpoint === null) return finish({ head, meaning, problems, notes })
  const kept = readKept(settings, head.checkpoint, report)
  const { size } = head.checkpoint
  const unclear: Problem[] = []
  const walked = await walk({
    directory: settings.directory,
    size,
    marks: kept.map((checkpoint) => checkpoint.size),
    entry: (index, bytes) => {
      const found = meaning.take(index, bytes)
      if (found === null || unclear.length >= most) return
      const { call, problem, hint } = found
      unclear.push({ index, ...(call === null ? {} : { call }), problem, hint })
    },
    ...(settings.progress === undefined ? {} : { progress: settings.progress }),
  })
  const checked = { directory: settings.directory, checkpoint: head.checkpoint, walked, report }
  judgeTree(checked)
  judgeKept(kept, walked, report)
  for (const problem of unclear) report(problem)
  notes.push(...(await judgeStrays(checked)), ...noteTimes(meaning))
  return finish({ head, meaning, problems, notes })
}

type Reporter = (problem: Problem) => void
type Head = { readonly checkpoint: Checkpoint | null; readonly signature: Report['signature'] }

/** The head of the log. A head that is not signed by the key is still followed, to say more about what is wrong. */
function readHead({ directory, vkey }: VerifySettings, report: Reporter): Head {
  const bytes = readTile(directory, 'checkpoint')
  if (bytes === null) {
    report({
      problem: 'there is no checkpoint',
      hint: 'give the folder that the broker publishes its log to, or copy it again',
    })
    return { checkpoint: null, signature: 'failed' }
  }
  const text = Buffer.from(bytes).toString()
  const plain = openCheckpoint(text, null)
  if (!plain.ok || !sameBytes(Buffer.from(text), bytes)) {
    report({
      problem: 'the checkpoint is not a signed note',
      hint: 'it was damaged or edited; copy the log again',
    })
    return { checkpoint: null, signature: 'failed' }
  }
  if (vkey === undefined) return { checkpoint: plain.checkpoint, signature: 'unchecked' }
  const key = parseVkey(vkey)
  if (key === null) {
    report({
      problem: 'the verifier key cannot be read',
      hint: 'expected `name+8 hexadecimal digits+base64`, as `audit key` prints it',
    })
    return { checkpoint: plain.checkpoint, signature: 'failed' }
  }
  const opened = openCheckpoint(text, key)
  if (opened.ok) return { checkpoint: opened.checkpoint, signature: 'verified' }
  const replaced = opened.problem === 'other-origin'
  report({
    problem: replaced
      ? `this is the log \`${plain.checkpoint.origin}\`, and the key is that of \`${key.name}\``
      : 'the checkpoint is not signed by this key',
    hint: 'the checkpoint was edited, or the log was replaced by another; do not rely on it',
  })
  return { checkpoint: plain.checkpoint, signature: 'failed' }
}

/** Kept checkpoints that can be compared; each other one is a problem, or whoever cut the log would break the witness, too. */
function readKept(
  { kept = [], vkey }: VerifySettings,
  head: Checkpoint,
  report: Reporter,
): readonly Checkpoint[] {
  const key = vkey === undefined ? null : parseVkey(vkey)
  const readable: Checkpoint[] = []
  for (const text of kept) {
    const opened = openCheckpoint(text, key)
    if (!opened.ok) {
      report({
        problem: `a kept checkpoint cannot be used (${opened.problem})`,
        hint: 'give checkpoints of this log, signed by the key',
      })
    } else if (opened.checkpoint.origin !== head.origin) {
      report({
        problem: `the kept checkpoint is of \`${opened.checkpoint.origin}\`, and this log is \`${head.origin}\``,
        hint: 'the log was replaced by another one; do not rely on it',
      })
    } else readable.push(opened.checkpoint)
  }
  return readable
}

function judgeKept(kept: readonly Checkpoint[], walked: Walked, report: Reporter): void {
  for (const { size, root } of kept) {
    const found = walked.roots.get(size)
    if (found === undefined) {
      report({
        index: walked.size,
        problem: `the log was cut: ${size} entries were signed, ${walked.size} are here`,
        hint: 'this copy is older than the kept checkpoint, or its end was removed; get a newer copy',
      })
    } else if (!sameBytes(found, root)) {
      report({
        problem: `the log has forked: its first ${size} entries are not those of the kept checkpoint`,
        hint: 'history was rewritten after the kept checkpoint was signed; do not rely on this copy',
      })
    }
  }
}

type Checked = {
  readonly directory: string
  readonly checkpoint: Checkpoint
  readonly walked: Walked
  readonly report: Reporter
}

/** Finds out what is wrong when files and head do not fit: an entry, a tile, or all of it. */
function judgeTree({ directory, checkpoint, walked, report }: Checked): void {
  const sound = walked.size === checkpoint.size && sameBytes(walked.root, checkpoint.root)
  if (sound && walked.differences.length === 0) return
  const tiles = sound ? null : rootOfTiles(directory, checkpoint.size)
  const blame = sound ? 'tile' : tiles !== null && sameBytes(tiles, checkpoint.root) ? 'entry' : 'both'
  // When an entry was changed, the tiles above it differ in consequence: they are the ones that are right.
  const firstLeaf = walked.differences.some((difference) => difference.kind === 'leaf')
  const shown = walked.differences.filter((difference) => difference.kind !== 'tile' || sound || !firstLeaf)
  for (const difference of shown) report(explain(difference, blame))
  if (!sound && shown.length === 0) {
    report({
      problem: 'the entries do not lead to the signed root',
      hint: 'entries and tiles were rewritten together, or the checkpoint is of another log; do not rely on this copy',
    })
  }
}

function explain(difference: Difference, blame: 'tile' | 'entry' | 'both'): Problem {
  const { index } = difference
  switch (difference.kind) {
    case 'missing':
      return {
        index,
        problem: `\`${difference.path}\` is missing`,
        hint: 'copy the log again; if it stays, entries were removed',
      }
    case 'length':
      return {
        index,
        problem: `\`${difference.path}\` does not hold the entries that it should, each after its length`,
        hint: 'entries were removed, inserted or cut; do not rely on what follows',
      }
    case 'tile':
      return {
        index,
        problem: `\`${difference.path}\` does not hold the hashes of the entries`,
        hint:
          blame === 'tile'
            ? 'the entries are sound; export the tiles again'
            : 'the log was rewritten from here on',
      }
    case 'leaf': {
      const call = callIn(difference.entry)
      const named = call === null ? { index } : { index, call }
      if (blame === 'tile')
        return {
          ...named,
          problem: 'the tile does not hold the hash of this entry',
          hint: 'the entry is sound; export the tiles again',
        }
      return {
        ...named,
        problem:
          blame === 'entry'
            ? 'the entry is not the one that was signed'
            : 'the entry does not have the hash that its tile holds',
        hint: 'it was edited, moved, inserted, or one before it was removed; do not rely on it',
      }
    }
  }
}

async function judgeStrays({ directory, checkpoint, report }: Checked): Promise<readonly string[]> {
  const { differences, ahead, unknown } = await strays(directory, checkpoint.size)
  for (const difference of differences) report(explain(difference, 'tile'))
  const notes: string[] = []
  if (ahead > 0)
    notes.push(`${ahead} tiles belong to a longer log than the checkpoint; they were not checked`)
  if (unknown > 0) notes.push(`${unknown} files in the folder are not part of a log`)
  return notes
}

const noteTimes = (meaning: Meaning): readonly string[] => {
  const { backwards } = meaning.counts()
  return backwards === 0 ? [] : [`${backwards} entries have a time before that of the entry before them`]
}

type Finished = {
  readonly head: Head
  readonly meaning: Meaning
  readonly problems: readonly Problem[]
  readonly notes: readonly string[]
}

const finish = ({ head: { checkpoint, signature }, meaning, problems, notes }: Finished): Report => ({
  ok: problems.length === 0,
  origin: checkpoint?.origin ?? null,
  size: checkpoint?.size ?? 0,
  root: checkpoint === null ? null : Buffer.from(checkpoint.root).toString('base64'),
  signature,
  problems,
  counts: meaning.counts(),
  open: meaning.open(),
  notes,
})
