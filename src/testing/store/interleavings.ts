import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { confidentialities, covers } from '../../flow/labels.ts'
import type { Labels } from '../../flow/labels.ts'
import { effects } from '../../registry/tool.ts'
import type { Effect } from '../../registry/tool.ts'
import type { Store } from '../../store/ports.ts'
import { actEntry, aTask, anAsk, intendRequest, settleRequest } from '../samples.ts'
import { fixture } from './fixture.ts'
import type { OpenStore } from './fixture.ts'

type Step =
  | {
      readonly do: 'intend'
      readonly task: number
      readonly call: number
      readonly effects: readonly Effect[]
      readonly withAsk: boolean
    }
  | { readonly do: 'settle'; readonly task: number; readonly call: number; readonly raise: Labels }
  | { readonly do: 'close'; readonly task: number }

const task = fc.nat({ max: 2 })
const call = fc.nat({ max: 7 })
const labels: fc.Arbitrary<Labels> = fc.record({
  confidentiality: fc.constantFrom(...confidentialities),
  integrity: fc.constantFrom('trusted' as const, 'untrusted' as const),
  sources: fc.subarray(['a/a', 'b/b', 'c/c']),
})
const intending = fc.record({
  do: fc.constant('intend' as const),
  task,
  call,
  effects: fc.subarray([...effects], { minLength: 1 }),
  withAsk: fc.boolean(),
})
const settling = fc.record({ do: fc.constant('settle' as const), task, call, raise: labels })
const closing = fc.record({ do: fc.constant('close' as const), task })
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: intending },
    { weight: 8, arbitrary: settling },
    { weight: 1, arbitrary: closing },
  ),
  { minLength: 5, maxLength: 40 },
)

const budget = { calls: 4, effects: { write: 2 } }

/** Random calls over a task, its sub-task and a stranger, several at once and on every node. What must hold after every wave. */
export function interleavingsContract(open: OpenStore): void {
  describe('random interleavings', () => {
    const { store, nodes } = fixture(open)
    let round = 0
    it('never overspend, consume twice, settle twice, lower labels or leave a gap in the log', async () => {
      await fc.assert(
        fc.asyncProperty(steps, fc.integer({ min: 1, max: 8 }), async (script, width) => {
          round += 1
          await play(nodes(), `r${round}`, script, width)
        }),
        { numRuns: 25 },
      )
      const size = await store().log.size()
      for (let from = 0; from < size; from += 1024)
        assert.deepEqual(
          (await store().log.read(from, 1024)).map(({ index }) => index),
          Array.from({ length: Math.min(1024, size - from) }, (_, n) => from + n),
        )
    })
  })
}

/** What was acknowledged in one round, told by the results alone. */
type Seen = {
  readonly intended: Map<string, number>
  readonly settled: Map<string, number>
  consumed: number
}

async function play(
  nodes: readonly Store[],
  round: string,
  script: readonly Step[],
  width: number,
): Promise<void> {
  const [store] = nodes
  assert.ok(store !== undefined)
  const ids = [0, 1, 2].map((n) => `t_${round}_${n}`)
  const parents = [null, `t_${round}_0`, null]
  for (const [n, id] of ids.entries())
    await store.tasks.open(
      aTask({ id, parent: parents[n] ?? null, agent: `${round}_${n}`, budget: n === 1 ? {} : budget }),
      0,
      actEntry(),
    )
  const ask = anAsk({ id: `a_${round}`, digest: `d_${round}`, task: ids[0] ?? '', agent: 'worker' })
  await store.approvals.ask(ask)
  await store.approvals.answer(
    ask.id,
    { by: 'operator', proof: 'passkey', answer: 'approve', reason: '', at: 2000 },
    actEntry(),
  )

  const seen: Seen = { intended: new Map(), settled: new Map(), consumed: 0 }
  let before = await Promise.all(ids.map((id) => store.tasks.snapshot(id, 0)))
  for (let from = 0; from < script.length; from += width) {
    const wave = script.slice(from, from + width)
    await Promise.all(wave.map((step, n) => run(nodes[n % nodes.length] ?? store, round, step, seen)))
    const look: Store = nodes[from % nodes.length] ?? store
    const now = await Promise.all(ids.map((id) => look.tasks.snapshot(id, 0)))
    for (const [n, snapshot] of now.entries()) {
      const earlier = before[n]
      assert.ok(snapshot !== null && earlier !== null && earlier !== undefined)
      assert.ok(covers(snapshot.labels, earlier.labels), 'labels only rise')
      assert.ok(earlier.labels.sources.every((source) => snapshot.labels.sources.includes(source)))
      if (n !== 1)
        assert.ok(
          snapshot.usage.calls <= budget.calls && (snapshot.usage.effects.write ?? 0) <= budget.effects.write,
        )
    }
    assert.equal(now[0]?.usage.calls, count(seen.intended, ids[0]) + count(seen.intended, ids[1]))
    assert.equal(now[1]?.history.inFlight, count(seen.intended, ids[1]) - count(seen.settled, ids[1]))
    before = now
  }
  assert.ok(seen.consumed <= 1, 'an approval is consumed at most once')
  assert.equal(seen.consumed === 1, (await store.approvals.get(ask.id))?.state === 'consumed')
  for (const key of seen.intended.keys()) assert.ok((seen.settled.get(key) ?? 0) <= 1, 'at most one outcome')
  for (const key of seen.settled.keys())
    assert.equal(seen.intended.get(key), 1, 'no outcome without an intent')
  for (const key of seen.intended.keys()) {
    assert.equal(seen.intended.get(key), 1, 'one intent for a call')
    assert.equal((await store.log.byCall(key.split(' ')[1] ?? '')).length, 1 + (seen.settled.get(key) ?? 0))
  }
}

const count = (calls: ReadonlyMap<string, number>, of: string | undefined): number =>
  [...calls].filter(([key]) => key.startsWith(`${of} `)).reduce((sum, [, times]) => sum + times, 0)

const add = (calls: Map<string, number>, key: string): void => void calls.set(key, (calls.get(key) ?? 0) + 1)

async function run(store: Store, round: string, step: Step, seen: Seen): Promise<void> {
  const id = `t_${round}_${step.task}`
  if (step.do === 'close') return void (await store.tasks.close(id, 'test', 2500, actEntry()))
  const callId = `c_${round}_${step.task}_${step.call}`
  if (step.do === 'settle') {
    const settled = await store.calls.settle(settleRequest({ call: callId, task: id, raise: step.raise }))
    if ('settled' in settled) add(seen.settled, `${id} ${callId}`)
    return
  }
  const ask = step.withAsk ? `a_${round}` : null
  const intended = await store.calls.intend(
    intendRequest({ call: callId, task: id, effects: step.effects, ask }),
  )
  if (intended.kind !== 'intended') return
  add(seen.intended, `${id} ${callId}`)
  if (ask !== null) seen.consumed += 1
}
