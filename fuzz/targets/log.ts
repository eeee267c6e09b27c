import { createPrivateKey, generateKeyPairSync, createHash } from 'node:crypto'
import { createSigner, fromBase64, parseNote, parseVkey, isSignedBy } from '../../src/audit/note.ts'
import { decodeBundle, encodeBundle, parseTilePath, tilePath } from '../../src/audit/tiles.ts'
import { consistencyProof, inclusionProof, rangeHash, verifyConsistency, verifyInclusion, type HashReader } from '../../src/audit/proof.ts' // prettier-ignore
import { leafHash, nodeHash, sameBytes } from '../../src/audit/hash.ts'
import { openCheckpoint, signCheckpoint } from '../../src/audit/checkpoint.ts'
import { verifyReceipt } from '../../src/audit/receipt.ts'
import { Meaning } from '../../src/audit/meaning.ts'
import { bytes, hold, text, type Input, type Target } from '../target.ts'

/** A small tree whose every truth is known: entries, roots of each size, one key. */
type World = {
  readonly leaves: readonly Uint8Array[]
  readonly entries: readonly Buffer[]
  readonly roots: ReadonlyMap<string, number>
  readonly vkey: string
  readonly notes: ReadonlyMap<string, { readonly size: number; readonly root: string }>
}

const count = 21
const origin = 'fuzz.example/log'

/**
 * What a verifier reads: notes, checkpoints, receipts, proofs, tiles, entries. Nothing that was changed may be taken for
 * what was signed, unless it says the very same.
 */
export async function open(): Promise<Target> {
  const { world, seeds } = await build()
  return {
    atOnce: 1,
    most: 8192,
    words: ['— ', '\n\n', '\n', ` ${origin} `, 'c2sp.org/tlog-proof@v1\n', 'index ', 'extra ', 'tile/0/', 'x001/', '.p/', 'entries', '=', '+', '/', '\r', '\0'],
    seeds: [...seeds, bytes('tile/0/x001/x234/067.p/255'), bytes('tile/entries/000'), encodeBundle(world.entries)],
    run: (input) => run(world, input),
  } // prettier-ignore
}

async function build(): Promise<{ readonly world: World; readonly seeds: readonly Input[] }> {
  // A fixed key: a corpus of what was signed must stay what was signed.
  const seed = createHash('sha256').update('a key for fuzzing, worth nothing').digest()
  const key = createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
    format: 'der',
    type: 'pkcs8',
  })
  const signer = createSigner(origin, key)
  const other = createSigner(origin, generateKeyPairSync('ed25519').privateKey)
  const entries = Array.from({ length: count }, (_, i) => Buffer.from(`{"entry":${i}}`))
  const leaves = entries.map(leafHash)
  const read: HashReader = async (level, index) => subtree(leaves, level, index)
  const roots = new Map<string, number>()
  const notes = new Map<string, { size: number; root: string }>()
  const seeds: Input[] = [bytes(signer.vkey)]
  for (let size = 1; size <= count; size++) {
    const root = await rangeHash(read, 0, size)
    roots.set(hex(root), size)
    const note = signCheckpoint({ origin, size, root }, signer)
    notes.set(note, { size, root: hex(root) })
    if (size % 5 !== 1) continue
    seeds.push(bytes(note), bytes(`${note}${other.sign('x').toString()}`))
    const index = Math.floor(size / 2)
    const proof = await inclusionProof(read, index, size)
    const lines = [
      `extra ${entries[index]?.toString('base64') ?? ''}`,
      `index ${index}`,
      ...proof.map(base64),
    ]
    seeds.push(bytes(['c2sp.org/tlog-proof@v1', ...lines, '', note].join('\n')))
    seeds.push(framed(0, [index, size], [root, leaves[index] ?? root, ...proof]))
    const old = await rangeHash(read, 0, index + 1)
    seeds.push(framed(1, [index + 1, size], [old, root, ...(await consistencyProof(read, index + 1, size))]))
  }
  return { world: { leaves, entries, roots, vkey: signer.vkey, notes }, seeds }
}

