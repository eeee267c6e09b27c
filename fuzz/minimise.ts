import type { Input } from './target.ts'

/**
 * Makes a failing input small: leaves out ever smaller pieces as long as what remains `fails` in the same way, then
 * makes single bytes plain. `tries` bounds the work; what cannot be repeated stays as it was.
 */
export async function minimise(
  input: Input,
  fails: (input: Input) => Promise<boolean>,
  tries = 400,
): Promise<Input> {
  const state: { best: Buffer; left: number } = { best: Buffer.from(input), left: tries }
  const attempt = async (candidate: Buffer): Promise<boolean> => {
    if (state.left <= 0) return false
    state.left -= 1
    if (!(await fails(candidate))) return false
    state.best = candidate
    return true
  }
  if (!(await attempt(state.best))) return input
  for (let size = half(state.best.length); size >= 1 && state.left > 0; size = size === 1 ? 0 : half(size)) {
    for (let at = 0; at < state.best.length && state.left > 0;) {
      const { best } = state
      const without = Buffer.concat([best.subarray(0, at), best.subarray(at + size)])
      if (!(await attempt(without))) at += size
    }
  }
  for (let at = 0; at < state.best.length && state.left > 0; at++) {
    if ((state.best[at] ?? 0) < 0x80) continue
    const plainer = Buffer.from(state.best)
    plainer[at] = 0x61
    await attempt(plainer)
  }
  return state.best
}

const half = (size: number): number => Math.ceil(size / 2)
