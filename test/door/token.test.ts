import { after, describe, it } from 'node:test'
import assert from 'node:assert/strict'
import { createKey } from '../../src/identity/key.ts'
import { createListener } from '../../src/door/listener.ts'
import { createProofs, signProof } from '../../src/identity/proof.ts'
import { createTokenEndpoint, tokenRoutes } from '../../src/door/token.ts'
import { createTokens } from '../../src/identity/token.ts'
import { agentWith } from '../identity/scratch.ts'
import { operator, world as taskWorld } from '../task/world.ts'
import type { KeyPair } from '../../src/identity/key.ts'

const audience = 'http://127.0.0.1:7316/token'
const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

async function world() {
  const made = await taskWorld()
  const { clock, tasks, store, revocations, key } = made
  const tokens = await createTokens({
    issuer: 'http://127.0.0.1:7316',
    audience: 'http://127.0.0.1:7316/mcp',
    key: createKey(),
  })
  const steady = { now: 0 }
  const refused: string[] = []
  const endpoint = createTokenEndpoint({
    audience,
    proofs: createProofs({
      audience,
      agent: (name) => store.agents.get(name),
      used: store.agents,
      clock,
    }),
    tasks,
    tokens,
    revocations,
    clock,
    onRefused: ({ error }) => refused.push(error),
    monotonic: () => steady.now,
  })
  const proof = (agent = 'coder', pair: KeyPair = key) =>
    signProof({ agent, key: pair, audience, now: clock.now() })
  const form = async (more: { readonly [name: string]: string } = {}) =>
    new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: assertionType,
      client_assertion: await proof(),
      ...more,
    }).toString()
  const detail = (value: object) => ({ authorization_details: JSON.stringify([{ type: 'task', ...value }]) })
  const open = async (value: object = {}) => endpoint.token(await form(detail(value)))
  return { ...made, tokens, endpoint, proof, form, detail, open, refused, steady }
}

