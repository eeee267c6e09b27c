import { readIfThere } from './folder.ts'
import { openCheckpoint } from './checkpoint.ts'
import { hashSize, leafHash } from './hash.ts'
import { fromBase64, parseVkey } from './note.ts'
import { inclusionProof, verifyInclusion } from './proof.ts'
import { decodeBundle, tileHashes, tilePath, tileWidth, widthAt } from './tiles.ts'
import { join } from 'node:path'
import type { Checkpoint } from './checkpoint.ts'
import type { Proof } from './proof.ts'
import type { TileLoader } from './tiles.ts'

const first = 'c2sp.org/tlog-proof@v1'

/** An entry and the file that proves it (C2SP tlog-proof). The text alone is enough: `extra` carries the entry. */
export type Receipt = { readonly index: number; readonly entry: Uint8Array; readonly text: string }

export type Receipted =
  | { readonly ok: true; readonly receipt: Receipt }
  | { readonly ok: false; readonly problem: 'not-published' | 'damaged'; readonly detail: string }

/** Makes the receipt of one entry from a published folder. Checks its own proof before it hands it out. */
export async function makeReceipt(from: {
  readonly directory: string
  readonly index: number
}): Promise<Receipted> {
  const { directory, index } = from
  const text = (await readIfThere(join(directory, 'checkpoint')))?.toString() ?? ''
  const opened = openCheckpoint(text, null)
  if (!opened.ok || !Number.isSafeInteger(index) || index < 0 || index >= opened.checkpoint.size) {
    return {
      ok: false,
      problem: 'not-published',
      detail: `entry ${index} is not in a published checkpoint yet`,
    }
  }
  const { size, root } = opened.checkpoint
  const load = tilesIn(directory)
  const bundle = Math.floor(index / tileWidth)
  const bytes = await load({ level: 'entries', index: bundle, width: widthAt('entries', bundle, size) })
  const entry = bytes === null ? undefined : decodeBundle(bytes).entries[index % tileWidth]
  const proof = await proofFrom(load, index, size)
  if (
    entry === undefined ||
    proof === null ||
    !verifyInclusion({ leaf: leafHash(entry), index, size, root, proof })
  ) {
    return {
      ok: false,
      problem: 'damaged',
      detail: `the folder does not prove entry ${index}; run \`audit verify\``,
    }
  }
  const hashes = proof.map((hash) => Buffer.from(hash).toString('base64'))
  const extra = Buffer.from(entry).toString('base64')
  const lines = [first, `extra ${extra}`, `index ${index}`, ...hashes, '', text]
  return { ok: true, receipt: { index, entry: Uint8Array.from(entry), text: lines.join('\n') } }
}

/** Null when a tile is missing or too short. */
async function proofFrom(load: TileLoader, index: number, size: number): Promise<Proof | null> {
  try {
    return await inclusionProof(tileHashes(load, size), index, size)
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

/** Tiles in a folder; the full tile stands in for a partial one that has been completed since. */
export function tilesIn(directory: string): TileLoader {
  return async (tile) => {
    const exact = await readIfThere(join(directory, tilePath(tile)))
    return exact ?? (await readIfThere(join(directory, tilePath({ ...tile, width: tileWidth }))))
  }
}

export type VerifiedReceipt =
  | { readonly ok: true; readonly index: number; readonly entry: Uint8Array; readonly checkpoint: Checkpoint }
  | { readonly ok: false; readonly problem: 'malformed' | 'not-signed' | 'not-included' | 'no-entry' }

/**
 * Whether the log with this verifier key holds the entry. `entry` may be given when the file carries none; when both
 * are there, the given one counts.
 */
export function verifyReceipt(receipt: {
  readonly text: string
  readonly vkey: string
  readonly entry?: Uint8Array
}): VerifiedReceipt {
  const key = parseVkey(receipt.vkey)
  const parsed = parse(receipt.text)
  if (key === null || parsed === null) return { ok: false, problem: 'malformed' }
  const opened = openCheckpoint(parsed.checkpoint, key)
  if (!opened.ok) return { ok: false, problem: opened.problem === 'malformed' ? 'malformed' : 'not-signed' }
  const entry = receipt.entry ?? parsed.extra
  if (entry === null) return { ok: false, problem: 'no-entry' }
  const { size, root } = opened.checkpoint
  const { index, proof } = parsed
  const included = verifyInclusion({ leaf: leafHash(entry), index, size, root, proof })
  return included
    ? { ok: true, index, entry, checkpoint: opened.checkpoint }
    : { ok: false, problem: 'not-included' }
}

type ParsedReceipt = {
  readonly extra: Uint8Array | null
  readonly index: number
  readonly proof: readonly Uint8Array[]
  readonly checkpoint: string
}

function parse(text: string): ParsedReceipt | null {
  const blank = text.indexOf('\n\n')
  const [head, ...lines] = text.slice(0, Math.max(blank, 0)).split('\n')
  if (head !== first) return null
  const extra =
    lines[0]?.startsWith('extra ') === true ? fromBase64(lines.shift()?.slice(6) ?? '') : undefined
  const [, digits] = /^index (0|[1-9][0-9]{0,15})$/.exec(lines.shift() ?? '') ?? []
  if (extra === null || digits === undefined || lines.length > 64) return null
  const proof: Uint8Array[] = []
  for (const line of lines) {
    const hash = fromBase64(line)
    if (hash === null || hash.length !== hashSize) return null
    proof.push(hash)
  }
  return { extra: extra ?? null, index: Number(digits), proof, checkpoint: text.slice(blank + 2) }
}
