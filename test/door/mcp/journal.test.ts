import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createJournal } from '../../../src/door/mcp/journal.ts'
import type { EventStream } from '../../../src/door/exchange.ts'

/** What a client may come back for is kept, but not without bounds. */

function pipe() {
  const said: { readonly id: string; readonly data: unknown }[] = []
  const primed: string[] = []
  const state = { open: true }
  const stream: EventStream = {
    send: (message, id = '') => void said.push({ id, data: message['n'] }),
    prime: (id) => void primed.push(id),
    comment: () => undefined,
    end: () => void (state.open = false),
    get open() {
      return state.open
    },
  }
  return { stream, said, primed, state }
}

const text = (chars: number) => 'x'.repeat(chars)

describe('the journal', () => {
  test('goes on behind any event that was told, on one connection at a time', () => {
    const journal = createJournal(() => 0)
    const first = pipe()
    const kept = journal.begin('s1', first.stream)
    kept.send({ n: 1 })
    kept.send({ n: 2 })
    const second = pipe()
    assert.ok(journal.resume('s1', first.said[0]?.id ?? '', () => second.stream))
    assert.equal(first.state.open, false)
    kept.send({ n: 3 })
    kept.end()
    assert.deepEqual(second.said.map(({ data }) => data), [2, 3]) // prettier-ignore
    assert.equal(second.state.open, false)
    const third = pipe()
    assert.ok(journal.resume('s1', first.primed[0] ?? '', () => third.stream))
    assert.deepEqual(third.said.map(({ data }) => data), [1, 2, 3]) // prettier-ignore
  })

  test('knows no place that it did not give, nor one of another session', () => {
    const journal = createJournal(() => 0)
    const { stream, primed } = pipe()
    journal.begin('s1', stream)
    const never = () => assert.fail('nobody is there')
    const [place = ''] = primed
    for (const id of ['', 'e1', place.replace(/_0$/, ''), `${place}0000000000`, 'j_0000000000000000000000_0'])
      assert.equal(journal.resume('s1', id, never), false, id)
    assert.equal(journal.resume('s2', place, never), false)
    journal.drop('s1')
    assert.equal(journal.resume('s1', place, never), false)
  })

  test('forgets the oldest of a session that says too much, and answers that nobody came for in time', () => {
    let now = 0
    const journal = createJournal(() => now)
    const old = pipe()
    journal.begin('s1', old.stream).send({ n: text(3 * 1024 * 1024) })
    const young = pipe()
    const kept = journal.begin('s1', young.stream)
    kept.send({ n: text(3 * 1024 * 1024) })
    assert.equal(journal.resume('s1', old.primed[0] ?? '', () => pipe().stream), false) // prettier-ignore
    assert.equal(journal.resume('s1', young.primed[0] ?? '', () => pipe().stream), true) // prettier-ignore
    kept.end()
    now += 6 * 60_000
    journal.begin('s1', pipe().stream).send({ n: 1 })
    assert.equal(journal.resume('s1', young.primed[0] ?? '', () => pipe().stream), false) // prettier-ignore
  })

  test('an event too large to be kept is still told to whoever has the connection', () => {
    const journal = createJournal(() => 0)
    const { stream, said, primed } = pipe()
    const kept = journal.begin('s1', stream)
    kept.send({ n: text(5 * 1024 * 1024) })
    kept.send({ n: 2 })
    assert.equal(said.length, 2)
    const late = pipe()
    journal.resume('s1', primed[0] ?? '', () => late.stream)
    assert.deepEqual(late.said.map(({ data }) => data), [2]) // prettier-ignore
  })
})
