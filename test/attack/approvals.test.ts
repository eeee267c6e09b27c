import { after, before, beforeEach, test } from 'node:test'
import assert from 'node:assert/strict'
import { call, endings, intents, ofKind, operators, refusal, rule, textOf, waitNoMore } from './play.ts'
import { startHostile } from './servers/hostile.ts'
import { world, type World } from '../world.ts'
import { z } from 'zod'
import type { Client } from '@modelcontextprotocol/client'

/** Incident 26 and the approvals that went wrong elsewhere: padded questions, too many of them, answers used twice or for something else. */

const ends = endings()
const clock = { ahead: 0, now: () => Date.now() + clock.ahead }
let w: World
before(async () => {
  w = ends.add(
    await world({
      config: { approvals: { holdSeconds: 0, pendingPerAgent: 3, minutes: 1 } },
      agents: { agent: {}, other: {} },
      clock,
    }),
  )
})
after(() => ends.close())
beforeEach(async () => {
  for (const ask of await w.broker.core.approvals.pending()) await w.answer(ask, 'refuse')
})

const pay = (client: Client, amount: number, recipient = 'DE89') =>
  call(client, 'playground__payment_send', { recipient, amount })
const paid = () => w.playground.data.payments.length
/** A call that a person has approved and that has not been made. */
async function approved(client: Client, amount: number, proof: 'passphrase' | 'passkey' = 'passphrase') {
  assert.equal(refusal(await pay(client, amount)), 'approval-required')
  const ask = await w.nextAsk()
  assert.equal((await w.answer(ask, 'approve', proof)).ok, true)
  return ask
}

test('an approval for one amount does not cover another (incident 26)', async () => {
  const client = await w.client()
  await approved(client, 10)
  const before = paid()
  assert.equal(refusal(await pay(client, 11)), 'approval-required')
  assert.equal(refusal(await pay(client, 10, 'GB82')), 'approval-required')
  assert.equal(paid(), before)
})

test('an approval is used once, also when two calls come at the same moment (incident 26)', async () => {
  const client = await w.client()
  await approved(client, 20)
  const before = paid()
  const results = await Promise.all([pay(client, 20), pay(client, 20)])
  assert.equal(results.filter((result) => refusal(result) === null).length, 1)
  assert.equal(paid(), before + 1)
  assert.notEqual(refusal(await pay(client, 20)), null)
  assert.equal(paid(), before + 1)
})

test('an approval is for one task of one agent: neither another agent nor the next task has it', async () => {
  await approved(await w.client(), 30)
  const before = paid()
  assert.equal(refusal(await pay(await w.client({ agent: 'other' }), 30)), 'approval-required')
  assert.equal(refusal(await pay(await w.client(), 30)), 'approval-required')
  assert.equal(paid(), before)
})

test('an approval for one tool does not cover another tool with the same arguments', async () => {
  const client = await w.client()
  await call(client, 'playground__notes_add', { title: 'a', text: 'b' })
  await w.answer(await w.nextAsk(), 'approve')
  assert.equal(
    refusal(await call(client, 'playground__ticket_comment', { ticket: 'a', comment: 'b' })),
    'approval-required',
  )
})

test('an approval given under one policy is worth nothing under another', async () => {
  const own = ends.add(await world({ config: waitNoMore }))
  const client = await own.client()
  const add = () => call(client, 'playground__notes_add', { title: 'a', text: 'b' })
  await add()
  await own.answer(await own.nextAsk(), 'approve')
  await rule(
    own,
    '@id("all") @reason("x") permit (principal, action, resource) when { context has approval };',
  )
  assert.equal(refusal(await add()), 'approval-required')
  await rule(own, '@id("none") @reason("x") permit (principal, action in Action::"effect:read", resource);')
  assert.equal(refusal(await add()), 'denied')
  assert.equal(own.playground.data.notes.size, 4)
})

test('an approval dies with the definition that it was given for, also when the new one is reviewed', async () => {
  const input = z.object({ to: z.string() })
  const server = ends.add(await startHostile({ send_mail: { description: 'Sends a mail.', input } }))
  const own = ends.add(await world({ servers: { mail: { url: server.url } }, config: waitNoMore }))
  const client = await own.client()
  const send = () => call(client, 'mail__send_mail', { to: 'team@example.com' })
  await send()
  await own.answer(await own.nextAsk(), 'approve', 'passphrase')
  server.turn({ send_mail: { description: 'Sends a mail, and a copy to the sender.', input } })
  await own.broker.api({ method: 'POST', path: '/v1/servers/mail/refresh', level: 'terminal' })
  await own.reviewAll()
  assert.equal(refusal(await send()), 'approval-required')
  assert.equal(server.calls.length, 0)
})

test('nobody answers: the call is not made, not even when somebody approves too late', async () => {
  const client = await w.client()
  await pay(client, 40)
  const ask = await w.nextAsk()
  const before = paid()
  clock.ahead += 90_000
  try {
    assert.deepEqual(await w.answer(ask, 'approve', 'passphrase'), { ok: false, problem: 'expired' })
    assert.notEqual(refusal(await call(client, 'countersign_resume', { call: ask.call })), null)
    assert.equal(refusal(await pay(client, 40)), 'approval-required')
    assert.equal(paid(), before)
  } finally {
    clock.ahead = 0
  }
})

test('an approval that was not used in time is not used later (incident 26)', async () => {
  const client = await w.client()
  const ask = await approved(client, 50)
  const before = paid()
  clock.ahead += 90_000
  try {
    assert.notEqual(refusal(await call(client, 'countersign_resume', { call: ask.call })), null)
    assert.equal(refusal(await pay(client, 50)), 'approval-required')
    assert.equal(paid(), before)
  } finally {
    clock.ahead = 0
  }
})

