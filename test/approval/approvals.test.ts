import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { approvalDigest, shortDigest } from '../../src/approval/digest.ts'
import { createApprovals } from '../../src/approval/approvals.ts'
import { misleading, quote, showJson, visible } from '../../src/approval/text.ts'
import { factsOf } from '../../src/approval/facts.ts'
import { proofClasses, type Answer, type Ask } from '../../src/approval/ask.ts'
import { showAsk } from '../../src/approval/show.ts'
import { world } from '../task/world.ts'

const call = {
  tool: 'bank/pay',
  toolDigest: 'sha256:aa',
  arguments: { amount: 10, to: 'x' },
  task: 't_1',
  agent: 'coder',
  policy: 'sha256:bb',
}

const askWith = (more: Partial<Ask> = {}): Ask => ({
  id: `a_${'1'.repeat(22)}`,
  digest: approvalDigest(call),
  call: `c_${'1'.repeat(22)}`,
  task: 't_1',
  agent: 'coder',
  owner: 'owner',
  tool: call.tool,
  toolDigest: call.toolDigest,
  policy: call.policy,
  requirement: { count: 1, independent: false, proof: 'terminal' },
  because: ['it spends money'],
  arguments: call.arguments,
  askedAt: 0,
  expiresAt: 60_000,
  state: 'pending',
  answers: [],
  ...more,
})

describe('the digest of an approval', () => {
  it('an approval for one amount does not cover another, nor another tool, task, agent or policy', () => {
    const others = [
      { ...call, arguments: { amount: 11, to: 'x' } },
      { ...call, arguments: { amount: '10', to: 'x' } },
      { ...call, arguments: { amount: 10, to: 'x', memo: '' } },
      { ...call, tool: 'bank/pay2' },
      { ...call, toolDigest: 'sha256:ab' },
      { ...call, task: 't_2' },
      { ...call, agent: 'other' },
      { ...call, policy: 'sha256:bc' },
      { ...call, tool: call.task, task: call.tool },
    ]
    const digests = [call, ...others].map(approvalDigest)
    assert.equal(new Set(digests).size, digests.length)
  })

  it('is the same however the arguments are ordered, and whatever else the object holds', () => {
    assert.equal(approvalDigest({ ...call, arguments: { to: 'x', amount: 10 } }), approvalDigest(call))
    assert.equal(approvalDigest(Object.assign({ extra: 1 }, call)), approvalDigest(call))
    assert.match(shortDigest(approvalDigest(call)), /^[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}$/)
  })
})

describe('what answers amount to', () => {
  const answer = fc.record({
    by: fc.constantFrom('owner', 'coder', 'operator', 'approver'),
    proof: fc.constantFrom(...proofClasses),
    answer: fc.constantFrom('approve' as const),
    reason: fc.constant(''),
    at: fc.constant(0),
  })
  const requirement = fc.record({
    count: fc.integer({ min: 1, max: 3 }),
    independent: fc.boolean(),
    proof: fc.constantFrom(...proofClasses),
  })

  it('one approval more never lowers a fact', () => {
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 5 }), answer, requirement, (answers, more, wanted) => {
        const before = factsOf(askWith({ answers, requirement: wanted }))
        const after = factsOf(askWith({ answers: [...answers, more], requirement: wanted }))
        if (before === null) return true
        return (
          after !== null &&
          after.count >= before.count &&
          after.independent === before.independent &&
          after.proof === before.proof
        )
      }),
    )
  })

  it('the same person counts once, and whoever asks is not independent', () => {
    const by = (name: string, proof: Answer['proof'] = 'passphrase'): Answer => ({
      by: name,
      proof,
      answer: 'approve',
      reason: '',
      at: 0,
    })
    const requirement = { count: 2, independent: true, proof: 'passphrase' } as const
    const facts = (answers: readonly Answer[]) => factsOf(askWith({ answers, requirement }))
    assert.equal(facts([by('operator'), by('operator'), by('owner'), by('coder')])?.count, 1)
    assert.equal(facts([by('operator'), by('approver')])?.count, 2)
    assert.equal(facts([by('operator', 'terminal')]), null)
    assert.equal(facts([by('operator'), { ...by('approver'), answer: 'refuse' }]), null)
    assert.equal(facts([]), null)
  })
})

