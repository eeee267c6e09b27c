/** Small arithmetic over measurements. */

export const sorted = (values: readonly number[]): readonly number[] => values.toSorted((a, b) => a - b)

/** The value below which `share` of the measurements lie; 0 for none. */
export function percentile(values: readonly number[], share: number): number {
  const all = sorted(values)
  return all[Math.min(all.length - 1, Math.floor(all.length * share))] ?? 0
}

export const median = (values: readonly number[]): number => percentile(values, 0.5)

export const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0)

/** Four significant digits: more would be noise. */
export const short = (value: number): number => Number(value.toPrecision(4))

/** How long `work` takes, in milliseconds. */
export async function timed<T>(
  work: () => Promise<T> | T,
): Promise<{ readonly value: T; readonly ms: number }> {
  const start = performance.now()
  const value = await work()
  return { value, ms: performance.now() - start }
}

/** What one of many equal steps takes on this thread, in microseconds; a quarter of the steps warms up. */
export function each(steps: number, step: (index: number) => unknown): number {
  for (let i = 0; i < steps / 4; i++) step(i)
  const start = performance.now()
  for (let i = 0; i < steps; i++) step(i)
  return ((performance.now() - start) * 1000) / steps
}

/** The same for steps that wait. */
export async function eachAwaited(steps: number, step: (index: number) => Promise<unknown>): Promise<number> {
  for (let i = 0; i < steps / 4; i++) await step(i)
  const start = performance.now()
  for (let i = 0; i < steps; i++) await step(i)
  return ((performance.now() - start) * 1000) / steps
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
