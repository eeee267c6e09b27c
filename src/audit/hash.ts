import { hash } from 'node:crypto'

/** Bytes of one hash: the tree is over SHA-256 (RFC 6962 section 2.1). */
export const hashSize = 32

/** The most that a C2SP entry bundle can hold in one entry: its length is a big-endian uint16. */
export const maxEntry = 65_535

export const sha256 = (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer')

/** Root of the tree without leaves (RFC 6962 section 2.1). */
export const emptyRoot = (): Uint8Array => sha256(new Uint8Array(0))

/** SHA-256(0x00 ‖ entry). The prefix keeps an entry from posing as an inner node of the tree. */
export function leafHash(entry: Uint8Array): Uint8Array {
  const input = new Uint8Array(entry.length + 1)
  input.set(entry, 1)
  return sha256(input)
}

/** SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  const input = new Uint8Array(1 + 2 * hashSize)
  input[0] = 1
  input.set(left, 1)
  input.set(right, 1 + hashSize)
  return sha256(input)
}

/** Constant time does not matter here: every hash of a log is public. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

/** Hashes into a place that the caller owns, over scratch of its own: three times as fast for whole logs. */
export type Hasher = {
  /** Writes the leaf hash of `entry` into `into` at `at`. */
  leaf(entry: Uint8Array, into: Buffer, at: number): void
  /** Writes the hash over the two hashes that stand side by side in `from` at `pair`. */
  node(from: Buffer, pair: number, into: Buffer, at: number): void
}

export function createHasher(): Hasher {
  const leaf = Buffer.alloc(maxEntry + 1)
  const node = Buffer.alloc(1 + 2 * hashSize)
  node[0] = 1
  // A digest as a string of bytes spares the allocation of a buffer for each hash.
  return {
    leaf: (entry, into, at) => {
      if (entry.length > maxEntry) throw new RangeError(`expected an entry of at most ${maxEntry} bytes`)
      leaf.set(entry, 1)
      put(hash('sha256', leaf.subarray(0, entry.length + 1), 'binary'), into, at)
    },
    node: (from, pair, into, at) => {
      for (let i = 0; i < 2 * hashSize; i++) node[1 + i] = from[pair + i] ?? 0
      put(hash('sha256', node, 'binary'), into, at)
    },
  }
}

/** For so few bytes a loop is several times as fast as a view or a call that writes them. */
function put(digest: string, into: Buffer, at: number): void {
  for (let i = 0; i < hashSize; i++) into[at + i] = digest.charCodeAt(i)
}
