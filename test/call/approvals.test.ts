import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { newId } from '../../src/lib/id.ts'
import { demandInvariants, demandVerified } from './invariants.ts'
import {
  askOf,
  endOf,
  field,
  hire,
  offer,
  operator,
  pathWorld,
  policy,
  review,
  text,
  type PathWorld,
  type Wanting,
} from './world.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import type { Leg } from '../../src/call/states.ts'
import type { Task } from '../../src/task/task.ts'

/** What an approval covers: this call, of this task, under this policy, once. */

let w: PathWorld
let task: Task
let agents = 0
before(async () => void (w = await pathWorld({ pendingPerAgent: 100 })))
beforeEach(async () => {
  w.servers.script(() => text('done'))
  const agent = `agent-${(agents += 1)}`
  await hire(w.ground, agent)
  task = await w.open({ agent })
})
after(() => w.close())

const write = (args: JsonObject, wanting: Wanting = {}, of: Task = task) =>
  w.call(of, 'files/write', args, wanting)
const pay = { path: 'invoice-1', text: '100' }

/** Asks, has it approved, and gives the ask. */
async function approved(args: JsonObject, of: Task = task): Promise<string> {
  const ask = askOf(await write(args, {}, of))
  assert.equal(await w.approve(ask), 'approved')
  return ask
}

