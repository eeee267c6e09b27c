import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { createGate } from '../../src/server/gate.ts'
import { splitLines } from '../../src/server/lines.ts'
import { encode, mirroredArguments } from '../../src/server/mirror.ts'
import { readMessage } from '../../src/server/rpc.ts'
import { readEvents } from '../../src/server/sse.ts'

/** The same bytes in pieces of any size: a network cuts where it likes. */
const cut = (bytes: Buffer, sizes: readonly number[]): Buffer[] => {
  const pieces: Buffer[] = []
  let at = 0
  for (let i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[i % Math.max(1, sizes.length)] ?? 1)
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return pieces
}
const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 })

describe('lines', () => {
  test('come out as they went in, however they were cut', () => {
    const line = fc.string({ unit: fc.constantFrom('a', 'é', '"', ' ') }).filter((text) => text !== '')
    fc.assert(
      fc.property(fc.array(line), fc.constantFrom('\n', '\r\n'), sizes, (wanted, ending, pieces) => {
        const found: string[] = []
        const lines = splitLines({
          limit: 1_000,
          onLine: (each) => found.push(each.toString()),
          onOverflow: () => assert.fail(),
        })
        for (const piece of cut(Buffer.from(wanted.map((each) => each + ending).join('')), pieces))
          lines.push(piece)
        assert.deepEqual(found, wanted)
      }),
    )
  })
  test('a line that is too long is lost whole, and the next one is read', () => {
    fc.assert(
      fc.property(fc.integer({ min: 11, max: 60 }), sizes, (length, pieces) => {
        const found: string[] = []
        let discarded = 0
        const lines = splitLines({
          limit: 10,
          onLine: (each) => found.push(each.toString()),
          onOverflow: (bytes) => (discarded = bytes),
        })
        for (const piece of cut(Buffer.from(`one\n${'x'.repeat(length)}\ntwo\n`), pieces)) lines.push(piece)
        assert.deepEqual(found, ['one', 'two'])
        assert.equal(discarded, length)
      }),
    )
  })
})

describe('events', () => {
  test('come out as they went in, however they were cut and ended', () => {
    const data = fc.array(fc.constantFrom('a', 'é b', ' c', '{"x":1}'), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(fc.array(data), fc.constantFrom('\n', '\r', '\r\n'), sizes, (wanted, ending, pieces) => {
        const found: string[] = []
        const text = wanted
          .map((lines) => [': hello', 'id: 7', ...lines.map((each) => `data: ${each}`), '', ''].join(ending))
          .join('')
        const events = readEvents(1_000, { onData: (each) => void found.push(each.toString()) })
        for (const piece of cut(Buffer.from(`\uFEFF${text}`), pieces)) assert.ok(events.push(piece))
        assert.deepEqual(
          found,
          wanted.map((lines) => lines.join('\n')),
        )
      }),
    )
  })
  test('events of other types and unfinished ones are dropped', () => {
    const found: string[] = []
    const events = readEvents(1_000, { onData: (each) => void found.push(each.toString()) })
    events.push(Buffer.from('event: other\ndata: a\n\nevent: message\ndata:b\n\ndata: unfinished\n'))
    assert.deepEqual(found, ['b'])
  })
  test('an event larger than the limit ends the stream', () => {
    const events = readEvents(100, { onData: () => assert.fail() })
    assert.equal(events.push(Buffer.from('data: ' + 'x'.repeat(50))), true)
    assert.equal(events.push(Buffer.from('x'.repeat(80))), false)
  })
  test('comments without end count for nothing', () => {
    const events = readEvents(100, { onData: () => {} })
    for (let i = 0; i < 100; i++) assert.equal(events.push(Buffer.from(': keep-alive\n\n')), true)
  })
})

describe('messages', () => {
  test('bytes of any kind give a message or a problem, never an exception', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void readMessage(bytes, 10_000)))
    fc.assert(fc.property(fc.json(), (text) => void readMessage(Buffer.from(text), 10_000)))
  })
})

describe('mirrored headers', () => {
  const decode = (value: string): string =>
    value.startsWith('=?base64?') && value.endsWith('?=')
      ? Buffer.from(value.slice(9, -2), 'base64').toString()
      : value

  test('any text survives, and no text breaks out of its header', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const value = encode(text.toWellFormed())
        assert.match(value, /^[\t\x20-\x7e]*$/)
        assert.equal(value, value.trim())
        assert.equal(decode(value), text.toWellFormed())
      }),
    )
  })
  test('text that looks like the sentinel is encoded', () => {
    assert.equal(decode(encode('=?base64?YQ==?=')), '=?base64?YQ==?=')
    assert.notEqual(encode('=?base64?YQ==?='), '=?base64?YQ==?=')
    assert.equal(encode(''), '=?base64??=')
  })
  test('declarations that the revision forbids make the tool invalid', () => {
    const at = (schema: object) => mirroredArguments(JSON.parse(JSON.stringify(schema)))
    const named = (name: unknown, type = 'string') => ({ type, 'x-mcp-header': name })
    assert.deepEqual(at({ properties: { a: named('A'), b: { properties: { c: named('C') } } } }), [
      { path: ['a'], name: 'A' },
      { path: ['b', 'c'], name: 'C' },
    ])
    assert.equal(at({ properties: { a: named('A', 'number') } }), null)
    assert.equal(at({ properties: { a: named('A'), b: named('a') } }), null)
    assert.equal(at({ properties: { a: named('no space') } }), null)
    assert.equal(at({ properties: { a: named('') } }), null)
    assert.equal(at({ properties: { a: { type: 'array', items: named('A') } } }), null)
    assert.equal(at({ $defs: { a: named('A') } }), null)
    assert.equal(at({ 'x-mcp-header': 'A', type: 'string' }), null)
    assert.deepEqual(at({ properties: { a: { default: named('A'), type: 'object' } } }), [])
  })
})

describe('the gate', () => {
  const always = new AbortController().signal
  test('places are handed on in order, and a cancelled wait takes none', async () => {
    const gate = createGate()
    assert.equal(await gate.enter({ who: 'one', width: 1, waitMs: 0, signal: always }), null)
    const cancel = new AbortController()
    const given: string[] = []
    const cancelled = gate.enter({ who: 'one', width: 1, waitMs: 5_000, signal: cancel.signal })
    const second = gate
      .enter({ who: 'one', width: 1, waitMs: 5_000, signal: always })
      .then(() => given.push('second'))
    const third = gate
      .enter({ who: 'two', width: 1, waitMs: 5_000, signal: always })
      .then(() => given.push('third'))
    cancel.abort()
    assert.equal((await cancelled)?.problem, 'cancelled')
    gate.leave('one')
    await second
    gate.leave('one')
    await third
    gate.leave('two')
    assert.deepEqual(given, ['second', 'third'])
    assert.equal(await gate.enter({ who: 'one', width: 1, waitMs: 0, signal: always }), null)
  })
  test('the queue is short', async () => {
    const gate = createGate()
    const entering = Array.from({ length: 7 }, () =>
      gate.enter({ who: 'one', width: 1, waitMs: 50, signal: always }),
    )
    const busy = (await Promise.all(entering)).filter((each) => each?.problem === 'busy')
    assert.equal(busy.length, 6)
  })
})
