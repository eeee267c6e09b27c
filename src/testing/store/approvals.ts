import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import type { Answer, Ask } from '../../approval/ask.ts'
import type { Store } from '../../store/ports.ts'
import { actEntry, aTask, anAsk, intendRequest } from '../samples.ts'
import { fixture, pendingPerAgent } from './fixture.ts'
import type { Fixture, OpenStore } from './fixture.ts'

const anAnswer = (answer: Partial<Answer> = {}): Answer => ({
  by: 'operator',
  proof: 'passphrase',
  answer: 'approve',
  reason: '',
  at: 3000,
  ...answer,
})

export function approvalsContract(open: OpenStore): void {
  describe('approvals', () => {
    const at = fixture(open)
    before(() => at.store().tasks.open(aTask({ id: 't_1' }), 0, actEntry()))
    askContract(at)
    answerContract(at)
    consumeContract(at)
  })
}

/** A pending ask of its own for each test; each is of an agent of its own, so that none is one too many. */
async function asked(store: Store, id: string, ask: Partial<Ask> = {}): Promise<Ask> {
  const made = anAsk({ id, digest: `d_${id}`, agent: `agent of ${id}`, ...ask })
  assert.deepEqual(await store.approvals.ask(made), { ok: true, ask: made })
  return made
}

async function answered(store: Store, id: string, ...answers: readonly Partial<Answer>[]): Promise<string> {
  let last = ''
  for (const one of answers) {
    const result = await store.approvals.answer(id, anAnswer(one), actEntry({ act: 'answer' }))
    last = result.ok ? result.ask.state : result.problem
  }
  return last
}

function askContract({ store, setNow }: Fixture): void {
  it('an ask is found by its digest until it is consumed, and has expired when its time is over', async () => {
    const ask = await asked(store(), 'a_found')
    assert.deepEqual(await store().approvals.find('d_a_found', 3000), ask)
    assert.deepEqual(await store().approvals.get('a_found'), ask)
    assert.equal((await store().approvals.find('d_a_found', 10_000))?.state, 'expired')
    assert.equal(await store().approvals.find('d_none', 3000), null)
    setNow(10_000)
    assert.equal((await store().approvals.get('a_found'))?.state, 'expired')
    assert.ok((await store().approvals.list({ state: 'expired' })).some(({ id }) => id === 'a_found'))
    assert.ok(!(await store().approvals.list({ state: 'pending' })).some(({ id }) => id === 'a_found'))
    setNow(2000)
    assert.ok((await store().approvals.list({ state: 'pending' })).some(({ id }) => id === 'a_found'))
    assert.equal((await store().approvals.list({ limit: 0 })).length, 0)
  })

  it('two equal calls in one moment ask a person once', async () => {
    const first = await asked(store(), 'a_same', { digest: 'd_same' })
    const again = await store().approvals.ask(
      anAsk({ id: 'a_same_again', digest: 'd_same', agent: first.agent }),
    )
    assert.deepEqual(again, { ok: true, ask: first })
    assert.equal(await store().approvals.get('a_same_again'), null)
  })

  it('asking again does not wash off a refusal', async () => {
    const first = await asked(store(), 'a_washed', { digest: 'd_washed' })
    await answered(store(), 'a_washed', { answer: 'refuse' })
    const again = await store().approvals.ask({ ...first, id: 'a_washed_again' })
    assert.equal(again.ok && again.ask.state, 'refused')
  })

  it('a call whose ask has expired may ask again', async () => {
    await asked(store(), 'a_gone', { digest: 'd_gone', expiresAt: 2500 })
    const again = anAsk({ id: 'a_gone_again', digest: 'd_gone', agent: 'agent of a_gone', askedAt: 2500 })
    assert.deepEqual(await store().approvals.ask(again), { ok: true, ask: again })
    assert.equal((await store().approvals.find('d_gone', 2600))?.id, 'a_gone_again')
  })

  it('an agent cannot bury a person in asks', async () => {
    const agent = 'pest'
    for (let n = 0; n < pendingPerAgent; n += 1)
      await asked(store(), `a_pest_${n}`, { agent, expiresAt: 5000 })
    const more = anAsk({ id: 'a_pest_more', digest: 'd_pest_more', agent })
    assert.deepEqual(await store().approvals.ask(more), { ok: false, problem: 'too-many' })
    await asked(store(), 'a_other_agent')
    await answered(store(), 'a_pest_0', { answer: 'refuse' })
    assert.equal((await store().approvals.ask(more)).ok, true)
    const later = anAsk({ id: 'a_pest_later', digest: 'd_pest_later', agent, askedAt: 5000 })
    assert.equal((await store().approvals.ask(later)).ok, true)
  })
}

