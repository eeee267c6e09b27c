import assert from 'node:assert/strict'
import test from 'node:test'
import { createDraw } from '../../src/lib/random.ts'

test('a piece has the size that was asked for and memory of its own, so that nothing else crosses with it', () => {
  const draw = createDraw()
  for (const size of [1, 12, 32, 256, 257, 5000]) {
    const piece = draw(size)
    assert.equal(piece.length, size)
    assert.equal(piece.buffer.byteLength, size)
  }
})

test('no piece comes twice, also across the fillings of the pool, and none is what is left of a wiped one', () => {
  const draw = createDraw()
  const pieces = Array.from({ length: 5000 }, () => Buffer.from(draw(16)).toString('hex'))
  assert.equal(new Set(pieces).size, pieces.length)
  assert.ok(pieces.every((piece) => piece !== '0'.repeat(32)))
})

test('changing a piece changes none that comes later', () => {
  const draw = createDraw()
  draw(32).fill(7)
  for (let round = 0; round < 600; round++)
    assert.notDeepEqual(
      [...draw(32)],
      Array.from({ length: 32 }, () => 7),
    )
})

test('every bit is as often set as not', () => {
  const draw = createDraw()
  const set = Array.from({ length: 8 }, () => 0)
  for (let round = 0; round < 4000; round++)
    for (const byte of draw(32))
      for (let bit = 0; bit < 8; bit++) set[bit] = (set[bit] ?? 0) + ((byte >> bit) & 1)
  // 128,000 draws of each bit: 64,000 on average, deviation 179.
  assert.ok(
    set.every((count) => Math.abs(count - 64_000) < 1_800),
    set.join(),
  )
})
