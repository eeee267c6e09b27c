import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { keepPending, keptForEndings } from '../../src/store/pending.ts'

/** The writer's queue: what begins something is refused when it is full; what ends something still finds its place. */

const limits = { maxQueued: 8, maxQueuedBytes: 8_000, answerMs: 1_000 }
const fill = (pending: ReturnType<typeof keepPending>, count: number, size = 10): void => {
  for (let n = 0; n < count; n++) void pending.wait(size, () => undefined).catch(() => undefined)
}

describe('the queue in front of the writer', () => {
  test('when it is full takes no new call, task or refusal, and settles, ends and revokes all the same', () => {
    const pending = keepPending(limits)
    fill(pending, 8)
    for (const name of [
      'calls.intend',
      'tasks.open',
      'log.append',
      'approvals.ask',
      'secrets.openLease',
    ] as const)
      assert.match(pending.full(name, 10) ?? '', /8 changes wait/, name)
    for (const name of [
      'calls.settle',
      'tasks.close',
      'revocations.add',
      'secrets.closeLease',
      'settings.beat',
    ] as const)
      assert.equal(pending.full(name, 10), null, name)
  })

  test('is bounded for these, too', () => {
    const pending = keepPending(limits)
    fill(pending, 8 * (1 + keptForEndings))
    assert.match(pending.full('calls.settle', 10) ?? '', /10 changes wait/)
  })

  test('counts bytes as it counts changes', () => {
    const pending = keepPending(limits)
    fill(pending, 1, 7_990)
    assert.notEqual(pending.full('calls.intend', 20), null)
    assert.equal(pending.full('calls.settle', 1_500), null)
    assert.notEqual(pending.full('calls.settle', 2_500), null)
  })
})
