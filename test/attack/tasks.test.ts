import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { at, call, endings, intents, message, ofKind, refusal, textOf, waitNoMore } from './play.ts'
import { createAccesses } from '../../src/cli/bridge/access.ts'
import { decodeJwt } from 'jose'
import { loadAgentKey } from '../../src/identity/key.ts'
import { resolve } from 'node:path'
import { startHostile } from './servers/hostile.ts'
import { world, type World } from '../world.ts'
import { z } from 'zod'

/** Incidents 8, 15, 19 and 28, and limits that were reset, forgotten or leaked elsewhere: what a task may do, and when it ends. */

const ends = endings()
const by = { name: 'operator', proof: 'terminal' }
let w: World
before(async () => {
  w = ends.add(
    await world({
      config: { ...waitNoMore, policy: { starter: 'observe' } },
      agents: {
        agent: {},
        few: { task: { budget: { calls: 3 } } },
        careful: { task: { budget: { effects: { spend: 1 } } } },
        narrow: { task: { tools: ['playground/notes_search'] } },
        one: {},
        two: {},
      },
    }),
  )
})
after(() => ends.close())

const search = (words: string) => message('playground__notes_search', { words })
const revoke = (key: string) => w.broker.core.revocations.revoke({ key, reason: 'test' }, by)
const lift = (key: string) => w.broker.core.revocations.lift({ key, reason: 'test' }, by)
const taskOf = (token: string) => String(decodeJwt(token)['task'])

test('a tool of production is out of reach of a task for development, however it came by the name', async () => {
  const server = ends.add(
    await startHostile({
      drop_database: { description: 'Drops a database.', input: z.object({ name: z.string() }) },
    }),
  )
  const own = ends.add(
    await world({ servers: { db: { url: server.url, environment: 'production' } }, config: waitNoMore }),
  )
  const client = await own.client()
  assert.equal(refusal(await call(client, 'db__drop_database', { name: 'customers' })), 'denied')
  assert.deepEqual(server.calls, [])
})

test('a destructive call asks with proof, and in production somebody else has to answer', async () => {
  const server = ends.add(
    await startHostile({
      drop_database: { description: 'Drops a database.', input: z.object({ name: z.string() }) },
    }),
  )
  const own = ends.add(
    await world({
      servers: { db: { url: server.url, environment: 'production' } },
      config: { ...waitNoMore, environment: 'production' },
    }),
  )
  const client = await own.client()
  assert.equal(refusal(await call(client, 'db__drop_database', { name: 'customers' })), 'approval-required')
  const ask = await own.nextAsk()
  assert.deepEqual({ ...ask.requirement }, { count: 1, independent: true, proof: 'passphrase' })
  assert.deepEqual(await own.answer(ask, 'approve', 'passphrase', 'operator'), {
    ok: false,
    problem: 'not-independent',
  })
  assert.deepEqual(server.calls, [])
})

test('a budget of calls ends, also when they all come at once', async () => {
  const token = await w.token('few')
  const before = w.playground.data.payments.length
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, amount) =>
      w.post(message('playground__payment_send', { recipient: 'DE1', amount: amount + 1 }), { token }),
    ),
  )
  assert.equal(
    answers.filter(({ body }) => at(body, 'result', 'isError') !== true && at(body, 'error') === undefined)
      .length,
    3,
  )
  assert.equal(w.playground.data.payments.length, before + 3)
})

test('a fresh token, a new session or another name for it brings no fresh budget to a task', async () => {
  const own = ends.add(
    await world({
      config: { policy: { starter: 'observe' } },
      agents: { few: { task: { budget: { calls: 2 } } } },
    }),
  )
  const key = await loadAgentKey(own.home, 'few')
  const access = createAccesses({ agent: 'few', key, base: async () => own.broker.urls.agents })
  const first = await access.get()
  for (const words of ['a', 'b'])
    assert.equal((await own.post(search(words), { token: first.token })).status, 200)
  const renewed = await access.renew(first)
  assert.equal(taskOf(renewed.token), taskOf(first.token))
  assert.notEqual(renewed.token, first.token)
  const headers = { 'mcp-session-id': 's_new', 'x-session-id': 'new' }
  assert.equal(
    at(
      (await own.post(search('c'), { token: renewed.token, headers })).body,
      'result',
      '_meta',
      'countersign/refusal',
      'code',
    ),
    'budget-spent',
  )
  assert.equal(await intents(own, 'playground/notes_search'), 2)
})

test('a sub-task takes from what its parent has left: splitting up makes nothing more', async () => {
  const opened = await w.broker.core.tasks.open({ agent: 'few', by: 'person' }, by)
  assert.ok(opened.ok)
  const parent = opened.task.id
  for (const calls of [4, 100])
    assert.equal(
      (await w.broker.core.tasks.open({ agent: 'few', by: 'person', parent, budget: { calls } }, by)).ok,
      false,
    )
})

test('a budget for spending is spent, whatever else the task may do', async () => {
  const client = await w.client({ agent: 'careful' })
  assert.equal(refusal(await call(client, 'playground__payment_send', { recipient: 'DE1', amount: 1 })), null)
  assert.equal(
    refusal(await call(client, 'playground__payment_send', { recipient: 'DE1', amount: 2 })),
    'budget-spent',
  )
  assert.equal(refusal(await call(client, 'playground__notes_search', { words: 'a' })), null)
})

