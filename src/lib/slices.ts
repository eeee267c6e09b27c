import { setImmediate } from 'node:timers/promises'

/** A long piece of work that says, between its steps, where it may pause. */
export type Sliced<Result> = Generator<undefined, Result>

/** Longest stretch between two turns of the event loop, in milliseconds: calls are served by the same thread. */
const stretch = 4

/** Runs it in stretches; between them everything else goes on. What it reads must not change meanwhile. */
export async function inSlices<Result>(work: Sliced<Result>): Promise<Result> {
  let since = performance.now()
  let step = work.next()
  while (step.done !== true) {
    if (performance.now() - since >= stretch) {
      await setImmediate()
      since = performance.now()
    }
    step = work.next()
  }
  return step.value
}

/** Runs it without a pause, where it is known to be short. */
export function atOnce<Result>(work: Sliced<Result>): Result {
  let step = work.next()
  while (step.done !== true) step = work.next()
  return step.value
}
