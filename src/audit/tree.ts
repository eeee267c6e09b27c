import { createHasher, emptyRoot, hashSize, nodeHash } from './hash.ts'
import { tileWidth } from './tiles.ts'
import type { Hasher } from './hash.ts'

/** A tile of hashes that is complete, or the right edge of the tree. `bytes` is a copy. */
export type HashTile = { readonly level: number; readonly index: number; readonly bytes: Uint8Array }

type Level = { count: number; readonly tile: Buffer }

/**
 * The growing Merkle tree (RFC 6962 section 2.1). Keeps only the right edge of each level of tiles (8 KiB a level),
 * however long the log is; complete tiles are handed to `onTile` once and forgotten.
 */
export class Tree {
  #size = 0
  readonly #levels: Level[] = []
  readonly #hasher: Hasher = createHasher()

  get size(): number {
    return this.#size
  }

  /** Adds an entry's bytes as the next leaf. */
  add(entry: Uint8Array, onTile?: (tile: HashTile) => void): void {
    const level = this.#level(0)
    this.#hasher.leaf(entry, level.tile, (level.count % tileWidth) * hashSize)
    this.#filled(0, onTile)
  }

  /** Adds a leaf hash that stands in a tile: what a tree made of tiles alone would be. */
  addHash(hash: Uint8Array): void {
    const level = this.#level(0)
    level.tile.set(hash, (level.count % tileWidth) * hashSize)
    this.#filled(0)
  }

  /** The hash of the newest leaf, as a view that the next one may overwrite. */
  newest(): Uint8Array {
    const at = ((this.#size - 1) % tileWidth) * hashSize
    return this.#level(0).tile.subarray(at, at + hashSize)
  }

  /** Whether that hash stands in `bytes` at `at`. A view of 32 bytes costs ten times as much as a look at each. */
  newestIs(bytes: Uint8Array, at: number): boolean {
    const { tile } = this.#level(0)
    const from = ((this.#size - 1) % tileWidth) * hashSize
    for (let i = 0; i < hashSize; i++) if (bytes[at + i] !== tile[from + i]) return false
    return true
  }

  root(): Uint8Array {
    let root: Uint8Array | null = null
    for (const { count, tile } of this.#levels) {
      // The edge of a level as complete subtrees, largest first; each joins what stands to the right of it.
      let end = count % tileWidth
      for (let span = 1; span < tileWidth; span *= 2) {
        if (Math.floor(end / span) % 2 === 0) continue
        const peak = fold(tile.subarray((end - span) * hashSize, end * hashSize))
        root = root === null ? peak : nodeHash(peak, root)
        end -= span
      }
    }
    return root ?? emptyRoot()
  }

  /** The partial tiles at the right edge; a level whose last tile is complete has none. */
  edge(): HashTile[] {
    return this.#levels.flatMap(({ count, tile }, level) => {
      const width = count % tileWidth
      const bytes = Uint8Array.from(tile.subarray(0, width * hashSize))
      return width === 0 ? [] : [{ level, index: Math.floor(count / tileWidth), bytes }]
    })
  }

  /** A second tree that grows on its own from here. */
  copy(): Tree {
    const tree = new Tree()
    tree.#size = this.#size
    for (const { count, tile } of this.#levels) tree.#levels.push({ count, tile: Buffer.from(tile) })
    return tree
  }

  #level(index: number): Level {
    const level = this.#levels[index] ?? { count: 0, tile: Buffer.alloc(tileWidth * hashSize) }
    if (index === this.#levels.length) this.#levels.push(level)
    return level
  }

  #filled(index: number, onTile?: (tile: HashTile) => void): void {
    if (index === 0) this.#size++
    const level = this.#level(index)
    level.count++
    if (level.count % tileWidth !== 0) return
    onTile?.({ level: index, index: level.count / tileWidth - 1, bytes: Uint8Array.from(level.tile) })
    const up = this.#level(index + 1)
    this.#reduce(level.tile, up.tile, (up.count % tileWidth) * hashSize)
    this.#filled(index + 1, onTile)
  }

  /** The root of a full tile into its place in the level above. Eats the tile's left half: it is complete and handed out. */
  #reduce(tile: Buffer, into: Buffer, at: number): void {
    for (let width = tileWidth; width > 1; width /= 2) {
      for (let i = 0; i < width; i += 2) this.#hasher.node(tile, i * hashSize, tile, (i / 2) * hashSize)
    }
    into.set(tile.subarray(0, hashSize), at)
  }
}

function fold(row: Uint8Array): Uint8Array {
  if (row.length === hashSize) return row
  const middle = row.length / 2
  return nodeHash(fold(row.subarray(0, middle)), fold(row.subarray(middle)))
}