describe('an approval', () => {
  it('lets the very call through once; the same again asks again', async () => {
    const ask = await approved({ path: 'a', text: '10' })
    const end = await write({ path: 'a', text: '10' })
    assert.equal(endOf(end), 'ok')
    const entry = (await w.entries()).findLast(({ kind }) => kind === 'intent')
    assert.equal(field(entry, 'approval')['ask'], ask)
    const again = askOf(await write({ path: 'a', text: '10' }))
    assert.notEqual(again, ask)
    assert.equal((await w.ask(ask)).state, 'consumed')
  })

  it('of two equal calls at once lets one through', async () => {
    await approved({ path: 'twice' })
    const ends = await Promise.all([1, 2, 3].map(() => write({ path: 'twice' })))
    assert.deepEqual(
      ends.map(endOf).filter((end) => end === 'ok'),
      ['ok'],
    )
  })

  it('for one amount does not cover another, not even by one character', async () => {
    const ask = await approved({ path: 'a', text: '100' })
    for (const args of [
      { path: 'a', text: '1000' },
      { path: 'a', text: '10O' },
      { path: 'a', text: '100 ' },
      { path: 'a' },
      { path: 'A', text: '100' },
    ])
      assert.notEqual(askOf(await write(args)), ask)
    assert.equal(
      endOf(await write({ text: '100', path: 'a' })),
      'ok',
      'the order of members is no difference',
    )
  })

  it('for one task does not cover another, nor another agent', async () => {
    await approved({ path: 'a' })
    const other = await w.open({ agent: task.agent })
    assert.equal(endOf(await write({ path: 'a' }, {}, other)), 'approval-required')
    assert.equal(endOf(await write({ path: 'a' }, {}, await w.open({ agent: 'scout' }))), 'approval-required')
    const child = await w.open({ agent: task.agent, parent: task.id })
    assert.equal(endOf(await write({ path: 'a' }, {}, child)), 'approval-required')
  })

  it('given under one policy is of no use under the next: it asks again', async () => {
    const ask = await approved({ path: 'a' })
    await w.core.policies.swap([{ name: 'test.cedar', text: `${policy}\n// another` }])
    const again = askOf(await write({ path: 'a' }))
    assert.notEqual(again, ask)
    assert.equal(await w.approve(again), 'approved')
    assert.equal(endOf(await write({ path: 'a' })), 'ok')
    await w.core.policies.swap([{ name: 'test.cedar', text: policy }])
  })

  it('does not outweigh a policy that has come to forbid', async () => {
    await approved({ path: 'a' })
    await w.core.policies.swap([
      {
        name: 'test.cedar',
        text: `${policy}\n@id("test/never") forbid (principal, action == Action::"files/write", resource);`,
      },
    ])
    assert.equal(endOf(await write({ path: 'a' })), 'denied')
    await w.core.policies.swap([{ name: 'test.cedar', text: policy }])
    assert.equal(endOf(await write({ path: 'a' })), 'ok', 'under the policy that it was given for it counts')
  })

  it('of a tool that has changed meanwhile is of no use, reviewed or not', async () => {
    const ask = await approved({ path: 'a' })
    await offer(w.core, 'files', ['write'])
    assert.equal(endOf(await write({ path: 'a' })), 'quarantined')
    await review(w.core, 'files/write')
    assert.notEqual(askOf(await write({ path: 'a' })), ask)
    await offer(w.core, 'files')
    await review(w.core, 'files/write')
  })

  it('ends with its time', async () => {
    await approved({ path: 'a' })
    w.clock.move(w.ports.settings.askMs + 1)
    assert.equal(endOf(await write({ path: 'a' })), 'approval-required')
  })

  it('ends with its task', async () => {
    const ask = await approved({ path: 'a' })
    await w.core.tasks.close(task.id, 'done', operator)
    assert.equal(endOf(await write({ path: 'a' })), 'task-closed')
    assert.equal((await w.ask(ask)).state, 'expired')
  })

  it('never lives longer than its task', async () => {
    const short = await w.open({ agent: task.agent, lifetimeMs: 5000 })
    const ask = await w.ask(askOf(await write({ path: 'a' }, {}, short)))
    assert.ok(ask.expiresAt <= short.expiresAt)
  })

  it('that was refused holds until its time is over, however often it is asked for', async () => {
    const asked = askOf(await write({ path: 'a' }))
    assert.equal(await w.refuse(asked), 'refused')
    for (let n = 0; n < 3; n += 1) assert.equal(endOf(await write({ path: 'a' })), 'approval-refused')
    assert.equal(await w.approve(asked), 'not-pending')
    w.clock.move(w.ports.settings.askMs + 1)
    assert.notEqual(askOf(await write({ path: 'a' })), asked)
  })

  it('is asked for once, however often the same call comes; each of them is kept for later', async () => {
    const [one, two] = [newId('c'), newId('c')]
    const ask = askOf(await write({ path: 'a' }, { call: one }))
    assert.equal(askOf(await write({ path: 'a' }, { call: two })), ask)
    for (const call of [one, two]) assert.equal((await w.ground.store.calls.held(call))?.ask, ask)
    assert.deepEqual((await w.ground.store.calls.held(two))?.arguments, { path: 'a' })
  })

  it('is answered about exactly what is sent', async () => {
    const args = { path: 'ключ\u{202e}txt', text: 'x'.repeat(5000) }
    const ask = await w.ask(askOf(await write(args)))
    assert.deepEqual(ask.arguments, args)
    await w.approve(ask.id)
    assert.equal(endOf(await write(args)), 'ok')
    assert.deepEqual(w.servers.reached.at(-1)?.outgoing.arguments, args)
  })
})

