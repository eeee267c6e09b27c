import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { actEntry, anAsk, aTask, intendRequest, settleRequest } from '../samples.ts'
import { fixture } from './fixture.ts'
import type { OpenStore } from './fixture.ts'

export function countsContract(open: OpenStore): void {
  describe('counts', () => {
    const { store } = fixture(open)

    it('says how much is open, and no more of what has ended or run out', async () => {
      const nothing = { tasks: 0, asks: 0, oldestAsk: null, leases: 0, unsettled: 0 }
      assert.deepEqual(await store().counts(2000), nothing)
      await store().tasks.open(aTask({ id: 't_counted' }), 0, actEntry())
      await store().tasks.open(aTask({ id: 't_closed' }), 0, actEntry())
      await store().tasks.close('t_closed', 'done', 2000, actEntry())
      await store().approvals.ask(
        anAsk({ id: 'a_first', digest: 'sha256:1', task: 't_counted', askedAt: 1500, expiresAt: 9000 }),
      )
      await store().approvals.ask(
        anAsk({ id: 'a_second', digest: 'sha256:2', task: 't_counted', askedAt: 1600, expiresAt: 3000 }),
      )
      const call = { call: 'c_counted', task: 't_counted' }
      assert.equal((await store().calls.intend(intendRequest(call))).kind, 'intended')
      const lease = { id: 'l_counted', ...call, server: 'files', secrets: ['token'], at: 2000, until: 9000 }
      await store().secrets.openLease(lease)
      assert.deepEqual(await store().counts(2000), {
        tasks: 1,
        asks: 2,
        oldestAsk: 1500,
        leases: 1,
        unsettled: 1,
      })
      await store().calls.settle(settleRequest(call))
      await store().secrets.closeLease('l_counted', 2500)
      assert.deepEqual(await store().counts(3000), { ...nothing, tasks: 1, asks: 1, oldestAsk: 1500 })
    })
  })
}
