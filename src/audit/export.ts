import { openCheckpoint } from './checkpoint.ts'
import { createFolder } from './folder.ts'
import { describeGrowthProblem, Growth } from './growth.ts'
import type { LogStore } from '../store/ports.ts'

export type Exported =
  | { readonly ok: true; readonly size: number }
  | {
      readonly ok: false
      readonly problem: 'nothing-signed' | 'not-consistent' | 'other-log'
      readonly detail: string
    }

/**
 * Writes the log up to its newest checkpoint into a folder of its own, as the publisher does, and without its key.
 * Into a folder that holds another log it writes nothing.
 */
export async function exportLog(settings: {
  readonly log: Pick<LogStore, 'read' | 'checkpoint'>
  readonly directory: string
}): Promise<Exported> {
  const { log } = settings
  const folder = createFolder(settings.directory)
  const signed = await log.checkpoint()
  const opened = signed === null ? null : openCheckpoint(signed.text, null)
  if (signed === null || opened?.ok !== true) {
    return { ok: false, problem: 'nothing-signed', detail: 'the log has no checkpoint yet; publish it first' }
  }
  const { origin, size } = opened.checkpoint
  const there = await folder.read('checkpoint')
  const other = there === null ? null : openCheckpoint(Buffer.from(there).toString(), null)
  if (other !== null && !(other.ok && other.checkpoint.origin === origin && other.checkpoint.size <= size)) {
    return { ok: false, problem: 'other-log', detail: 'the folder holds another log; export to an empty one' }
  }
  // Once without writing: a store that was changed must not overwrite an older, sound copy.
  const heads = other?.ok === true ? [other.checkpoint, opened.checkpoint] : [opened.checkpoint]
  const problem = await new Growth().pass(log, heads, null)
  if (problem !== null)
    return { ok: false, problem: 'not-consistent', detail: describeGrowthProblem(problem) }
  const growth = new Growth()
  const moved = await growth.pass(log, heads, folder)
  if (moved !== null) return { ok: false, problem: 'not-consistent', detail: describeGrowthProblem(moved) }
  await growth.flush(folder)
  await folder.put('checkpoint', Buffer.from(signed.text))
  await growth.tidy(folder)
  return { ok: true, size }
}
