import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import * as fc from 'fast-check'
import { emptyRoot, leafHash, nodeHash } from '../../src/audit/hash.ts'
import {
  consistencyProof,
  inclusionProof,
  verifyConsistency,
  verifyInclusion,
} from '../../src/audit/proof.ts'
import { Tree } from '../../src/audit/tree.ts'
import type { HashReader } from '../../src/audit/proof.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const from64 = (text: string): Uint8Array => Buffer.from(text, 'base64')

const entries = (n: number): Uint8Array[] => Array.from({ length: n }, (_, i) => Buffer.from(`entry ${i}`))
const treeOf = (all: readonly Uint8Array[]): Tree => {
  const tree = new Tree()
  for (const entry of all) tree.add(entry)
  return tree
}

/** RFC 6962 section 2.1, word for word. */
function naive(leaves: readonly Uint8Array[]): Uint8Array {
  const [only] = leaves
  if (only === undefined) return emptyRoot()
  if (leaves.length === 1) return leafHash(only)
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  return nodeHash(naive(leaves.slice(0, k)), naive(leaves.slice(k)))
}

const reader =
  (all: readonly Uint8Array[]): HashReader =>
  async (level, index) =>
    naive(all.slice(index * 2 ** level, (index + 1) * 2 ** level))

test('the roots of the Certificate Transparency reference tree', () => {
  const inputs = [
    '',
    '00',
    '10',
    '2021',
    '3031',
    '40414243',
    '5051525354555657',
    '606162636465666768696a6b6c6d6e6f',
  ]
  const roots = [
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
    '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
    'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  ]
  const tree = new Tree()
  assert.equal(hex(tree.root()), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  for (const [i, input] of inputs.entries()) {
    tree.add(Buffer.from(input, 'hex'))
    assert.equal(hex(tree.root()), roots[i])
  }
})

test('roots and proofs are those of another implementation', async () => {
  const vectors: {
    Roots: { Size: number; Root: string }[]
    Inclusion: { Index: number; Size: number; Proof: string[] }[]
    Consistency: { From: number; To: number; Proof: string[] }[]
  } = JSON.parse(readFileSync(new URL('../vectors/tree.json', import.meta.url), 'utf8'))
  const roots = new Map(vectors.Roots.map(({ Size, Root }) => [Size, from64(Root)]))
  const root = (size: number): Uint8Array => roots.get(size) ?? assert.fail()
  for (const [size, expected] of roots) assert.equal(base64(treeOf(entries(size)).root()), base64(expected))
  for (const { Index: index, Size: size, Proof } of vectors.Inclusion) {
    const proof = Proof.map(from64)
    assert.ok(
      verifyInclusion({
        leaf: leafHash(Buffer.from(`entry ${index}`)),
        index,
        size,
        root: root(size),
        proof,
      }),
    )
  }
  for (const { From: from, To: to, Proof } of vectors.Consistency) {
    const proof = Proof.map(from64)
    assert.ok(verifyConsistency({ from, to, oldRoot: root(from), newRoot: root(to), proof }))
  }
  const all = reader(entries(64))
  for (const { Index, Size, Proof } of vectors.Inclusion.filter(({ Size }) => Size <= 64)) {
    assert.deepEqual((await inclusionProof(all, Index, Size)).map(base64), Proof)
  }
  for (const { From, To, Proof } of vectors.Consistency.filter(({ To }) => To <= 64)) {
    assert.deepEqual((await consistencyProof(all, From, To)).map(base64), Proof)
  }
})

test('the growing tree has the root that the recursive definition gives', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 600 }), (all) => {
      assert.equal(hex(treeOf(all).root()), hex(naive(all)))
    }),
    { numRuns: 40 },
  )
})

