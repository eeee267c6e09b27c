import { readFileSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { emptyRoot, hashSize, maxEntry, sameBytes } from './hash.ts'
import { Tree } from './tree.ts'
import { decodeBundle, parseTilePath, tilePath, tileWidth, widthAt } from './tiles.ts'
import type { HashTile } from './tree.ts'
import type { TileName } from './tiles.ts'

/** Something in the files that is not as the tree of the entries demands. Sorted out by `verify.ts`. */
export type Difference =
  | { readonly kind: 'leaf'; readonly index: number; readonly entry: Uint8Array }
  | { readonly kind: 'tile'; readonly index: number; readonly path: string }
  | { readonly kind: 'missing'; readonly index: number; readonly path: string }
  | { readonly kind: 'length'; readonly index: number; readonly path: string }

export type Walked = {
  /** How many entries were read; the checkpoint's size when none is missing. */
  readonly size: number
  /** Root over the entries themselves. */
  readonly root: Uint8Array
  /** Roots at the sizes that were asked for, as far as the walk came. */
  readonly roots: ReadonlyMap<number, Uint8Array>
  readonly differences: readonly Difference[]
}

export type WalkSettings = {
  readonly directory: string
  readonly size: number
  /** Sizes whose roots are wanted. */
  readonly marks: readonly number[]
  readonly entry?: (index: number, bytes: Uint8Array) => void
  readonly progress?: (done: number, size: number) => void
}

/** Differences that are kept: after a deletion every later entry differs. */
const most = 64
const largest = tileWidth * (2 + maxEntry)

/**
 * A file of the log, or null when it is missing, unreadable or larger than any file of a log can be. Synchronous: the
 * files are many and small, and waiting for each would take longer than hashing it.
 */
export function readTile(directory: string, path: string): Uint8Array | null {
  try {
    const file = join(directory, path)
    const about = statSync(file, { throwIfNoEntry: false })
    return about === undefined || !about.isFile() || about.size > largest ? null : readFileSync(file)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code !== undefined) return null
    throw error
  }
}

/** The tile that a tree of this size has there; a full tile stands in for a partial one that was completed since. */
export function tileOf(directory: string, tile: TileName): Uint8Array | null {
  const exact = readTile(directory, tilePath(tile))
  return (
    exact ?? (tile.width < tileWidth ? readTile(directory, tilePath({ ...tile, width: tileWidth })) : null)
  )
}

/** Reads all entries in order, hashes them, and compares every tile with what the entries demand. Streams. */
export async function walk(settings: WalkSettings): Promise<Walked> {
  const { size } = settings
  const differences: Difference[] = []
  const note = (difference: Difference): void => {
    if (differences.length < most) differences.push(difference)
  }
  const roots = new Map<number, Uint8Array>([[0, emptyRoot()]])
  const tiles: HashTile[] = []
  const onTile = (tile: HashTile): void => void tiles.push(tile)
  const marks = new Set(settings.marks)
  const state: State = { tree: new Tree(), roots, marks, tiles, onTile, note, settings }
  const bundles = Math.ceil(size / tileWidth)
  for (let index = 0; index < bundles; index++) {
    if (!takeBundle(index, load(settings, index), state)) break
    for (const tile of state.tiles.splice(0)) compare(tile, state)
    if (index % 16 !== 15) continue
    settings.progress?.(state.tree.size, size)
    await setImmediate()
  }
  if (state.tree.size === size) for (const tile of state.tree.edge()) compare(tile, state)
  settings.progress?.(state.tree.size, size)
  return { size: state.tree.size, root: state.tree.root(), roots, differences }
}

type State = {
  readonly tree: Tree
  readonly roots: Map<number, Uint8Array>
  readonly marks: ReadonlySet<number>
  readonly tiles: HashTile[]
  readonly onTile: (tile: HashTile) => void
  readonly note: (difference: Difference) => void
  readonly settings: WalkSettings
}

type Loaded = {
  readonly bundle: Uint8Array | null
  readonly hashes: Uint8Array | null
  readonly width: number
}

function load({ directory, size }: WalkSettings, index: number): Loaded {
  const width = widthAt('entries', index, size)
  const bundle = tileOf(directory, { level: 'entries', index, width })
  return { bundle, hashes: tileOf(directory, { level: 0, index, width }), width }
}