function answerContract({ store }: Fixture): void {
  it('one approval at the asked proof approves, and is in the log beside its call', async () => {
    await asked(store(), 'a_ok', { call: 'c_ok' })
    assert.equal(await answered(store(), 'a_ok', {}), 'approved')
    assert.deepEqual((await store().approvals.get('a_ok'))?.answers, [anAnswer()])
    assert.equal((await store().log.byCall('c_ok')).length, 1)
  })

  it('two approvals take two people', async () => {
    await asked(store(), 'a_two', { requirement: { count: 2, independent: false, proof: 'terminal' } })
    assert.equal(await answered(store(), 'a_two', { proof: 'terminal' }, { proof: 'passkey' }), 'pending')
    assert.equal(await answered(store(), 'a_two', { by: 'approver' }), 'approved')
  })

  it('a person answers once, and again only with a stronger proof or to refuse after all', async () => {
    await asked(store(), 'a_again', { requirement: { count: 2, independent: false, proof: 'terminal' } })
    assert.equal(await answered(store(), 'a_again', {}, {}), 'already-answered')
    assert.equal(await answered(store(), 'a_again', { proof: 'terminal' }), 'already-answered')
    assert.equal(await answered(store(), 'a_again', { answer: 'refuse' }), 'refused')
  })

  it('a key press in the terminal does not answer where a passphrase was asked', async () => {
    await asked(store(), 'a_weak', { requirement: { count: 1, independent: false, proof: 'passphrase' } })
    assert.equal(await answered(store(), 'a_weak', { proof: 'terminal' }), 'pending')
    assert.equal(await answered(store(), 'a_weak', { proof: 'passkey' }), 'approved')
  })

  it('neither the owner nor the requester approves where independence is asked', async () => {
    await asked(store(), 'a_indep', {
      owner: 'owner',
      agent: 'asker',
      requirement: { count: 1, independent: true, proof: 'terminal' },
    })
    assert.equal(await answered(store(), 'a_indep', { by: 'owner' }, { by: 'asker' }), 'pending')
    assert.equal(await answered(store(), 'a_indep', { by: 'approver' }), 'approved')
  })

  it('one refusal refuses, whatever was approved before', async () => {
    await asked(store(), 'a_no', { requirement: { count: 2, independent: false, proof: 'terminal' } })
    assert.equal(
      await answered(store(), 'a_no', {}, { by: 'approver', answer: 'refuse', proof: 'terminal' }),
      'refused',
    )
    assert.equal(await answered(store(), 'a_no', { by: 'third' }), 'not-pending')
  })

  it('an answer that is not taken leaves no entry', async () => {
    await asked(store(), 'a_silent', { expiresAt: 4000 })
    const size = await store().log.size()
    assert.equal(await answered(store(), 'a_silent', { at: 4000 }), 'expired')
    assert.equal(await answered(store(), 'a_nowhere', {}), 'unknown')
    assert.equal(await store().log.size(), size)
  })
}

function consumeContract({ store }: Fixture): void {
  const use = async (
    call: string,
    ask: Ask,
    at = 4000,
    more: { readonly leg?: boolean; readonly chain?: string; readonly tool?: string } = {},
  ) =>
    (
      await store().calls.intend(
        intendRequest({ call, task: ask.task, agent: ask.agent, ask: ask.id, at, ...more }),
      )
    ).kind

  it('an approval is consumed once, by whichever call is first', async () => {
    const ask = await asked(store(), 'a_once')
    assert.equal(await use('c_before', ask), 'approval-spent')
    await answered(store(), 'a_once', {})
    const kinds = await Promise.all(['c_x', 'c_y', 'c_z'].map((call) => use(call, ask)))
    assert.deepEqual([...kinds].sort(), ['approval-spent', 'approval-spent', 'intended'])
    assert.equal((await store().approvals.get('a_once'))?.state, 'consumed')
    assert.equal(await store().approvals.find(ask.digest, 4000), null)
  })

  it('an approval is of no use after its time, to another task, agent or tool', async () => {
    const ask = await asked(store(), 'a_bound')
    await answered(store(), 'a_bound', {})
    await store().tasks.open(aTask({ id: 't_thief' }), 0, actEntry())
    assert.equal(await use('c_late', ask, 10_000), 'approval-spent')
    assert.equal(await use('c_task', { ...ask, task: 't_thief' }), 'approval-spent')
    assert.equal(await use('c_agent', { ...ask, agent: 'thief' }), 'approval-spent')
    assert.equal(await use('c_tool', ask, 4000, { tool: 'files/delete' }), 'approval-spent')
    assert.equal(await use('c_right', ask), 'intended')
  })

  it('a refused intent does not use the approval up', async () => {
    await store().tasks.open(aTask({ id: 't_poor', budget: { calls: 0 } }), 0, actEntry())
    const ask = await asked(store(), 'a_poor', { task: 't_poor' })
    await answered(store(), 'a_poor', {})
    assert.equal(await use('c_poor', ask), 'budget-spent')
    assert.equal((await store().approvals.get('a_poor'))?.state, 'approved')
  })
}