describe('an approval by two people who are not the owner, with a passphrase', () => {
  const spend = () => w.call(task, 'bank/pay', pay)

  it('takes two different people', async () => {
    const ask = askOf(await spend())
    assert.deepEqual((await w.ask(ask)).requirement, { count: 2, independent: true, proof: 'passphrase' })
    assert.equal(await w.approve(ask, 'approver'), 'pending')
    assert.equal(await w.approve(ask, 'approver'), 'already-answered')
    assert.equal(endOf(await spend()), 'approval-required')
    assert.equal(await w.approve(ask, 'second'), 'approved')
    assert.equal(endOf(await spend()), 'ok')
    const intent = (await w.entries()).findLast(({ kind }) => kind === 'intent')
    const { answers } = field(intent, 'approval')
    assert.deepEqual(Array.isArray(answers) && answers.map((answer) => answer.by), ['approver', 'second'])
  })

  it('takes neither the owner nor the agent', async () => {
    const ask = askOf(await spend())
    assert.equal(await w.approve(ask, 'owner'), 'not-independent')
    assert.equal(await w.approve(ask, task.agent), 'not-independent')
    assert.equal(await w.approve(ask, 'approver'), 'pending')
    assert.equal(endOf(await spend()), 'approval-required')
  })

  it('takes no key press in the terminal; more proof than asked is as good', async () => {
    const ask = askOf(await spend())
    assert.equal(await w.approve(ask, 'approver', 'terminal'), 'proof-too-weak')
    assert.equal(await w.approve(ask, 'approver', 'passkey'), 'pending')
    assert.equal(await w.approve(ask, 'second', 'passkey'), 'approved')
    assert.equal(endOf(await spend()), 'ok')
  })

  it('is refused by one, and stays so', async () => {
    const ask = askOf(await spend())
    await w.approve(ask, 'approver')
    assert.equal(await w.refuse(ask), 'refused')
    assert.equal(await w.approve(ask, 'third'), 'not-pending')
    assert.equal(endOf(await spend()), 'approval-refused')
  })

  it('is judged again with the answers: approval facts that no longer suffice deny', async () => {
    const ask = askOf(await spend())
    for (const by of ['approver', 'second']) await w.approve(ask, by)
    const snapshot = w.core.policies.snapshot()
    const judged: unknown[] = []
    const policies: typeof w.ports.policies = {
      snapshot: () => ({
        ...snapshot,
        judge: (question) => {
          judged.push(question.approval)
          return question.approval === null
            ? snapshot.judge(question)
            : { ...snapshot.judge(question), decision: 'deny' }
        },
      }),
    }
    assert.equal(endOf(await w.call(task, 'bank/pay', pay, { ports: { policies } })), 'denied')
    assert.deepEqual(judged, [null, { count: 2, independent: true, proof: 'passphrase' }])
    assert.equal((await w.ask(ask)).state, 'approved', 'a denied call uses nothing up')
  })
})