/** False when the entries of this bundle are not all there: what follows could not be counted. */
function takeBundle(index: number, { bundle, hashes, width }: Loaded, state: State): boolean {
  const { tree, note, settings } = state
  const path = tilePath({ level: 'entries', index, width })
  if (bundle === null) note({ kind: 'missing', index: tree.size, path })
  if (hashes === null) note({ kind: 'missing', index: tree.size, path: tilePath({ level: 0, index, width }) })
  if (bundle === null) return false
  const { entries, rest } = decodeBundle(bundle)
  const count = Math.min(entries.length, width)
  for (let i = 0; i < count; i++) {
    const entry = entries[i] ?? bundle
    const at = tree.size
    tree.add(entry, state.onTile)
    if (hashes !== null && !tree.newestIs(hashes, i * hashSize))
      note({ kind: 'leaf', index: at, entry: Uint8Array.from(entry) })
    settings.entry?.(at, entry)
    if (state.marks.has(tree.size)) state.roots.set(tree.size, tree.root())
  }
  // A full bundle may stand in for a partial one, so that more entries than asked for are no difference by themselves.
  const whole = entries.length === width || entries.length === tileWidth
  if (!whole || rest !== 0)
    note({ kind: 'length', index: index * tileWidth + Math.min(entries.length, width), path })
  return entries.length >= width
}

/** Level 0 has been compared hash by hash, but for its length. */
function compare({ level, index, bytes }: HashTile, { settings, note }: State): void {
  const tile = { level, index, width: bytes.length / hashSize }
  const found = tileOf(settings.directory, tile)
  const first = index * tileWidth ** (level + 1)
  if (found === null && level > 0) note({ kind: 'missing', index: first, path: tilePath(tile) })
  if (found === null) return
  const sound = found.length === bytes.length || found.length === tileWidth * hashSize
  const same = level === 0 || sameBytes(found.subarray(0, bytes.length), bytes)
  if (!sound || !same) note({ kind: 'tile', index: first, path: tilePath(tile) })
}

/** Root over the hashes that the level 0 tiles hold: what the log was before its entries were changed, if they were. */
export function rootOfTiles(directory: string, size: number): Uint8Array | null {
  const tree = new Tree()
  for (let index = 0; tree.size < size; index++) {
    const width = widthAt(0, index, size)
    const tile = tileOf(directory, { level: 0, index, width })
    if (tile === null || tile.length < width * hashSize) return null
    for (let i = 0; i < width; i++) tree.addHash(tile.subarray(i * hashSize, (i + 1) * hashSize))
  }
  return tree.root()
}

export type Strays = {
  /** Older partial tiles, or full tiles beside partial ones, that say something else than the tile that was checked. */
  readonly differences: readonly Difference[]
  /** Tiles of a longer log than the checkpoint's. */
  readonly ahead: number
  readonly unknown: number
}

/** Looks at every file that the walk did not: none may contradict the log. */
export async function strays(directory: string, size: number): Promise<Strays> {
  const differences: Difference[] = []
  let ahead = 0
  let unknown = 0
  for (const file of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (file.isDirectory()) continue
    const path = join(file.parentPath, file.name).slice(join(directory, sep).length).replaceAll(sep, '/')
    const tile = parseTilePath(path)
    if (tile === null) {
      if (path !== 'checkpoint' && !file.name.endsWith('.tmp')) unknown++
      continue
    }
    const width = widthAt(tile.level, tile.index, size)
    if (tile.width > width) ahead++
    if (width === 0 || tile.width === width) continue
    const index = tile.index * tileWidth ** (tile.level === 'entries' ? 1 : tile.level + 1)
    if (!agrees(directory, tile, { ...tile, width })) differences.push({ kind: 'tile', index, path })
    if (differences.length >= most) break
  }
  return { differences, ahead, unknown }
}

/** Whether two tiles of different width for one place begin alike, and the one in question is as wide as its name says. */
function agrees(directory: string, tile: TileName, checked: TileName): boolean {
  const bytes = readTile(directory, tilePath(tile))
  const sound = tileOf(directory, checked)
  if (bytes === null) return false
  const length = Math.min(bytes.length, sound?.length ?? 0)
  const wide = tile.level === 'entries' ? wideBundle(bytes) : bytes.length / hashSize
  return (
    wide === tile.width && sound !== null && sameBytes(bytes.subarray(0, length), sound.subarray(0, length))
  )
}

function wideBundle(bytes: Uint8Array): number {
  const { entries, rest } = decodeBundle(bytes)
  return rest === 0 ? entries.length : -1
}
