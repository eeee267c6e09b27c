import assert from 'node:assert/strict'
import { test } from 'node:test'
import { doors, parsers, shares } from './bounded.ts'
import { targets } from '../../fuzz/targets.ts'

shares('what decides, proves and answers holds whatever it is sent', doors)

test('every target has its share here', () => {
  const tried = [...Object.keys(parsers), ...Object.keys(doors)]
  assert.deepEqual(targets.map(({ name }) => name).toSorted(), tried.toSorted())
})