describe('a chain whose server needs more input', () => {
  const asks = (): void =>
    w.servers.script(({ leg }) =>
      leg?.inputResponses['stop'] !== undefined
        ? text('thank you')
        : {
            kind: 'input',
            inputRequests: { name: { method: 'elicitation/create' } },
            requestState: 'theirs',
          },
    )
  const legOf = (ask: string | null, inputResponses: JsonObject = { name: { action: 'decline' } }): Leg => ({
    requestState: 'theirs',
    inputResponses,
    ask,
  })

  it('consumes its approval once and pays once, however many legs it has', async () => {
    asks()
    const chain = newId('c')
    const poor = await w.open({ agent: task.agent, budget: { calls: 1 } })
    const ask = await approved(pay, poor)
    const first = await write(pay, { call: chain }, poor)
    assert.ok(!('refused' in first))
    assert.deepEqual([first.outcome, first.ask], ['suspended', ask])
    const second = await write(pay, { chain, leg: legOf(first.ask) }, poor)
    assert.ok(!('refused' in second))
    assert.deepEqual([second.outcome, second.ask], ['suspended', ask])
    const third = await write(pay, { chain, leg: legOf(second.ask, { stop: { action: 'cancel' } }) }, poor)
    assert.equal(endOf(third), 'ok')
    assert.equal((await w.ground.store.tasks.snapshot(poor.id, 0))?.usage.calls, 1)
    const strange = await write(pay, { chain: newId('c'), leg: legOf(second.ask) }, poor)
    assert.equal(endOf(strange), 'budget-spent', 'a leg that nobody began pays like any call')
    const intents = (await w.entries()).filter((entry) => entry['chain'] === chain)
    assert.deepEqual(
      intents.map((entry) => field(entry, 'approval')['ask']),
      [ask, ask, ask],
    )
  })

  it('asks anew for what is sent back: nobody saw it when the call was approved', async () => {
    asks()
    const chain = newId('c')
    const ask = await approved(pay)
    assert.equal(endOf(await write(pay, { call: chain })), 'suspended')
    const answer = { amount: { action: 'accept', content: { amount: 1_000_000 } } }
    const second = await write(pay, { chain, leg: legOf(ask, answer) })
    assert.notEqual(askOf(second), ask)
    assert.deepEqual((await w.ask(askOf(second))).arguments, { arguments: pay, inputResponses: answer })
  })

  it('does not lend its approval to another call with other arguments, nor to another task', async () => {
    asks()
    const chain = newId('c')
    const ask = await approved(pay)
    assert.equal(endOf(await write(pay, { call: chain })), 'suspended')
    assert.equal(
      endOf(await write({ ...pay, text: '1000' }, { chain, leg: legOf(ask) })),
      'approval-required',
    )
    const other = await w.open({ agent: task.agent })
    assert.equal(endOf(await write(pay, { chain, leg: legOf(ask) }, other)), 'approval-required')
  })

  it('a leg whose approval nobody has used yet is not covered by it', async () => {
    const ask = await approved(pay)
    assert.equal(endOf(await write(pay, { chain: newId('c'), leg: legOf(ask) })), 'approval-required')
    assert.equal(
      endOf(await write(pay, { chain: newId('c'), leg: legOf('a_0000000000000000000000') })),
      'approval-required',
    )
  })

  it('a replayed leg is refused: its call was made', async () => {
    asks()
    const [chain, leg] = [newId('c'), newId('c')]
    const ask = await approved(pay)
    await write(pay, { call: chain })
    assert.equal(endOf(await write(pay, { chain, call: leg, leg: legOf(ask) })), 'suspended')
    const sent = w.servers.reached.length
    assert.equal(endOf(await write(pay, { chain, call: leg, leg: legOf(ask) })), 'already-made')
    assert.equal(w.servers.reached.length, sent)
  })

  it('that began without an approval asks when policy comes to want one, shows what is sent back, and consumes it once', async () => {
    asks()
    const wizard = (wanting: Wanting = {}) => w.call(task, 'files/wizard', { path: 'a' }, wanting)
    const chain = newId('c')
    const first = await wizard({ call: chain })
    assert.ok(!('refused' in first))
    assert.deepEqual([first.outcome, first.ask], ['suspended', null])
    // What the server asked has made the task untrusted: the next leg takes a person.
    const leg = legOf(null, { name: 'x' })
    const ask = await w.ask(askOf(await wizard({ chain, leg })))
    assert.deepEqual(ask.arguments, { arguments: { path: 'a' }, inputResponses: { name: 'x' } })
    await w.approve(ask.id)
    const second = await wizard({ chain, leg })
    assert.ok(!('refused' in second))
    assert.deepEqual([second.outcome, second.ask], ['suspended', ask.id])
    assert.equal((await w.ask(ask.id)).state, 'consumed')

    // I4: another leg that sends the very same back is another call, and the next leg of this chain goes on.
    assert.notEqual(askOf(await wizard({ chain, leg })), ask.id)
    const last = legOf(second.ask, { stop: true })
    const third = await w.ask(askOf(await wizard({ chain, leg: last })))
    await w.approve(third.id)
    assert.equal(endOf(await wizard({ chain, leg: last })), 'ok')
  })

  it('whose policy changes on the way asks again, and goes on when a person says so', async () => {
    asks()
    const chain = newId('c')
    const ask = await approved(pay)
    assert.equal(endOf(await write(pay, { call: chain })), 'suspended')
    await w.core.policies.swap([{ name: 'test.cedar', text: `${policy}\n// between two legs` }])
    const leg = legOf(ask, { stop: true })
    const again = askOf(await write(pay, { chain, leg }))
    assert.equal(await w.approve(again), 'approved')
    assert.equal(endOf(await write(pay, { chain, leg })), 'ok')
    await w.core.policies.swap([{ name: 'test.cedar', text: policy }])
  })
})

describe('after all of it', () => {
  it('I4: each approval was used by one chain, and the log verifies', async () => {
    await demandInvariants(w)
    await demandVerified(w)
  })
})