const member = (body: unknown, ...path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>(
    (value, name) => (typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined),
    body,
  )

describe('the token endpoint', () => {
  it('opens the default task and gives a token that names it', async () => {
    const { endpoint, form, tokens, clock, tasks } = await world()
    const answer = await endpoint.token(await form())
    assert.equal(answer.status, 200)
    assert.equal(answer.headers?.['Cache-Control'], 'no-store')
    assert.deepEqual([member(answer.body, 'token_type'), member(answer.body, 'expires_in')], ['Bearer', 300])
    const read = await tokens.read(String(member(answer.body, 'access_token')), clock.now())
    assert.ok(read.ok)
    assert.equal(read.claims.task, member(answer.body, 'authorization_details', 0, 'id'))
    assert.equal((await tasks.get(read.claims.task))?.agent, 'coder')
  })

  it('nobody gets anything without a proof, and each counts once', async () => {
    const { endpoint, form, tasks, refused } = await world()
    const bodies = [
      'grant_type=client_credentials',
      'grant_type=client_credentials&client_id=coder&client_secret=x',
      await form({ client_assertion_type: 'other' }),
      await form({ client_assertion: 'x.y.z' }),
      await form({ client_id: 'other' }),
    ]
    for (const body of bodies) {
      const answer = await endpoint.token(body)
      assert.deepEqual([answer.status, member(answer.body, 'error')], [401, 'invalid_client'])
    }
    const used = await form()
    assert.equal((await endpoint.token(used)).status, 200)
    assert.equal((await endpoint.token(used)).status, 401)
    assert.equal((await tasks.list()).length, 1)
    assert.equal(refused.length, 6)
  })

  it('another agent cannot pose as one by naming it', async () => {
    const { endpoint, form, proof, store, acts } = await world()
    const other = createKey()
    await store.agents.add(
      agentWith(other.publicKey, { name: 'other' }),
      acts({ act: 'agent-added', subject: 'other', detail: {} }, operator),
    )
    assert.equal(
      (await endpoint.token(await form({ client_assertion: await proof('coder', other) }))).status,
      401,
    )
    assert.equal(
      (await endpoint.token(await form({ client_assertion: await proof('other', other) }))).status,
      200,
    )
  })

  const wrong: readonly (readonly [string, { readonly [name: string]: string }, string])[] = [
    ['another grant', { grant_type: 'authorization_code' }, 'unsupported_grant_type'],
    ['no grant', { grant_type: '' }, 'invalid_request'],
    ['details that are no JSON', { authorization_details: '[{' }, 'invalid_authorization_details'],
    [
      'details with a name twice',
      { authorization_details: '[{"type":"task","tools":["a/b"],"tools":["*"]}]' },
      'invalid_authorization_details',
    ],
    [
      'two tasks',
      { authorization_details: '[{"type":"task"},{"type":"task"}]' },
      'invalid_authorization_details',
    ],
    ['another type', { authorization_details: '[{"type":"payment"}]' }, 'invalid_authorization_details'],
    [
      'unknown members',
      { authorization_details: '[{"type":"task","owner":"boss"}]' },
      'invalid_authorization_details',
    ],
    [
      'more than the ceiling',
      { authorization_details: '[{"type":"task","budget":{"calls":1000}}]' },
      'invalid_authorization_details',
    ],
    [
      'a purpose of its own',
      { authorization_details: '[{"type":"task","purpose":"incident"}]' },
      'invalid_authorization_details',
    ],
    [
      'a task that does not exist',
      { authorization_details: '[{"type":"task","task":"t_x"}]' },
      'invalid_grant',
    ],
    [
      'a parent that does not exist',
      { authorization_details: '[{"type":"task","parent":"t_x"}]' },
      'invalid_grant',
    ],
    ['another resource', { resource: 'https://elsewhere/mcp' }, 'invalid_target'],
  ]
  it('refuses what it does not understand or may not give', async (t) => {
    const { endpoint, form, tasks } = await world()
    for (const [what, change, error] of wrong) {
      await t.test(what, async () => {
        const answer = await endpoint.token(await form(change))
        assert.deepEqual([answer.status, member(answer.body, 'error')], [400, error])
        assert.match(String(member(answer.body, 'error_description')), /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/)
        assert.deepEqual(await tasks.list(), [])
      })
    }
  })

  it('a parameter that comes twice is refused: two readers could take different ones', async () => {
    const { endpoint, form } = await world()
    assert.equal(
      member((await endpoint.token(`${await form()}&grant_type=client_credentials`)).body, 'error'),
      'invalid_request',
    )
  })

  it('gives a fresh token for an open task, and none once it has ended', async () => {
    const { open, tasks, tokens, clock } = await world()
    const first = await open({ tools: ['files/*'] })
    const id = String(member(first.body, 'authorization_details', 0, 'id'))
    const second = await open({ task: id })
    const read = await tokens.read(String(member(second.body, 'access_token')), clock.now())
    assert.equal(read.ok && read.claims.task, id)
    assert.notEqual(member(second.body, 'access_token'), member(first.body, 'access_token'))
    await tasks.close(id, 'done', operator)
    const third = await open({ task: id })
    assert.deepEqual(
      [third.status, member(third.body, 'error'), member(third.body, 'task_ended')],
      [400, 'invalid_grant', true],
    )
  })

  it('refreshing changes nothing: what comes with it is refused', async () => {
    const { open } = await world()
    const first = await open({ tools: ['files/read'] })
    const id = member(first.body, 'authorization_details', 0, 'id')
    assert.equal(
      member((await open({ task: id, tools: ['*'] })).body, 'error'),
      'invalid_authorization_details',
    )
  })

  it('a sub-task narrows', async () => {
    const { open } = await world()
    const parent = member((await open({ tools: ['files/*'] })).body, 'authorization_details', 0, 'id')
    assert.equal((await open({ parent, tools: ['files/read'] })).status, 200)
    assert.equal((await open({ parent, tools: ['mail/send'] })).status, 400)
  })

  it('a revoked agent, and a revoked task, get no token', async () => {
    const { open, revocations } = await world()
    const id = String(member((await open()).body, 'authorization_details', 0, 'id'))
    await revocations.revoke({ key: `task:${id}`, reason: '' }, operator)
    const again = await open({ task: id })
    assert.deepEqual([again.status, member(again.body, 'task_ended')], [400, undefined])
    await revocations.revoke({ key: 'all', reason: '' }, operator)
    assert.equal((await open()).status, 401)
  })

  it('floods are turned away with 429', async () => {
    const { endpoint, steady } = await world()
    const statuses: number[] = []
    for (let i = 0; i < 201; i += 1)
      statuses.push((await endpoint.token('grant_type=client_credentials')).status)
    assert.deepEqual([statuses[0], statuses[199], statuses[200]], [401, 401, 429])
    steady.now += 1000
    assert.equal((await endpoint.token('grant_type=client_credentials')).status, 401)
  })
})

describe('the revocation endpoint', () => {
  it('closes the task that the token names, even when the token is over', async () => {
    const { open, endpoint, form, tasks, clock } = await world()
    const answer = await open()
    clock.move(400_000)
    const revoked = await endpoint.revoke(await form({ token: String(member(answer.body, 'access_token')) }))
    assert.equal(revoked.status, 200)
    const task = await tasks.get(String(member(answer.body, 'authorization_details', 0, 'id')))
    assert.deepEqual([task?.state, task?.closedBecause], ['closed', 'closed-by-agent'])
  })

  it('is content with tokens that mean nothing, but not with those of another agent', async () => {
    const { open, endpoint, form, proof, store, acts } = await world()
    assert.equal((await endpoint.revoke(await form({ token: 'nonsense' }))).status, 200)
    const other = createKey()
    await store.agents.add(
      agentWith(other.publicKey, { name: 'other' }),
      acts({ act: 'agent-added', subject: 'other', detail: {} }, operator),
    )
    const token = String(member((await open()).body, 'access_token'))
    const answer = await endpoint.revoke(await form({ token, client_assertion: await proof('other', other) }))
    assert.equal(member(answer.body, 'error'), 'unauthorized_client')
    assert.equal((await endpoint.revoke(`token=${token}`)).status, 401)
  })
})

describe('the token endpoint over HTTP', () => {
  it('takes forms by POST, and leaves other paths alone', async () => {
    const { endpoint, form } = await world()
    const routes = tokenRoutes(endpoint)
    const listener = createListener({
      name: 'agents',
      host: '127.0.0.1',
      port: 0,
      routes: async (exchange) => {
        if (!(await routes(exchange))) exchange.answer(404, {})
      },
    })
    const { url } = await listener.listen()
    after(() => listener.close())
    const post = (path: string, init: RequestInit) => fetch(new URL(path, url), { method: 'POST', ...init })
    const given = await post('/token', { body: new URLSearchParams(await form()) })
    assert.equal(given.status, 200)
    assert.equal(given.headers.get('cache-control'), 'no-store')
    assert.equal(
      (await post('/token', { body: '{}', headers: { 'content-type': 'application/json' } })).status,
      415,
    )
    assert.equal((await fetch(new URL('/token', url))).status, 405)
    assert.equal((await post('/other', { body: '' })).status, 404)
    assert.equal(
      (
        await post('/token', {
          body: new URLSearchParams(await form()),
          headers: { origin: 'https://evil.example' },
        })
      ).status,
      403,
    )
  })
})