test('a list holds only what the task may use, and a tool outside it is told the same as one that does not exist', async () => {
  const client = await w.client({ agent: 'narrow' })
  const { tools } = await client.listTools()
  assert.deepEqual(
    tools.map(({ name }) => name),
    ['playground__notes_search', 'countersign_resume', 'countersign_status'],
  )
  assert.deepEqual((await client.listResources()).resources, [])
  assert.deepEqual((await client.listPrompts()).prompts, [])
  const token = await w.token('narrow')
  const told = async (name: string) =>
    JSON.stringify((await w.post(message(name, { recipient: 'DE1', amount: 1 }), { token })).body).replaceAll(
      /c_[A-Za-z0-9]{22}/g,
      'c',
    )
  assert.equal(await told('playground__payment_send'), await told('playground__payment_burn'))
  const entry = (await ofKind(w, 'refused', 'unknown-tool')).at(-2)
  assert.match(String(entry?.['reason']), /outside the task/)
})

test('a revocation of an agent, task, tool, server or everything refuses the next call, and lifting it is an act of its own', async () => {
  const token = await w.token()
  const works = async () =>
    at((await w.post(search('a'), { token })).body, 'result', 'isError') === undefined &&
    (await w.post(search('a'), { token })).status === 200
  for (const key of [
    'agent:agent',
    `task:${taskOf(token)}`,
    'tool:playground/notes_search',
    'server:playground',
    'person:operator',
    'all',
    `token:${String(decodeJwt(token)['jti'])}`,
  ]) {
    assert.equal(await works(), true, key)
    const before = await intents(w, 'playground/notes_search')
    await revoke(key)
    assert.equal(await works(), false, key)
    assert.equal(await intents(w, 'playground/notes_search'), before, key)
    await lift(key)
  }
  const acts = (await ofKind(w, 'act')).map((entry) => entry['act'])
  assert.ok(acts.includes('revoked') || acts.some((act) => String(act).includes('revo')))
})

test('a revocation in the middle of a call keeps its answer back', async () => {
  const client = await w.client()
  const running = call(client, 'playground__count_slowly', { to: 20, pauseMs: 100 })
  await new Promise((after) => setTimeout(after, 500))
  await revoke('agent:agent')
  const result = await running.catch(() => null)
  await lift('agent:agent')
  if (result !== null) {
    assert.doesNotMatch(textOf(result), /Counted to 20/)
    assert.notEqual(refusal(result), null)
  }
})

test('a revocation holds after a restart', async () => {
  const home = `${w.home}-again`
  const first = await world({ config: { home } })
  await first.broker.core.revocations.revoke({ key: 'agent:agent', reason: 'test' }, by)
  await first.close()
  const second = ends.add(await world({ config: { home } }))
  await assert.rejects(second.token(), /revoked/)
})

test('when a task ends, everything that hung on it ends: its token, its sub-tasks, its waiting calls', async () => {
  const own = ends.add(await world({ config: waitNoMore }))
  const client = await own.client()
  await call(client, 'playground__notes_add', { title: 'a', text: 'b' })
  const ask = await own.nextAsk()
  const child = await own.broker.core.tasks.open({ agent: 'agent', by: 'agent', parent: ask.task }, by)
  assert.ok(child.ok)
  await own.answer(ask, 'approve')
  await own.broker.core.tasks.close(ask.task, 'completed', by)
  const results = [
    await call(client, 'playground__notes_add', { title: 'a', text: 'b' }).then(refusal, () => 'refused'),
    await call(client, 'countersign_resume', { call: ask.call }).then(refusal, () => 'refused'),
  ]
  assert.equal(results.includes(null), false, results.join())
  assert.equal(own.playground.data.notes.size, 4)
  assert.equal((await own.broker.core.tasks.get(child.task.id))?.state, 'closed')
})

test('two tasks never share a process of a server: what one left in it the other cannot find, nor the broker’s environment', async () => {
  const memory = resolve(import.meta.dirname, 'servers/memory.ts')
  const own = ends.add(
    await world({
      servers: { memory: { command: process.execPath, args: [memory], env: { TENANT: 'x' } } },
      config: { policy: { starter: 'observe' } },
      agents: { one: {}, two: {} },
    }),
  )
  const [one, two] = [await own.client({ agent: 'one' }), await own.client({ agent: 'two' })]
  await call(one, 'memory__put_word', { word: 'left' })
  assert.match(textOf(await call(one, 'memory__get_word')), /left/)
  assert.match(textOf(await call(two, 'memory__get_word')), /nothing/)
  const environment = textOf(await call(two, 'memory__get_environment'))
  assert.match(environment, /TENANT/)
  assert.doesNotMatch(environment, /HOME|npm_|SSH_|TOKEN/)
})

test('a token that lies around opens one task for minutes, and none of a server’s credentials is in it', async () => {
  const claims = decodeJwt(await w.token())
  assert.ok((claims.exp ?? 0) - (claims.iat ?? 0) <= 300)
  assert.deepEqual(Object.keys(claims).sort(), [
    'act',
    'aud',
    'client_id',
    'exp',
    'iat',
    'iss',
    'jti',
    'sub',
    'task',
  ])
})
