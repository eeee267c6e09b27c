import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { fromMeta, readTraceparent, writeTraceparent } from '../../src/observe/context.ts'

const good = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const hex = (length: number) =>
  fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`)).filter((text) => !/^0+$/.test(text))

describe('a trace context from outside', () => {
  it('is read as it was written, whatever it holds', () => {
    fc.assert(
      fc.property(hex(32), hex(16), fc.boolean(), (traceId, spanId, sampled) => {
        const context = { traceId, spanId, sampled }
        assert.deepEqual(readTraceparent(writeTraceparent(context)), context)
      }),
    )
  })

  it('is none when one character is another', () => {
    const refused = [
      '',
      good.toUpperCase(),
      ` ${good}`,
      `${good} `,
      `${good}\n`,
      `${good}, ${good}`,
      good.slice(0, -1),
      `${good}0`,
      `${good}-00`,
      good.replaceAll('-', '_'),
      `ff${good.slice(2)}`,
      '00-00000000000000000000000000000000-00f067aa0ba902b7-01',
      '00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01',
      '00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01',
      `01${good.slice(2)}-${'x'.repeat(300)}`,
    ]
    for (const text of refused) assert.equal(readTraceparent(text), null, JSON.stringify(text))
    for (const value of [null, undefined, 7, {}, [good]]) assert.equal(readTraceparent(value), null)
  })

  it('of a later version may go on, and is read as far as we know it', () => {
    assert.deepEqual(readTraceparent(`01${good.slice(2)}-more`), readTraceparent(good))
  })

  it('random text is refused, and never kills anything', () => {
    fc.assert(fc.property(fc.string({ maxLength: 400 }), (text) => assert.equal(readTraceparent(text), null)))
  })

  it('`_meta` that is no object holds none', () => {
    for (const meta of [null, undefined, 'x', [good], { traceparent: [good] }])
      assert.equal(fromMeta(meta), null)
    assert.deepEqual(fromMeta({ traceparent: good }), readTraceparent(good))
  })
})
