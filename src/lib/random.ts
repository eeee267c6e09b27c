import { randomFillSync } from 'node:crypto'

/** Asking the system's generator costs the same for 32 bytes as for thousands, and a call needs several small pieces. */
const poolBytes = 8192
/** Larger pieces are rare and get their own. */
const largest = 256

/**
 * Small pieces of the system's randomness, fetched many at a time as Node's own `randomUUID` does. Each byte is handed
 * out once and wiped from the pool; each piece is an array of its own and exactly its size, so that sending it to
 * another thread carries nothing else across. The pool lives as long as the process and is never written anywhere.
 */
export function createDraw(): (count: number) => Uint8Array<ArrayBuffer> {
  const pool = new Uint8Array(poolBytes)
  let at = poolBytes
  return (count) => {
    if (count > largest) return randomFillSync(new Uint8Array(count))
    if (at + count > poolBytes) {
      randomFillSync(pool)
      at = 0
    }
    const drawn = pool.slice(at, at + count)
    pool.fill(0, at, at + count)
    at += count
    return drawn
  }
}

/** Of this thread. Names and salts come from here; keys and nonces ask the system themselves. */
export const draw = createDraw()
