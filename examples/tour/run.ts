import { Broken, type Beat, type Step } from './step.ts'
import type { Scene } from './scene.ts'

/** Hears what happens, as it happens. */
export type Teller = {
  begun(number: number, step: Step): void
  beat(beat: Beat): void
  /** `problem` is null when the step held all that it says. */
  ended(number: number, step: Step, problem: string | null): void
}

/** No step takes longer, whatever hangs. Milliseconds. */
const longest = 40_000

/** Plays the steps in order; the first that is broken ends the day, as those after it build on it. True when all held. */
export async function play(
  steps: readonly Step[],
  {
    scene,
    teller,
    longestMs = longest,
  }: { readonly scene: Scene; readonly teller: Teller; readonly longestMs?: number },
): Promise<boolean> {
  for (const [index, step] of steps.entries()) {
    teller.begun(index + 1, step)
    const problem = await playOne(step, { scene, teller, longestMs })
    teller.ended(index + 1, step, problem)
    if (problem !== null) return false
  }
  return true
}

async function playOne(
  step: Step,
  {
    scene,
    teller,
    longestMs,
  }: { readonly scene: Scene; readonly teller: Teller; readonly longestMs: number },
): Promise<string | null> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Broken(`expected it to be over within ${longestMs / 1000} seconds`)), longestMs) // prettier-ignore
  const faults = scene.faults.length
  try {
    const played = step.play(scene, (beat) => teller.beat(beat))
    played.catch(() => undefined)
    await Promise.race([played, late])
    const [fault] = scene.faults.slice(faults)
    return fault === undefined ? null : `expected no fault in the broker, found ${worded(fault)}`
  } catch (problem) {
    return worded(problem)
  } finally {
    clearTimeout(timer)
  }
}

/** A `Broken` says what was expected; anything else is what went wrong underneath. */
export const worded = (problem: unknown): string =>
  problem instanceof Broken
    ? problem.message
    : problem instanceof Error
      ? `${problem.name}: ${problem.message}`
      : String(problem)
