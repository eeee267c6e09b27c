import { changes } from './changes.ts'
import type { ChangeName } from './changes.ts'
import { StoreConflict, StoreMoved } from './conflict.ts'
import { StoreUnavailable } from './ports.ts'
import type { Verb } from './query.ts'

/**
 * Group commit is the same in every engine: many changes share one transaction. They run together, bare; when one of
 * them throws, all are undone and run again apart, each behind a savepoint, so that it fails alone. Savepoints for all
 * would double the cost, and hardly any change throws.
 */
export type Job = { readonly id: number; readonly name: ChangeName; readonly input: unknown }

/** So many changes at most in one transaction: bounds how long the first of them waits for its answer. */
export const maxBatch = 256

/** `conflict`, `moved` and `fault` undid the one change; `unavailable` undid or lost the whole batch. */
export type Reply =
  | { readonly id: number; readonly kind: 'done'; readonly value: unknown }
  | {
      readonly id: number
      readonly kind: 'conflict' | 'moved' | 'fault' | 'unavailable'
      readonly message: string
    }

/** Name and input come from `Engine.change`, which pairs them by type; the way to the engine loses that. */
export const start = (job: Job): Verb<unknown> =>
  (changes[job.name] as (input: unknown) => Verb<unknown>)(job.input)

/** The reply to a change that threw something of its own. */
export const failed = (job: Job, error: unknown): Reply => ({
  id: job.id,
  kind: kindOf(error),
  message: describeError(error),
})

export const unavailable = ({ id }: Job, message: string): Reply => ({ id, kind: 'unavailable', message })

function kindOf(error: unknown): 'moved' | 'conflict' | 'fault' {
  if (error instanceof StoreMoved) return 'moved'
  return error instanceof StoreConflict ? 'conflict' : 'fault'
}

export const describeError = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)

export const toError = (reply: Exclude<Reply, { kind: 'done' }>): Error => {
  switch (reply.kind) {
    case 'moved':
      return new StoreMoved(reply.message)
    case 'conflict':
      return new StoreConflict(reply.message)
    case 'unavailable':
      return new StoreUnavailable(reply.message)
    case 'fault':
      return new Error(`the store failed at one change and undid it: ${reply.message}`)
  }
}
