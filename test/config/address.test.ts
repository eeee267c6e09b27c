import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConfigError } from '../../src/config/load.ts'
import { parseAddress } from '../../src/config/address.ts'

describe('an address to listen on', () => {
  test('is an address and a port', () => {
    assert.deepEqual(parseAddress('listen.agents', '127.0.0.1:0'), { host: '127.0.0.1', port: 0 })
    assert.deepEqual(parseAddress('listen.agents', '[::1]:7316'), { host: '::1', port: 7316 })
    assert.deepEqual(parseAddress('listen.agents', 'localhost:65535'), { host: 'localhost', port: 65_535 })
  })

  for (const text of [
    'localhost',
    ':7316',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '::1:80',
    '127.0.0.1:8o',
    'http://x:80',
    ' a:1',
  ])
    test(`not \`${text}\`: the key and the way to write it are named`, () => {
      assert.throws(
        () => parseAddress('listen.operators', text),
        (problem: unknown) =>
          problem instanceof ConfigError &&
          /`listen\.operators`: expected/.test(problem.message) &&
          /127\.0\.0\.1:7316/.test(problem.hint),
      )
    })
})
