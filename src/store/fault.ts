import type { ChangeName } from './changes.ts'

/**
 * Faults that a test injects into the writer, at the moments that matter: nothing is written yet, everything is
 * written but not answered, the commit itself fails. The key is a symbol, so that no configuration can name it.
 */
export const injectStoreFault: unique symbol = Symbol('inject a fault into the store (tests only)')

/** Where it strikes: in a batch, or in the batch that holds the nth change of a name. Both are counted from 1. */
export type Aim = { readonly batch: number } | { readonly change: ChangeName; readonly nth: number }

export type StoreFault = Aim & {
  readonly at: 'before-commit' | 'commit' | 'after-commit'
  /**
   * `die` ends the writer, `kill` the whole process at once; `full` passes (a disk without room), `io-error` does not;
   * `hang` never answers; `hold` waits there until the test lets go (`trigger` becomes 0).
   */
  readonly how: 'die' | 'kill' | 'io-error' | 'full' | 'hang' | 'hold'
  /**
   * One number in shared memory: 0, the fault sleeps and counts nothing; 1, it is armed; -1, it has struck. Without it
   * the fault is armed from the beginning and strikes once.
   */
  readonly trigger?: Int32Array<SharedArrayBuffer>
}

export type StoreFaults = StoreFault | readonly StoreFault[]

type Named = { readonly name: ChangeName }

/** Told the names in each batch, in order; gives the faults that strike in this one. */
export function aiming(faults: StoreFaults): (batch: readonly Named[]) => readonly StoreFault[] {
  const all = [faults].flat().map((fault) => ({ fault, hits: aimed(fault) }))
  return (batch) => all.flatMap(({ fault, hits }) => (isArmed(fault) && hits(batch) ? [fault] : []))
}

const isArmed = ({ trigger }: StoreFault): boolean => trigger === undefined || Atomics.load(trigger, 0) === 1

/** Says to whoever armed the fault that it strikes now. */
export function tellStruck({ trigger }: StoreFault): void {
  if (trigger === undefined) return
  Atomics.store(trigger, 0, -1)
  Atomics.notify(trigger, 0)
}

function aimed(aim: Aim): (batch: readonly Named[]) => boolean {
  let batches = 0
  let changes = 0
  return (batch) => {
    batches += 1
    if ('batch' in aim) return batches === aim.batch
    const before = changes
    changes += batch.filter(({ name }) => name === aim.change).length
    return before < aim.nth && aim.nth <= changes
  }
}
