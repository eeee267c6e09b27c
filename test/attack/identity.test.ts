import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { at, codeOf, endings, message, ofKind, operators, waitNoMore } from './play.ts'
import { createAgentKey, loadAgentKey } from '../../src/identity/key.ts'
import { generateKeyPair, exportJWK, SignJWT, decodeJwt, UnsecuredJWT } from 'jose'
import { signProof } from '../../src/identity/proof.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import { world, type World } from '../world.ts'

/** Incidents 6, 18, 21 and 23, and the identities that were believed elsewhere: asserted, default, replayed, unbound. */

const ends = endings()
let w: World
before(async () => {
  w = ends.add(
    await world({
      config: waitNoMore,
      agents: { agent: {}, other: {}, narrow: { task: { tools: ['playground/notes_search'] } } },
    }),
  )
})
after(() => ends.close())

const search = message('playground__notes_search', { words: 'office' })
const form = (path: string, fields: { readonly [name: string]: string }) =>
  fetch(new URL(path, w.broker.urls.agents), { method: 'POST', body: new URLSearchParams(fields) })
const assertion = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const proofOf = async (agent: string) => {
  const key = await loadAgentKey(w.home, agent)
  return signProof({ agent, key, audience: new URL('/token', w.broker.urls.agents).href, now: Date.now() })
}
const open = async (agent: string, detail: object) => {
  const response = await form('/token', {
    grant_type: 'client_credentials',
    client_assertion_type: assertion,
    client_assertion: await proofOf(agent),
    authorization_details: JSON.stringify([{ type: 'task', ...detail }]),
  })
  const body: JsonObject = JSON.parse(await response.text())
  return { status: response.status, body }
}
const ended = async (call: () => Promise<{ status: number }>) => assert.equal((await call()).status, 401)

test('without a token there is nothing: no call, no list, no session, on no endpoint (incident 21)', async () => {
  await ended(() => w.post(search))
  await ended(() => w.post(search, { path: '/mcp/playground' }))
  for (const method of [
    'tools/list',
    'server/discover',
    'initialize',
    'resources/read',
    'subscriptions/listen',
    'ping',
  ])
    await ended(() => w.post({ jsonrpc: '2.0', id: 1, method, params: {} }))
  const get = await fetch(new URL('/mcp', w.broker.urls.agents), { headers: { 'mcp-session-id': 's' } })
  assert.equal(get.status, 401)
  const entries = await ofKind(w, 'refused', 'unauthenticated')
  assert.ok(entries.length > 0)
  assert.equal(entries[0]?.['who'], null)
})

test('both listeners are on loopback, and the operators’ one answers nobody without its key (incident 21)', async () => {
  for (const url of Object.values(w.broker.urls)) assert.equal(new URL(url).hostname, '127.0.0.1')
  for (const path of ['/v1/status', '/v1/servers', '/v1/asks', '/v1/audit/recent', '/v1/secrets']) {
    for (const key of [null, 'x', 'A'.repeat(43), 'null', 'undefined'])
      assert.equal((await operators(w, 'GET', path, { key })).status, 401, `${path} ${key}`)
  }
})

test('a token that somebody else signed, or nobody, is refused whatever it says', async () => {
  const good = await w.token()
  const claims = decodeJwt(good)
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(publicKey)
  const signed = (header: object) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', ...header }).sign(privateKey)
  const [head = '', body = '', signature = ''] = good.split('.')
  const forged = Buffer.from(JSON.stringify({ ...claims, act: { sub: 'other' } })).toString('base64url')
  const tokens = [
    new UnsecuredJWT(claims).encode(),
    await signed({}),
    await signed({ jwk }),
    await signed({ kid: JSON.parse(Buffer.from(head, 'base64url').toString()).kid }),
    await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt' })
      .sign(Buffer.from(JSON.stringify(jwk))),
    `${head}.${forged}.${signature}`,
    `${head}.${body}.`,
  ]
  for (const token of tokens) await ended(() => w.post(search, { token }))
})

test('a forged attestation opens no task: the key is the registered one, never one that the proof brings along', async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const audience = new URL('/token', w.broker.urls.agents).href
  const jwt = await new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', jwk: await exportJWK(publicKey) })
    .setIssuer('agent')
    .setSubject('agent')
    .setAudience(audience)
    .setJti('x')
    .setIssuedAt()
    .setExpirationTime('50s')
    .sign(privateKey)
  const response = await form('/token', {
    grant_type: 'client_credentials',
    client_assertion_type: assertion,
    client_assertion: jwt,
  })
  assert.equal(response.status, 401)
})

test('a proof is good once', async () => {
  const fields = {
    grant_type: 'client_credentials',
    client_assertion_type: assertion,
    client_assertion: await proofOf('agent'),
  }
  assert.equal((await form('/token', fields)).status, 200)
  assert.equal((await form('/token', fields)).status, 401)
})

test('a name and a shared secret or an e-mail address are no identity (incident 23)', async () => {
  for (const fields of [
    { client_id: 'agent', client_secret: 'secret' },
    { client_id: 'agent', client_secret: '' },
    { username: 'owner@example.com', password: 'x', grant_type: 'password' },
    { grant_type: 'client_credentials', client_id: 'agent' },
  ])
    assert.notEqual((await form('/token', { grant_type: 'client_credentials', ...fields })).status, 200)
})

