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
  let best: Buffer = Buffer.from(input)
  let left = tries
  const attempt = async (candidate: Buffer): Promise<boolean> => {
    if (left <= 0) return false
    left -= 1
    if (!(await fails(candidate))) return false
    best = candidate
    return true
  }
  if (!(await attempt(best))) return input
  for (
    let size = Math.ceil(best.length / 2);
    size >= 1 && left > 0;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let at = 0; at < best.length && left > 0;) {
      const without = Buffer.concat([best.subarray(0, at), best.subarray(at + size)])
      if (!(await attempt(without))) at += size
    }
  }
  for (let at = 0; at < best.length && left > 0; at++) {
    if (best[at] === 0x61 || (best[at] ?? 0) < 0x80) continue
    const plainer = Buffer.from(best)
    plainer[at] = 0x61
    await attempt(plainer)
  }
  return best
}
