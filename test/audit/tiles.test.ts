import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import { decodeBundle, encodeBundle, parseTilePath, tilePath, widthAt } from '../../src/audit/tiles.ts'

test('paths are those of C2SP tlog-tiles', () => {
  assert.equal(tilePath({ level: 0, index: 0, width: 256 }), 'tile/0/000')
  assert.equal(tilePath({ level: 2, index: 1_234_067, width: 256 }), 'tile/2/x001/x234/067')
  assert.equal(tilePath({ level: 0, index: 273, width: 112 }), 'tile/0/273.p/112')
  assert.equal(tilePath({ level: 'entries', index: 1000, width: 1 }), 'tile/entries/x001/000.p/1')
})

test('a path is read as the tile that it was made of', () => {
  const level = fc.oneof(fc.integer({ min: 0, max: 63 }), fc.constant<'entries'>('entries'))
  const tile = fc.record({ level, index: fc.nat({ max: 2 ** 40 }), width: fc.integer({ min: 1, max: 256 }) })
  fc.assert(fc.property(tile, (name) => assert.deepEqual(parseTilePath(tilePath(name)), { ...name })))
})

for (const path of [
  'tile/64/000',
  'tile/00/000',
  'tile/0/0',
  'tile/0/x000/001',
  'tile/0/000.p/256',
  'tile/0/000.p/0',
  'tile/0/000.p/01',
  'tile/0/../000',
  'tile/data/000',
]) {
  test(`\`${path}\` names no tile`, () => assert.equal(parseTilePath(path), null))
}

test('entries come out of a bundle as they went in', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 20 }), (entries) => {
      const { entries: read, rest } = decodeBundle(encodeBundle(entries))
      assert.equal(rest, 0)
      assert.deepEqual(read.map(hex), entries.map(hex))
    }),
  )
})

test('lengths are big-endian', () =>
  assert.equal(hex(encodeBundle([Buffer.alloc(258, 1)]).subarray(0, 3)), '010201'))

test('an entry of 65,535 bytes fits and a longer one does not', () => {
  assert.equal(decodeBundle(encodeBundle([new Uint8Array(65_535)])).entries[0]?.length, 65_535)
  assert.throws(() => encodeBundle([new Uint8Array(65_536)]), /65535/)
})

test('a bundle that was cut says how much is left over', () => {
  const bundle = encodeBundle([Buffer.from('one'), Buffer.from('two')])
  assert.deepEqual({ ...decodeBundle(bundle.subarray(0, 8)), entries: 1 }, { entries: 1, rest: 3 })
})

test('how wide a tile is depends on the size of the log', () => {
  assert.equal(widthAt(0, 0, 255), 255)
  assert.equal(widthAt(0, 1, 256), 0)
  assert.equal(widthAt(1, 0, 65_536 + 255), 256)
  assert.equal(widthAt(1, 1, 65_536 + 512), 2)
  assert.equal(widthAt('entries', 2, 600), 88)
})

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