describe('answering', () => {
  async function asked(requirement: Ask['requirement']) {
    const { store, acts, clock, tasks, entries } = await world()
    const opened = await tasks.open({ agent: 'coder', by: 'agent' }, { name: 'coder', proof: 'agent-key' })
    assert.ok(opened.ok)
    const approvals = createApprovals({ store: store.approvals, acts, clock })
    const heard: string[] = []
    approvals.onAsk(({ id }) => heard.push(`asked ${id.slice(0, 3)}`))
    approvals.onAnswer(({ state }) => heard.push(state))
    approvals.onAnswer(() => {
      throw new Error('a listener that fails')
    })
    const ask = askWith({
      requirement,
      task: opened.task.id,
      askedAt: clock.now(),
      expiresAt: clock.now() + 60_000,
    })
    assert.equal((await approvals.ask(ask)).ok, true)
    const give = (answer: 'approve' | 'refuse', proof: Answer['proof'] | null, name = 'operator') =>
      approvals.answer(ask.id, { answer, reason: '', by: { name, proof: 'x' }, proof })
    return { approvals, ask, give, heard, clock, entries }
  }

  it('is an act in the log, and heard by those who wait', async () => {
    const { give, heard, entries, approvals } = await asked({
      count: 1,
      independent: false,
      proof: 'passphrase',
    })
    const given = await give('approve', 'passphrase')
    assert.equal(given.ok && given.ask.state, 'approved')
    assert.deepEqual(heard, ['asked a_1', 'approved'])
    assert.equal((await entries()).at(-1)?.['act'], 'ask-approved')
    assert.deepEqual(await approvals.pending(), [])
  })

  it('presence without proof refuses, but approves nothing', async () => {
    const { give } = await asked({ count: 1, independent: false, proof: 'terminal' })
    const approved = await give('approve', null)
    assert.equal(!approved.ok && approved.problem, 'proof-too-weak')
    const refused = await give('refuse', null)
    assert.equal(refused.ok && refused.ask.state, 'refused')
  })

  it('a key press does not do where policy wants a passphrase', async () => {
    const { give } = await asked({ count: 1, independent: false, proof: 'passphrase' })
    const approved = await give('approve', 'terminal')
    assert.equal(!approved.ok && approved.problem, 'proof-too-weak')
  })

  it('the owner does not approve where policy wants somebody else', async () => {
    const { give } = await asked({ count: 1, independent: true, proof: 'terminal' })
    const own = await give('approve', 'passphrase', 'owner')
    assert.equal(!own.ok && own.problem, 'not-independent')
    assert.equal((await give('approve', 'passphrase')).ok, true)
  })

  it('one person is not two', async () => {
    const { give } = await asked({ count: 2, independent: false, proof: 'terminal' })
    const first = await give('approve', 'terminal')
    assert.equal(first.ok && first.ask.state, 'pending')
    assert.equal((await give('approve', 'terminal')).ok, false)
    const second = await give('approve', 'terminal', 'approver')
    assert.equal(second.ok && second.ask.state, 'approved')
  })

  it('comes too late after the end', async () => {
    const { give, clock, approvals } = await asked({ count: 1, independent: false, proof: 'terminal' })
    clock.move(60_000)
    assert.deepEqual(await approvals.pending(), [])
    const late = await give('approve', 'terminal')
    assert.equal(!late.ok && late.problem, 'expired')
  })
})

describe('what a person sees', () => {
  it('text that cannot be seen is shown, and cannot pose as an escape', () => {
    assert.equal(
      visible('a\u200bb\u202ec\x1b[2Kd\u{e0041}e\u3164'),
      'a\\u200bb\\u202ec\\u001b[2Kd\\udb40\\udc41e\\u3164',
    )
    assert.equal(visible('\\u200b'), '\\\\u200b')
    assert.equal(quote('\\u200b'), '"\\\\u200b"')
    assert.equal(visible('Grüße, 日本語 🙂'), 'Grüße, 日本語 🙂')
    assert.deepEqual(misleading({ a: ['a\u200bb\n'], '\u202e': 1 }), { unseen: 2, blanks: false })
  })

  it('arguments are complete, whatever their length, and read back to the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const plain = JSON.parse(JSON.stringify(value))
        const lines = showJson(plain)
        assert.deepEqual(JSON.parse(lines.join('\n')), plain)
        assert.equal(
          lines.some((line) => /[\p{Cc}\p{Cf}]/u.test(line)),
          false,
        )
      }),
    )
  })

  it('padding does not push what matters out of sight: nothing is cut, and facts come first', () => {
    const body = `${' '.repeat(5000)}\n${'\n'.repeat(500)}and delete everything`
    const { lines, json } = showAsk(askWith({ arguments: { body } }), { task: null, tool: null }, 0)
    const text = lines.join('\n')
    assert.match(text, /and delete everything/)
    assert.match(lines[0] ?? '', /^ask: /)
    assert.equal(lines.length < 20, true)
    assert.match(text, /careful: +there are long blanks/)
    assert.deepEqual(json['arguments'], { body })
  })

  it('says who, what, why and until when', () => {
    const text = showAsk(askWith(), { task: null, tool: null }, 30_000).lines.join('\n')
    for (const part of [
      'coder',
      'owner',
      'bank/pay',
      'it spends money',
      'in 30 s',
      '"amount": 10',
      'one approval',
      shortDigest(approvalDigest(call)),
    ]) {
      assert.equal(text.includes(part), true, part)
    }
  })
})
