import assert from 'node:assert/strict'
import { test } from 'node:test'
import { covered } from '../../fuzz/coverage.ts'
import { createRandom } from '../../fuzz/random.ts'
import { frame } from '../../fuzz/raw.ts'
import { loop } from '../../fuzz/loop.ts'
import { minimise } from '../../fuzz/minimise.ts'
import { mutate } from '../../fuzz/mutate.ts'
import { mutateJson } from '../../fuzz/shape.ts'
import { runTarget } from '../../fuzz/watch.ts'
import { targets } from './planted.ts'

const from = new URL('./planted.ts', import.meta.url).href
const named = (name: string) => {
  const entry = targets.find((each) => each.name === name)
  assert.ok(entry)
  return entry
}
const orders = { seed: 3, inputs: 8_000, keep: false, until: null, from }

test('what lies behind three comparisons is found, because each of them is a new block', async () => {
  const { findings, kept } = await runTarget(named('deep'), orders)
  assert.equal(findings.length, 1)
  assert.match(findings[0]?.what ?? '', /^crash: Error fuzz\/planted/)
  assert.equal(Buffer.from(findings[0]?.input ?? []).toString(), 'FUZ')
  assert.ok(kept >= 2, 'the inputs on the way there were kept')
})

test('the same number of inputs finds nothing when nobody looks at what they reach', async () => {
  const { found } = await loop(await named('deep').open(), {
    seed: orders.seed,
    inputs: orders.inputs,
    name: 'deep',
    corpus: [],
    coverage: null,
    slowMs: Infinity,
  })
  assert.deepEqual(found, [])
})

test('what never returns is seen from outside, with the input that did it', async () => {
  const { findings } = await runTarget(named('hangs'), { ...orders, hangMs: 1_500, starts: 1 })
  assert.equal(findings[0]?.what, 'hang')
  assert.equal(findings[0]?.input[0], 0x58)
})

test('a promise that fails and that nobody waits for is a finding', async () => {
  const { findings } = await runTarget(named('strays'), { ...orders, inputs: 4_000 })
  assert.match(findings[0]?.what ?? '', /^unhandled: crash: Error fuzz\/planted/)
  assert.equal(findings[0]?.input[0], 0x58)
})

test('a failing input is made as small as it can be', async () => {
  const fails = async (input: Uint8Array) => Buffer.from(input).toString('latin1').includes('bug')
  const small = await minimise(Buffer.from(`${'x'.repeat(300)}bug${'\xff'.repeat(50)}`, 'latin1'), fails)
  assert.equal(Buffer.from(small).toString('latin1'), 'bug')
})

test('the same seed makes the same inputs', () => {
  const many = (seed: number) => {
    const random = createRandom(seed)
    const other = () => Buffer.from('{"other":[1]}')
    return Array.from({ length: 200 }, () =>
      Buffer.from(
        mutate(Buffer.from('{"a":[1,{"b":"c"}]}'), {
          random,
          words: [Buffer.from('w')],
          other,
          most: 200,
          structure: 0.5,
        }),
      ).toString('latin1'),
    )
  }
  assert.deepEqual(many(5), many(5))
  assert.notDeepEqual(many(5), many(6))
  assert.ok(new Set(many(5)).size > 150, 'and they differ from each other')
})

test('JSON is changed by its structure: what stands around it stays, and most of it can still be read', () => {
  const random = createRandom(1)
  const other = () => Buffer.alloc(0)
  const made = Array.from({ length: 300 }, () =>
    mutateJson(Buffer.from('head\r\n\r\n{"a":[1,{"b":"c"}],"d":null}'), { random, words: [], other, most: 999, structure: 1 }).toString(),
  ) // prettier-ignore
  assert.ok(made.every((each) => each.startsWith('head\r\n\r\n')))
  const readable = made.filter((each) => {
    try {
      return typeof JSON.parse(each.slice(8)) === 'object'
    } catch {
      return false
    }
  })
  assert.ok(readable.length > 150, `${readable.length} of 300 can be read`)
})

test('what ran is what is covered by the innermost range that says so', () => {
  const range = (startOffset: number, endOffset: number, count: number) => ({ startOffset, endOffset, count })
  assert.deepEqual(covered([range(0, 100, 1), range(10, 20, 0), range(30, 60, 2), range(40, 50, 0)]), [
    [0, 10],
    [20, 40],
    [50, 100],
  ])
  assert.deepEqual(covered([range(5, 9, 0)]), [])
})

test('the oracle against smuggling frames what has one reading and nothing else', () => {
  const head = 'POST / HTTP/1.1\r\nHost: a\r\n'
  const framed = (text: string) => {
    const { requests, rest } = frame(Buffer.from(text))
    return [requests.length, rest]
  }
  assert.deepEqual(framed(`${head}Content-Length: 2\r\n\r\nhi${head}\r\n`), [2, 'nothing'])
  assert.deepEqual(framed(`${head}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`), [1, 'nothing'])
  assert.deepEqual(framed(`${head}Content-Length: 9\r\n\r\nhi`), [0, 'part'])
  for (const unclear of [
    'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi',
    'Content-Length: +2\r\n\r\nhi',
    'Transfer-Encoding: gzip\r\n\r\nhi',
    'X: a\n b\r\n\r\n',
    'X: a\r\n b\r\n\r\n',
    'X : a\r\n\r\n',
  ])
    assert.deepEqual(framed(head + unclear), [0, 'unclear'], unclear)
})
