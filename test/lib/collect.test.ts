import assert from 'node:assert/strict'
import test from 'node:test'
import { collectAll } from '../../src/lib/collect.ts'

test('what nobody holds is gone afterwards, and no program is left a way to collect', () => {
  const before = process.memoryUsage().heapUsed
  let held: unknown[] = Array.from({ length: 400_000 }, (_, index) => ({ index }))
  assert.equal(held.length, 400_000)
  held = []
  collectAll()
  assert.ok(process.memoryUsage().heapUsed < before + 4_000_000)
  assert.equal(Reflect.has(globalThis, 'gc'), false)
})
