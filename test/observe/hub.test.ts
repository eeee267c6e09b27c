import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createHub, observed, type Fact } from '../../src/observe/hub.ts'
import { run } from '../../src/call/path.ts'
import { bankToken, endOf, hire, pathWorld, text, type PathWorld } from '../call/world.ts'
import type { Arrival } from '../../src/call/states.ts'

const act = (subject: string): Fact => ({ kind: 'act', at: 0, act: 'test', subject, by: 'operator' })

describe('the hub', () => {
  it('tells each listener of each fact, until it stops', () => {
    const hub = createHub()
    const heard: Fact[] = []
    const stop = hub.subscribe((fact) => void heard.push(fact))
    hub.emit(act('one'))
    stop()
    hub.emit(act('two'))
    assert.deepEqual(heard, [act('one')])
    assert.deepEqual(hub.recent(), [act('one'), act('two')])
  })

  it('drops a listener that throws, and the others hear all the same', () => {
    const hub = createHub()
    const heard: Fact[] = []
    let calls = 0
    hub.subscribe(() => {
      calls += 1
      throw new Error('a broken screen')
    })
    hub.subscribe((fact) => void heard.push(fact))
    hub.emit(act('one'))
    hub.emit(act('two'))
    assert.equal(heard.length, 2)
    assert.equal(calls, 1)
  })

  it('is bounded, newest last, and what is given out is a copy', () => {
    const hub = createHub()
    for (let n = 0; n < 500; n += 1) hub.emit(act(`${n}`))
    const recent = hub.recent()
    assert.equal(recent.length, 200)
    assert.deepEqual(recent.at(-1), act('499'))
    hub.emit(act('more'))
    assert.deepEqual(recent.at(-1), act('499'))
  })
})

describe('the path as it is watched', () => {
  let w: PathWorld
  before(async () => {
    w = await pathWorld()
    await hire(w.ground, 'watched')
  })
  after(() => w.close())

  it('tells the end of each call, never what it carried', async () => {
    const hub = createHub()
    const watched = observed((arrival: Arrival) => run(w.ports, arrival), { hub, clock: w.clock })
    const task = await w.open({ agent: 'watched' })
    const token = await w.token(task)
    w.servers.script(({ lease }) => text(`the answer ${lease.headers['authorization']?.reveal() ?? ''}`))
    const marked = { path: 'the-argument' }
    for (const tool of ['bank/balance', 'files/write', 'files/nothing'])
      await watched(w.arrival(token, tool, marked))
    const stranger = w.arrival('not a token', 'files/read', marked)
    const end = await watched(stranger)
    assert.equal(endOf(end), 'unauthenticated')
    const told = hub
      .recent()
      .flatMap((fact) => (fact.kind === 'call' ? [[fact.agent, fact.tool, fact.end, fact.refused]] : []))
    assert.deepEqual(told, [
      ['watched', 'bank/balance', 'ok', false],
      ['watched', 'files/write', 'approval-required', true],
      ['watched', 'files/nothing', 'unknown-tool', true],
      ['nobody', 'files/read', 'unauthenticated', true],
    ])
    const bytes = JSON.stringify(hub.recent())
    for (const word of ['the-argument', 'the answer', bankToken, token]) assert.ok(!bytes.includes(word))
  })

  it('gives back what the path gave, and a time that is never negative', async () => {
    const hub = createHub()
    const times = [1000, 400]
    const watched = observed(async () => w.call(task, 'files/read'), {
      hub,
      clock: { now: () => times.shift() ?? 0 },
    })
    const task = await w.open()
    const end = await watched(w.arrival(await w.token(task), 'files/read', { path: 'a' }))
    assert.equal(endOf(end), 'ok')
    const [fact] = hub.recent()
    assert.ok(fact?.kind === 'call')
    assert.equal(fact.ms, 0)
  })
})
