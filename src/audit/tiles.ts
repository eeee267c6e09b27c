import { hashSize, maxEntry, nodeHash } from './hash.ts'
import type { HashReader } from './proof.ts'

/** Hashes in a full tile, entries in a full bundle (C2SP tlog-tiles). */
export const tileWidth = 256

/** A tile of hashes of level `level`, or a bundle of entries; `width` below 256 is a partial one. */
export type TileName = { readonly level: number | 'entries'; readonly index: number; readonly width: number }

/** Where a tile lies under the log's prefix: `tile/<L>/<N>[.p/<W>]`, N in groups of three digits, `x` before all but the last. */
export function tilePath({ level, index, width }: TileName): string {
  const groups = [String(index % 1000).padStart(3, '0')]
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift('x' + String(rest % 1000).padStart(3, '0'))
  }
  const partial = width === tileWidth ? '' : `.p/${width}`
  return `tile/${level}/${groups.join('/')}${partial}`
}

const shape =
  /^tile\/(entries|[0-9]|[1-5][0-9]|6[0-3])\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/

/** The tile that a path names, or null when no tile has that path. */
export function parseTilePath(path: string): TileName | null {
  const found = shape.exec(path)
  if (found === null) return null
  const index = Number((found[2] ?? '').replaceAll(/[x/]/g, ''))
  const level = found[1] === 'entries' ? 'entries' : Number(found[1])
  const tile: TileName = { level, index, width: found[3] === undefined ? tileWidth : Number(found[3]) }
  return tile.width <= tileWidth && tilePath(tile) === path ? tile : null
}

/** How many hashes of `level` (leaves for `entries`) a tree of `size` leaves has in tile `index`; 0 when it has none. */
export function widthAt(level: number | 'entries', index: number, size: number): number {
  const all = level === 'entries' ? size : Math.floor(size / tileWidth ** level)
  return Math.max(0, Math.min(tileWidth, all - index * tileWidth))
}

/** Entries as a bundle: each after its length as big-endian uint16. Throws `RangeError` when one is too long. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  const bundle = Buffer.alloc(entries.reduce((sum, entry) => sum + 2 + entry.length, 0))
  let at = 0
  for (const entry of entries) {
    if (entry.length > maxEntry) throw new RangeError(`expected an entry of at most ${maxEntry} bytes`)
    at = bundle.writeUInt16BE(entry.length, at)
    bundle.set(entry, at)
    at += entry.length
  }
  return bundle
}

/** The entries of a bundle as views into it. `rest` is what follows the last whole entry; 0 in a sound bundle. */
export function decodeBundle(bundle: Uint8Array): {
  readonly entries: readonly Uint8Array[]
  readonly rest: number
} {
  const entries: Uint8Array[] = []
  let at = 0
  while (at + 2 <= bundle.length) {
    const end = at + 2 + (bundle[at] ?? 0) * 256 + (bundle[at + 1] ?? 0)
    if (end > bundle.length) break
    entries.push(bundle.subarray(at + 2, end))
    at = end
  }
  return { entries, rest: bundle.length - at }
}

/** Loads one tile or bundle of a tree of `size` leaves. Null when it is missing or too short. */
export type TileLoader = (tile: TileName) => Promise<Uint8Array | null>

/**
 * Hashes of complete subtrees, put together from tiles. Rejects when a tile is missing. Believes what it reads:
 * only a proof that leads to a signed root makes it true.
 */
export function tileHashes(load: TileLoader, size: number): HashReader {
  return async (level, index) => {
    const tileLevel = Math.floor(level / 8)
    const span = 2 ** (level % 8)
    const first = index * span
    const name = { level: tileLevel, index: Math.floor(first / tileWidth), width: 0 }
    const tile = await load({ ...name, width: widthAt(tileLevel, name.index, size) })
    const at = (first % tileWidth) * hashSize
    const row = tile?.subarray(at, at + span * hashSize)
    if (row === undefined || row.length !== span * hashSize) {
      throw new RangeError(
        `expected \`${tilePath({ ...name, width: tileWidth })}\` to hold the hash; copy the log again`,
      )
    }
    return foldRow(row)
  }
}

function foldRow(row: Uint8Array): Uint8Array {
  if (row.length === hashSize) return row
  const middle = row.length / 2
  return nodeHash(foldRow(row.subarray(0, middle)), foldRow(row.subarray(middle)))
}