test('who it is done for comes from the registration: an agent cannot say that it works for somebody else (incident 23)', async () => {
  for (const detail of [
    { owner: 'director' },
    { agent: 'other' },
    { onBehalfOf: 'director' },
    { environment: 'production' },
  ])
    assert.equal((await open('agent', detail)).status, 400)
  const wrong = await form('/token', {
    grant_type: 'client_credentials',
    client_id: 'other',
    client_assertion_type: assertion,
    client_assertion: await proofOf('agent'),
  })
  assert.equal(wrong.status, 401)
})

test('an agent id that the caller asserts in headers, metadata or arguments changes nothing', async () => {
  const token = await w.token()
  const spoof = {
    'x-agent-id': 'other',
    'x-forwarded-user': 'director',
    'x-countersign-agent': 'other',
    'x-real-ip': '127.0.0.1',
  }
  const body = message('playground__notes_search', { words: 'office' })
  const meta = {
    ...(at(body, 'params', '_meta') as object),
    agent: 'other',
    'countersign/agent': 'other',
    'countersign/call': 'c_x',
  }
  const answer = await w.post(
    { ...body, params: { ...(at(body, 'params') as object), _meta: meta } as never },
    { token, headers: spoof },
  )
  assert.equal(answer.status, 200)
  const last = (await ofKind(w, 'intent')).at(-1)
  assert.equal(at(last, 'who', 'name'), 'agent')
  assert.equal(at(last, 'who', 'onBehalfOf'), 'operator')
  assert.notEqual(last?.['call'], 'c_x')
})

test('no header opens a way in from beside the path: internal keys and forwarded addresses are worth nothing', async () => {
  const inner = {
    authorization: `Bearer ${w.broker.operatorKey}`,
    'x-internal-key': w.broker.operatorKey,
    'x-forwarded-for': '127.0.0.1',
  }
  await ended(() => w.post(search, { headers: inner }))
  assert.equal((await operators(w, 'GET', '/v1/status', { key: await w.token() })).status, 401)
})

test('a session id of another agent is told the same as one that does not exist', async () => {
  const start = {
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } },
  }
  const begin = async (token: string, path: string) => {
    const response = await fetch(new URL(path, w.broker.urls.agents), {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        authorization: `Bearer ${token}`,
      },
      body: JSON.stringify(start),
    })
    await response.text()
    return response.headers.get('mcp-session-id') ?? ''
  }
  const list = async (token: string, path: string, session: string) => {
    const response = await fetch(new URL(path, w.broker.urls.agents), {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        authorization: `Bearer ${token}`,
        'mcp-session-id': session,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/list' }),
    })
    return { status: response.status, text: await response.text() }
  }
  const [mine, theirs] = [await w.token(), await w.token('other')]
  const session = await begin(mine, '/mcp/playground')
  assert.equal((await list(mine, '/mcp/playground', session)).status, 200)
  const stolen = await list(theirs, '/mcp/playground', session)
  const invented = await list(theirs, '/mcp/playground', 's_0000000000000000000000')
  assert.deepEqual(stolen, invented)
  assert.equal(stolen.status, 404)
  assert.equal(
    (await list(mine, '/mcp', session)).status,
    404,
    'a session of one endpoint replayed at another',
  )
  assert.equal(
    (await list(await w.token(), '/mcp/playground', session)).status,
    404,
    'a session of another task',
  )
})

test('a task of another agent cannot be named, narrowed, ended or called with', async () => {
  const task = decodeJwt(await w.token('other'))['task']
  assert.equal((await open('agent', { task })).body['error'], 'invalid_grant')
  assert.equal((await open('agent', { parent: task })).body['error'], 'invalid_grant')
  const revoke = await form('/revoke', {
    token: await w.token('other'),
    client_assertion_type: assertion,
    client_assertion: await proofOf('agent'),
  })
  assert.equal(revoke.status, 400)
  assert.equal((await w.broker.core.tasks.get(String(task)))?.state, 'open')
})

test('a task is never wider than its agent may ask for', async () => {
  for (const detail of [
    { tools: ['*'] },
    { tools: ['playground/*'] },
    { tools: ['playground/payment_send'] },
    { expires_in: 30 * 86_400 },
    { purpose: 'operations' },
  ])
    assert.equal(
      (await open('narrow', detail)).body['error'],
      'invalid_authorization_details',
      JSON.stringify(detail),
    )
})

test('the key of an agent that was never registered opens nothing', async () => {
  await createAgentKey(w.home, 'stranger')
  const response = await form('/token', {
    grant_type: 'client_credentials',
    client_assertion_type: assertion,
    client_assertion: await proofOf('stranger'),
  })
  assert.equal(response.status, 401)
})

test('a token is bound to its agent’s registration: after the agent is gone it opens nothing', async () => {
  const own = ends.add(await world({ agents: { leaving: {} }, config: waitNoMore }))
  const token = await own.token('leaving')
  assert.equal((await own.post(search, { token })).status, 200)
  await own.broker.core.revocations.revoke(
    { key: 'agent:leaving', reason: 'left' },
    { name: 'operator', proof: 'terminal' },
  )
  const refused = await own.post(search, { token })
  assert.equal(refused.status, 401)
  assert.equal(codeOf(refused.body), 'revoked')
})
