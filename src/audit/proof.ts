import { emptyRoot, nodeHash, sameBytes } from './hash.ts'

/**
 * Gives the hash of the complete subtree of 2^level leaves that starts at leaf index · 2^level. Rejects when it is
 * not available; whatever it gives is only believed once a proof made of it leads to a signed root.
 */
export type HashReader = (level: number, index: number) => Promise<Uint8Array>

export type Proof = readonly Uint8Array[]

/** Sizes go up to 2^53-1, beyond what bit operations on numbers can do: all arithmetic here is by division. */
const isEven = (n: number): boolean => n % 2 === 0
const half = (n: number): number => Math.floor(n / 2)

/** The largest power of two that is smaller than `n`, and its exponent. `n` is at least 2. */
function split(n: number): { readonly k: number; readonly level: number } {
  let k = 1
  let level = 0
  while (k * 2 < n) {
    k *= 2
    level++
  }
  return { k, level }
}

/** Root of the leaves `[from, to)`, where `from` is where a subtree begins (RFC 6962 section 2.1, MTH). */
export async function rangeHash(read: HashReader, from: number, to: number): Promise<Uint8Array> {
  const n = to - from
  if (n === 0) return emptyRoot()
  if (n === 1) return read(0, from)
  const { k, level } = split(n)
  if (k * 2 === n) return read(level + 1, from / n)
  return nodeHash(await read(level, from / k), await rangeHash(read, from + k, to))
}

/** Audit path of a leaf, from the leaf's sibling upward (RFC 6962 section 2.1.1). Throws `RangeError` outside the tree. */
export async function inclusionProof(read: HashReader, index: number, size: number): Promise<Proof> {
  if (!(index >= 0 && index < size)) throw new RangeError(`expected an index below the size \`${size}\``)
  const down: Uint8Array[] = []
  let from = 0
  let to = size
  while (to - from > 1) {
    const middle = from + split(to - from).k
    if (index < middle) {
      down.push(await rangeHash(read, middle, to))
      to = middle
    } else {
      down.push(await rangeHash(read, from, middle))
      from = middle
    }
  }
  return down.reverse()
}

/** Proof that the tree of `to` leaves begins with the tree of `from` leaves (RFC 6962 section 2.1.2). */
export async function consistencyProof(read: HashReader, from: number, to: number): Promise<Proof> {
  if (!(from >= 0 && from <= to))
    throw new RangeError(`expected an old size of at most the new size \`${to}\``)
  if (from === 0 || from === to) return []
  const down: Uint8Array[] = []
  let low = 0
  let high = to
  let whole = true
  while (from < high) {
    const middle = low + split(high - low).k
    if (from <= middle) {
      down.push(await rangeHash(read, middle, high))
      high = middle
    } else {
      down.push(await rangeHash(read, low, middle))
      low = middle
      whole = false
    }
  }
  // The old tree is one whole subtree of the new one: its root is known to who asks.
  if (!whole) down.push(await rangeHash(read, low, high))
  return down.reverse()
}

export type Inclusion = {
  readonly leaf: Uint8Array
  readonly index: number
  readonly size: number
  readonly root: Uint8Array
  readonly proof: Proof
}

/** Whether `leaf` stands at `index` in the tree of this size and root (RFC 9162 section 2.1.3.2). */
export function verifyInclusion({ leaf, index, size, root, proof }: Inclusion): boolean {
  if (!(Number.isSafeInteger(index) && Number.isSafeInteger(size) && index >= 0 && index < size)) return false
  let place = index
  let last = size - 1
  let hash = leaf
  for (const sibling of proof) {
    if (last === 0) return false
    if (!isEven(place) || place === last) {
      hash = nodeHash(sibling, hash)
      while (isEven(place) && place !== 0) {
        place = half(place)
        last = half(last)
      }
    } else hash = nodeHash(hash, sibling)
    place = half(place)
    last = half(last)
  }
  return last === 0 && sameBytes(hash, root)
}

export type Consistency = {
  readonly from: number
  readonly to: number
  readonly oldRoot: Uint8Array
  readonly newRoot: Uint8Array
  readonly proof: Proof
}

/** Whether the newer tree only added leaves to the older one (RFC 9162 section 2.1.4.2). */
export function verifyConsistency({ from, to, oldRoot, newRoot, proof }: Consistency): boolean {
  if (!(Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && from <= to)) return false
  if (from === 0) return proof.length === 0 && sameBytes(oldRoot, emptyRoot())
  if (from === to) return proof.length === 0 && sameBytes(oldRoot, newRoot)
  let place = from - 1
  let last = to - 1
  while (!isEven(place)) {
    place = half(place)
    last = half(last)
  }
  const hashes = [...proof]
  // A subtree that is whole in both trees begins the proof; when it is the old tree itself, its root is implied.
  const first = place === 0 ? oldRoot : hashes.shift()
  if (first === undefined) return false
  let older = first
  let newer = first
  for (const sibling of hashes) {
    if (last === 0) return false
    if (!isEven(place) || place === last) {
      older = nodeHash(sibling, older)
      newer = nodeHash(sibling, newer)
      while (isEven(place) && place !== 0) {
        place = half(place)
        last = half(last)
      }
    } else newer = nodeHash(newer, sibling)
    place = half(place)
    last = half(last)
  }
  return last === 0 && sameBytes(older, oldRoot) && sameBytes(newer, newRoot)
}
