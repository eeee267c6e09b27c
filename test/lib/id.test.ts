import assert from 'node:assert/strict'
import test from 'node:test'
import { isId, newId } from '../../src/lib/id.ts'

test('an id is its prefix and 22 base62 characters', () => {
  const id = newId('c')
  assert.match(id, /^c_[0-9A-Za-z]{22}$/)
  assert.ok(isId('c', id))
})

test('an id of one kind is no id of another', () => assert.equal(isId('t', newId('c')), false))

test('text that only begins or ends like an id is none', () => {
  const id = newId('a')
  for (const text of [`${id}0`, id.slice(0, -1), ` ${id}`, `${id}\n`, '', 'a_'])
    assert.equal(isId('a', text), false)
})

test('all 62 characters come up, none twice as often as another, and no id twice', () => {
  const ids = Array.from({ length: 5000 }, () => newId('b'))
  assert.equal(new Set(ids).size, ids.length)
  const counts = new Map<string, number>()
  for (const char of ids.map((id) => id.slice(2)).join('')) counts.set(char, (counts.get(char) ?? 0) + 1)
  assert.equal(counts.size, 62)
  // 110,000 characters, 1774 each on average, deviation 42.
  assert.ok(Math.min(...counts.values()) > 1400 && Math.max(...counts.values()) < 2200)
})
