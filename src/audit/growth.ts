import { setImmediate } from 'node:timers/promises'
import { hashSize, sameBytes } from './hash.ts'
import { Tree } from './tree.ts'
import { encodeBundle, tilePath, tileWidth } from './tiles.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { Folder } from './folder.ts'
import type { HashTile } from './tree.ts'
import type { LogStore } from '../store/ports.ts'

export type LogReader = Pick<LogStore, 'read'>
type Head = Pick<Checkpoint, 'size' | 'root'>

/** Why the store's entries cannot be what was signed, or cannot be signed. */
export type GrowthProblem = {
  readonly problem: 'gap' | 'leaf-differs' | 'not-consistent'
  /** First entry that it was seen at; for `not-consistent` the size that was signed. */
  readonly index: number
}

export function describeGrowthProblem({ problem, index }: GrowthProblem): string {
  switch (problem) {
    case 'gap':
      return `entry ${index} is missing`
    case 'leaf-differs':
      return `entry ${index} has changed since it was written`
    case 'not-consistent':
      return `the first ${index} entries are not those that were signed; run \`audit verify\` on a copy`
  }
}

/** Longest stretch of work between two turns of the event loop, in milliseconds: calls are served by the same thread. */
const stretch = 4

/**
 * A tree that grows from the store's entries and writes what it completes. Keeps the entries of the last, partial
 * bundle, so that what is published is what was hashed, even if the store changed meanwhile.
 */
export class Growth {
  readonly #tree: Tree
  #bundle: Uint8Array[]
  #complete: string[] = []

  constructor(tree: Tree = new Tree(), bundle: readonly Uint8Array[] = []) {
    this.#tree = tree
    this.#bundle = [...bundle]
  }

  get size(): number {
    return this.#tree.size
  }

  root(): Uint8Array {
    return this.#tree.root()
  }

  copy(): Growth {
    return new Growth(this.#tree.copy(), this.#bundle)
  }

  /** Reads and adds entries up to `to`, a bundle at a time; complete tiles go to `folder`, or nowhere when it is null. */
  async grow(log: LogReader, to: number, folder: Folder | null): Promise<GrowthProblem | null> {
    let since = performance.now()
    while (this.#tree.size < to) {
      const from = this.#tree.size
      const entries = await log.read(from, Math.min(tileWidth - (from % tileWidth), to - from))
      if (entries.length === 0) return { problem: 'gap', index: from }
      const tiles: HashTile[] = []
      for (const entry of entries) {
        const index = this.#tree.size
        if (entry.index !== index) return { problem: 'gap', index }
        this.#tree.add(entry.bytes, (tile) => tiles.push(tile))
        // The stored leaf is never trusted, only compared: a difference means that bytes changed after they were written.
        if (entry.leaf.length !== hashSize || !this.#tree.newestIs(entry.leaf, 0))
          return { problem: 'leaf-differs', index }
        this.#bundle.push(entry.bytes)
      }
      if (this.#tree.size % tileWidth === 0) await this.#completed(tiles, folder)
      if (performance.now() - since < stretch) continue
      await setImmediate()
      since = performance.now()
    }
    return null
  }

  /** Grows through each head, shortest first; the root there must be the head's. Shorter heads than the tree are skipped. */
  async pass(log: LogReader, heads: readonly Head[], folder: Folder | null): Promise<GrowthProblem | null> {
    for (const { size, root } of heads) {
      if (size < this.size) continue
      const problem = await this.grow(log, size, folder)
      if (problem !== null) return problem
      if (!sameBytes(this.root(), root)) return { problem: 'not-consistent', index: size }
    }
    return null
  }

  /** Writes the partial tiles and the partial bundle that a checkpoint of this size needs. */
  async flush(folder: Folder): Promise<void> {
    if (this.#bundle.length > 0) {
      const index = Math.floor(this.size / tileWidth)
      const path = tilePath({ level: 'entries', index, width: this.#bundle.length })
      await folder.put(path, encodeBundle(this.#bundle))
    }
    for (const tile of this.#tree.edge()) await folder.put(pathOf(tile), tile.bytes)
  }

  /** Removes partial tiles whose full tile is there; only after the checkpoint, as older ones may still need them. */
  async tidy(folder: Folder): Promise<void> {
    const paths = this.#complete
    this.#complete = []
    for (const path of paths) await folder.drop(`${path}.p`)
  }

  async #completed(tiles: readonly HashTile[], folder: Folder | null): Promise<void> {
    const bundle = this.#bundle
    this.#bundle = []
    if (folder === null) return
    const path = tilePath({ level: 'entries', index: this.size / tileWidth - 1, width: tileWidth })
    await folder.put(path, encodeBundle(bundle))
    for (const tile of tiles) await folder.put(pathOf(tile), tile.bytes)
    this.#complete.push(path, ...tiles.map(pathOf))
  }
}

const pathOf = ({ level, index, bytes }: HashTile): string =>
  tilePath({ level, index, width: bytes.length / hashSize })
