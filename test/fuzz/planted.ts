import type { Entry, Target } from '../../fuzz/target.ts'

/** Targets with faults that are known, by which the fuzzer itself is judged. */
const letters = Array.from('BFKPSUXZ')

const planted = (run: Target['run']): Target => ({
  atOnce: 1,
  most: 8,
  words: letters,
  seeds: [Buffer.from('aaaa')],
  run,
})

/** Each right letter is a block of its own: found one after the other, or never. */
function deep(input: Uint8Array): void {
  if (input[0] !== 0x46) return
  if (input[1] !== 0x55) return
  if (input[2] === 0x5a) throw new Error('found')
}

function hangs(input: Uint8Array): void {
  while (input[0] === 0x58) input.at(0)
}

function strays(input: Uint8Array): void {
  if (input[0] === 0x58) void Promise.reject(new Error('nobody waits for this'))
}

export const entry = (name: string, run: Target['run']): Entry => ({
  name,
  about: 'planted',
  share: 1,
  slowMs: 5_000,
  open: async () => planted(run),
})

export const targets: readonly Entry[] = [entry('deep', deep), entry('hangs', hangs), entry('strays', strays)]