test('a tree of trees of tiles: 65,536 entries and one more', () => {
  const tree = treeOf(entries(65_536))
  const whole = tree.root()
  tree.add(Buffer.from('one more'))
  assert.equal(hex(tree.root()), hex(nodeHash(whole, leafHash(Buffer.from('one more')))))
  assert.deepEqual(tree.edge().map(({ level, index, bytes }) => [level, index, bytes.length]), [[0, 256, 32], [2, 0, 32]]) // prettier-ignore
})

test('a copy grows on its own', () => {
  const tree = treeOf(entries(300))
  const before = hex(tree.root())
  tree.copy().add(Buffer.from('else'))
  assert.equal(hex(tree.root()), before)
})

const sizes = fc
  .tuple(fc.integer({ min: 1, max: 130 }), fc.nat())
  .map(([size, n]) => ({ size, at: n % size }))
const bit = fc.tuple(fc.nat(), fc.nat())
/** One bit of one hash turned; the proof as it is when it is empty. */
const turned = (proof: readonly Uint8Array[], [which, where]: readonly [number, number]): Uint8Array[] =>
  proof.map((hash, i) => {
    const copy = Uint8Array.from(hash)
    const at = where % 256
    if (i === which % proof.length) copy[at >> 3] = (copy[at >> 3] ?? 0) ^ (1 << (at & 7))
    return copy
  })

test('an inclusion proof proves its entry at its place, and with any one bit changed nothing', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, bit, async ({ size, at }, change) => {
      const all = entries(size)
      const root = naive(all)
      const proof = await inclusionProof(reader(all), at, size)
      const good = { leaf: leafHash(Buffer.from(`entry ${at}`)), index: at, size, root, proof }
      assert.ok(verifyInclusion(good))
      assert.equal(proof.length > 0 && verifyInclusion({ ...good, proof: turned(proof, change) }), false)
      assert.equal(verifyInclusion({ ...good, leaf: leafHash(Buffer.from('forged')) }), false)
      assert.equal(size > 1 && verifyInclusion({ ...good, index: (at + 1) % size }), false)
      assert.equal(verifyInclusion({ ...good, proof: [...proof, root] }), false)
      assert.equal(proof.length > 0 && verifyInclusion({ ...good, proof: proof.slice(1) }), false)
      assert.equal(verifyInclusion({ ...good, index: size }), false)
    }),
    { numRuns: 60 },
  )
})

test('a consistency proof proves that a log only grew, and nothing of a log that was rewritten', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, bit, async ({ size: to, at: from }, change) => {
      const all = entries(to)
      const proof = await consistencyProof(reader(all), from, to)
      const good = { from, to, oldRoot: naive(all.slice(0, from)), newRoot: naive(all), proof }
      assert.ok(verifyConsistency(good))
      const [, ...rest] = all
      const rewritten = [Buffer.from('rewritten'), ...rest]
      const forged = await consistencyProof(reader(rewritten), from, to)
      assert.equal(
        from > 0 && verifyConsistency({ ...good, newRoot: naive(rewritten), proof: forged }),
        false,
      )
      assert.equal(proof.length > 0 && verifyConsistency({ ...good, proof: turned(proof, change) }), false)
      assert.equal(verifyConsistency({ ...good, proof: [...proof, emptyRoot()] }), false)
    }),
    { numRuns: 60 },
  )
})

test('a proof does not hold for a tree of another size', async () => {
  const all = entries(8)
  const root = naive(all)
  const proof = await inclusionProof(reader(all), 0, 8)
  const good = { leaf: leafHash(all[0] ?? assert.fail()), index: 0, size: 8, root, proof }
  assert.ok(verifyInclusion(good))
  for (const size of [1, 2, 4, 9, 16, 2 ** 40])
    assert.equal(verifyInclusion({ ...good, size }), false, `${size}`)
})

test('an entry cannot pose as an inner node', () => {
  const [a, b] = [leafHash(Buffer.from('a')), leafHash(Buffer.from('b'))]
  assert.notEqual(hex(leafHash(Buffer.concat([a, b]))), hex(nodeHash(a, b)))
})