const hex = (hash: Uint8Array): string => Buffer.from(hash).toString('hex')
const base64 = (hash: Uint8Array): string => Buffer.from(hash).toString('base64')

function subtree(leaves: readonly Uint8Array[], level: number, index: number): Uint8Array {
  const leaf = leaves[index]
  if (level === 0 && leaf !== undefined) return leaf
  if (level === 0) throw new RangeError('no such leaf')
  return nodeHash(subtree(leaves, level - 1, index * 2), subtree(leaves, level - 1, index * 2 + 1))
}

/** Two numbers and hashes, as bytes: proofs have no file format of their own. The first byte is beyond any text. */
function framed(kind: number, numbers: readonly number[], hashes: readonly Uint8Array[]): Input {
  return Buffer.concat([Buffer.of(0xf0 + kind, ...numbers), ...hashes])
}

function run(world: World, input: Input): void {
  if ((input[0] ?? 0) >= 0xf0) return proofs(world, input)
  const words = text(input)
  checkpoint(world, words)
  receipt(world, words)
  const key = parseVkey(words)
  if (key !== null) hold(words.startsWith(`${key.name}+${key.id}+`), 'a verifier key is what it says')
  const tile = parseTilePath(words)
  if (tile !== null) hold(tilePath(tile) === words, 'one tile has one path')
  const decoded = fromBase64(words)
  if (decoded !== null) hold(decoded.toString('base64') === words, 'one value has one text')
  const { entries, rest } = decodeBundle(input)
  hold(rest >= 0 && rest <= input.length, 'what is left over is part of the bundle')
  hold(sameBytes(encodeBundle(entries), input.subarray(0, input.length - rest)), 'a bundle is its entries')
  const meaning = new Meaning()
  for (const [index, entry] of [input, ...entries].slice(0, 300).entries()) meaning.take(index, entry)
}

function checkpoint({ vkey, notes }: World, words: string): void {
  const key = parseVkey(vkey)
  const note = parseNote(words)
  const opened = openCheckpoint(words, key)
  hold(!opened.ok || note !== null, 'a checkpoint is a note')
  if (note !== null && key !== null && isSignedBy(note, key))
    hold(
      [...notes.keys()].some((known) => known.startsWith(`${note.text}\n`)),
      'only what was signed is signed',
    )
  if (!opened.ok) return
  const root = hex(opened.checkpoint.root)
  const said = [...notes.values()].some(
    (known) => known.root === root && known.size === opened.checkpoint.size,
  )
  hold(
    said && opened.checkpoint.origin === origin,
    'an accepted checkpoint says what was signed',
    () => words,
  )
}

function receipt({ vkey, entries }: World, words: string): void {
  const verified = verifyReceipt({ text: words, vkey })
  if (!verified.ok) return
  const entry = entries[verified.index]
  hold(
    entry !== undefined && sameBytes(entry, verified.entry) && verified.index < verified.checkpoint.size,
    'an accepted receipt is of an entry that is in the log, where it says',
  )
}

function proofs({ leaves, roots }: World, input: Input): void {
  const [kind = 0, a = 0, b = 0] = input
  const hashes: Uint8Array[] = []
  for (let at = 3; at < input.length; at += 32) hashes.push(input.subarray(at, at + 32))
  const [first, second, ...proof] = hashes
  if (first === undefined || second === undefined) return
  if (kind % 2 === 0) {
    const ok = verifyInclusion({ leaf: second, index: a, size: b, root: first, proof })
    // A root that nobody signed proves nothing, so it may be proven anything under.
    const size = roots.get(hex(first))
    if (ok && size === b) {
      const leaf = leaves[a]
      hold(leaf !== undefined && sameBytes(leaf, second), 'a proof of inclusion proves what is true')
    }
    return
  }
  const ok = verifyConsistency({ from: a, to: b, oldRoot: first, newRoot: second, proof })
  if (ok && a > 0 && roots.get(hex(second)) === b)
    hold(roots.get(hex(first)) === a, 'a proof of consistency proves what is true')
}
