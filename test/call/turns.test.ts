import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createTurns } from '../../src/call/turns.ts'
import type { Ports } from '../../src/call/ports.ts'
import { endOf, pathWorld, type PathWorld } from './world.ts'

const counting = `@id("few") @reason("at most a hundred") permit (principal, action, resource)
  when { context.history.calls < 100 };`
const remembering = `@id("once") @reason("not twice") permit (principal, action, resource)
  when { !(context.history has repeatsUnknown && context.history.repeatsUnknown) };`

describe('calls of one agent at the same time', () => {
  let w: PathWorld
  before(async () => (w = await pathWorld()))
  after(() => w.close())

  const together = async (policy: string, calls: number, ports: Partial<Ports> = {}) => {
    const swapped = await w.core.policies.swap([{ name: 'test.cedar', text: policy }])
    assert.ok(swapped.ok, JSON.stringify(swapped))
    const task = await w.open()
    const ends = await Promise.all(
      Array.from({ length: calls }, (_, i) => w.call(task, 'files/note', { path: `${i}` }, { ports })),
    )
    return ends.map(endOf)
  }

  it('are all made when their decision reads counts, and none twice', async () => {
    const ends = await together(counting, 40)
    assert.deepEqual([...new Set(ends)], ['ok'])
    assert.equal(w.servers.reached.length, 40)
  })

  it('cannot both take the last of what a count allows', async () => {
    const reached = w.servers.reached.length
    const ends = await together(counting.replace('100', '5'), 20)
    assert.equal(ends.filter((end) => end === 'ok').length, 5)
    assert.equal(w.servers.reached.length - reached, 5)
  })

  it('do not wait for each other when their decision reads only what is unknown', async () => {
    const moved: string[] = []
    const calls: typeof w.ports.calls = {
      ...w.ports.calls,
      async intend(request) {
        const result = await w.ports.calls.intend(request)
        moved.push(result.kind)
        return result
      },
    }
    const ends = await together(remembering, 40, { calls })
    assert.deepEqual([...new Set(ends)], ['ok'])
    assert.deepEqual([...new Set(moved)], ['intended'])
  })
})

describe('taking turns', () => {
  it('begins when something has moved, one after the other, and ends with the last', async () => {
    const turns = createTurns()
    const [first, second] = [await turns.take('a'), await turns.take('a')]
    assert.ok(first !== null && second !== null)
    assert.equal(await first.moved(), true)
    assert.equal(await first.moved(), true, 'it keeps its turn')
    const order: string[] = []
    const waiting = [
      (async () => {
        await second.moved()
        order.push('second')
      })(),
      (async () => {
        const third = await turns.take('a')
        order.push('third')
        third?.end()
      })(),
    ]
    const other = await turns.take('b')
    assert.ok(other !== null, 'another agent does not wait')
    assert.deepEqual(order, [])
    first.end()
    await waiting[0]
    assert.deepEqual(order, ['second'])
    second.end()
    await waiting[1]
    const free = await turns.take('a')
    assert.ok(free !== null)
    free.end()
    other.end()
  })
})