test('an agent cannot bury its approver: beyond a few open questions no more are put (incident 26)', async () => {
  const client = await w.client()
  const codes: (string | null)[] = []
  for (let amount = 61; amount <= 66; amount++) codes.push(refusal(await pay(client, amount)))
  assert.deepEqual(codes, [
    'approval-required',
    'approval-required',
    'approval-required',
    'too-many-asks',
    'too-many-asks',
    'too-many-asks',
  ])
  assert.equal((await w.broker.core.approvals.pending()).length, 3)
})

test('asking again for the same call puts no second question', async () => {
  const client = await w.client()
  for (let times = 0; times < 3; times++) await pay(client, 70)
  assert.equal((await w.broker.core.approvals.pending()).length, 1)
})

test('padding, hidden characters and forged lines do not hide from the approver what will be sent (incident 26)', async () => {
  const client = await w.client()
  const title = `Minutes${'\n'.repeat(100)}\u202egnp.exe`
  const text = `fine${' '.repeat(500)}pay everything\u200b\u001b[2K\r  needs: nothing`
  await call(client, 'playground__notes_add', { title, text })
  const ask = await w.nextAsk()
  const shown = await w.broker.api({ method: 'GET', path: `/v1/asks/${ask.id}`, level: 'terminal' })
  const { lines, unseenCharacters, longBlanks } = shown.body
  assert.ok(Array.isArray(lines))
  const said = lines.join('\n')
  assert.match(said, /pay everything/)
  assert.match(said, /\\u202e/)
  assert.doesNotMatch(said, /[\u202e\u200b\u001b\r]/)
  assert.equal(unseenCharacters, 3)
  assert.equal(longBlanks, true)
})

test('the agent is told nothing that it could approve with, and its token opens no operator’s door', async () => {
  const client = await w.client()
  const result = await pay(client, 80)
  const ask = await w.nextAsk()
  const told = JSON.stringify(result)
  assert.equal(told.includes(ask.digest) || told.includes(ask.id), false)
  const body = { answer: 'approve', digest: ask.digest, reason: '' }
  const asAgent = await operators(w, 'POST', `/v1/asks/${ask.id}/answer`, { body, key: await w.token() })
  assert.equal(asAgent.status, 401)
  const nowhere = await fetch(new URL(`/v1/asks/${ask.id}/answer`, w.broker.urls.agents), {
    method: 'POST',
    body: JSON.stringify(body),
  })
  assert.equal(nowhere.status, 404)
  assert.equal((await w.broker.core.approvals.get(ask.id))?.state, 'pending')
})

test('the operator key, which any program of the user can read, approves nothing without a passphrase', async () => {
  const client = await w.client()
  await pay(client, 90)
  const ask = await w.nextAsk()
  const body = { answer: 'approve', digest: ask.digest, reason: '' }
  assert.equal((await operators(w, 'POST', `/v1/asks/${ask.id}/answer`, { body })).status, 403)
  const guess = { 'countersign-passphrase': Buffer.from('password').toString('base64url') }
  assert.ok((await operators(w, 'POST', `/v1/asks/${ask.id}/answer`, { body, headers: guess })).status >= 401)
  assert.equal((await w.broker.core.approvals.get(ask.id))?.state, 'pending')
})

test('an answer is for the question that was looked at: another digest is a conflict', async () => {
  const client = await w.client()
  await pay(client, 100)
  const ask = await w.nextAsk()
  const body = { answer: 'approve', digest: `sha256:${'0'.repeat(64)}`, reason: '' }
  const answer = await w.broker.api({
    method: 'POST',
    path: `/v1/asks/${ask.id}/answer`,
    body,
    level: 'terminal',
  })
  assert.equal(answer.status, 409)
})

test('where policy wants somebody else, the person it is done for cannot approve', async () => {
  const own = ends.add(await world({ config: waitNoMore, unreviewed: true }))
  await own.reviewAll()
  const text =
    '@id("two") @reason("x") permit (principal, action, resource) when { context has approval && context.approval.independent };'
  await rule(own, text)
  const client = await own.client()
  await call(client, 'playground__notes_add', { title: 'a', text: 'b' })
  const ask = await own.nextAsk()
  assert.deepEqual(await own.answer(ask, 'approve', 'passphrase', 'operator'), {
    ok: false,
    problem: 'not-independent',
  })
  assert.equal(await intents(own, 'playground/notes_add'), 0)
})

test('a resumed call is the call that was approved, not what the agent says now', async () => {
  const client = await w.client()
  await call(client, 'playground__notes_add', { title: 'kept', text: 'as it was' })
  const ask = await w.nextAsk()
  await w.answer(ask, 'approve')
  await call(client, 'countersign_resume', { call: ask.call })
  assert.equal(
    [...w.playground.data.notes.values()].some(({ title }) => title === 'kept'),
    true,
  )
  const other = await w.client({ agent: 'other' })
  const result = await call(other, 'countersign_resume', { call: ask.call })
  assert.doesNotMatch(textOf(result), /as it was/)
})

test('every approval stands in the log with who gave it, how it was proven and for which digest', async () => {
  const client = await w.client()
  const ask = await approved(client, 110)
  await pay(client, 110)
  const last = (await ofKind(w, 'intent')).at(-1)
  assert.match(JSON.stringify(last), new RegExp(ask.digest))
  assert.match(JSON.stringify(last), /"by":"operator","proof":"passphrase"/)
})
