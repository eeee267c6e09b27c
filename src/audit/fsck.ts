import { openCheckpoint, type Checkpoint } from './checkpoint.ts'
import { parseVkey } from './note.ts'
import { readTile } from './walk.ts'
import { verifyLog } from '../verify.ts'
import { survey, type Surveyed } from './fsck/survey.ts'
import { Findings, type Finding } from './fsck/finding.ts'
import type { Engine } from '../store/engine.ts'

export type { Finding, FindingCode } from './fsck/finding.ts'

export type FsckSettings = {
  /**
   * Runs a viewing verb on one snapshot: `viewSqlite`, or its like of another engine. SQLite answers in one go, so never
   * give the view of a broker that serves calls.
   */
  readonly view: Engine['view']
  /** The folder that the log is published to; null when there is none. */
  readonly published: string | null
  /** The log's verifier key. Without it, whose checkpoints these are is not checked. */
  readonly vkey?: string
  /** Milliseconds since the epoch. */
  readonly now: number
  /** An incarnation that was seen within so many milliseconds lives, and settles its calls itself. */
  readonly livingMs: number
  /** So long after a task was closed what was lent to it may still be on its way back, in milliseconds. */
  readonly graceMs?: number
  readonly progress?: (done: number, size: number) => void
}

/** An intent without outcome: no fault while its incarnation lives, or until the next start settles it as unknown. */
export type OpenCall = {
  readonly call: string
  readonly task: string
  readonly broker: string
  readonly at: number
}

/** Lent to what has ended by now. No fault while no incarnation lives: the next start takes it back. */
export type OpenLease = { readonly lease: string; readonly task: string }

export type Open = {
  /** Calls in flight at incarnations that live. */
  readonly living: readonly OpenCall[]
  /** Calls of dead ones: the next start, or another node, settles them as unknown. */
  readonly waiting: readonly OpenCall[]
  readonly leases: readonly OpenLease[]
}

export type FsckReport = {
  /** True when nothing was found. */
  readonly ok: boolean
  /** Entries in the log. */
  readonly size: number
  /** The first two hundred; `counts` has all of them by code. */
  readonly findings: readonly Finding[]
  readonly counts: { readonly [code: string]: number }
  readonly checked: Surveyed['checked']
  readonly open: Open
  readonly notes: readonly string[]
}

/**
 * Checks everything that must hold of the store and the log together, on one snapshot: reads all of it and changes
 * nothing. Trusts neither: the log is played again, and the store must be what that leads to. Rejects only when the
 * store cannot be read.
 */
export async function fsck(settings: FsckSettings): Promise<FsckReport> {
  const findings = new Findings()
  // Before the snapshot: a broker that runs goes on publishing, and must not seem to be ahead of it.
  const head = publishedHead(settings, findings)
  const surveyed = await settings.view(
    survey(findings, {
      vkey: settings.vkey ?? null,
      heads: head === null ? [] : [head],
      now: settings.now,
      livingMs: settings.livingMs,
      graceMs: settings.graceMs ?? 10_000,
      progress: settings.progress ?? (() => undefined),
    }),
  )
  const notes = [...surveyed.notes]
  if (settings.published !== null && head !== null)
    notes.push(...(await verifyPublished(settings.published, settings, findings)))
  return {
    ok: findings.shown().length === 0,
    size: surveyed.size,
    findings: findings.shown(),
    counts: findings.counts(),
    checked: surveyed.checked,
    open: surveyed.open,
    notes,
  }
}

function publishedHead({ published, vkey }: FsckSettings, findings: Findings): Checkpoint | null {
  const bytes = published === null ? null : readTile(published, 'checkpoint')
  if (bytes === null) return null
  const opened = openCheckpoint(Buffer.from(bytes).toString(), vkey === undefined ? null : parseVkey(vkey))
  if (opened.ok) return opened.checkpoint
  findings.add('published-unsound', `the checkpoint cannot be used (${opened.problem})`)
  return null
}

/** The files are what anybody else will see of the log, so they are checked as anybody else would. */
async function verifyPublished(
  directory: string,
  { vkey }: FsckSettings,
  findings: Findings,
): Promise<readonly string[]> {
  const report = await verifyLog({ directory, ...(vkey === undefined ? {} : { vkey }) })
  for (const { index, call, problem } of report.problems)
    findings.add('published-unsound', problem, {
      ...(index === undefined ? {} : { index }),
      ...(call === undefined ? {} : { call }),
    })
  return report.notes
}
