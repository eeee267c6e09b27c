import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { alpha, beta, post, settled, start, text, type Answer, type Harness } from './harness.ts'
import type { JsonObject } from '../../../src/lib/json.ts'

/** Sessions of revisions before 2026-07-28: bound to the identity and the task, proof of nothing. */
let h: Harness
beforeEach(async () => {
  h = await start({ sessionsPerAgent: 2, sessionIdleMs: 60_000, holdMs: 30 })
})
afterEach(() => h.stop())

const as = (token: string, session: string | null = null) => ({
  authorization: `Bearer ${token}`,
  ...(session === null ? {} : { 'mcp-session-id': session }),
})
const initialize = (version = '2025-11-25', capabilities: JsonObject = {}): JsonObject => ({
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: version, capabilities, clientInfo: { name: 'test', version: '1' } },
})
const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }

async function open(
  token: string = alpha.token,
  path = '/mcp',
  capabilities: JsonObject = {},
): Promise<string> {
  const answer = await post(h.url + path, initialize('2025-11-25', capabilities), as(token))
  return answer.headers.get('mcp-session-id') ?? ''
}
const pinged = async (token: string, session: string, path = '/mcp') =>
  (await post(h.url + path, ping, as(token, session))).status
const resultOf = (answer: Answer): JsonObject => answer.body['result'] as JsonObject

describe('initialize', () => {
  test('answers a known revision with itself and any other with the newest', async () => {
    for (const [asked, given] of [
      ['2025-03-26', '2025-03-26'],
      ['2025-06-18', '2025-06-18'],
      ['2024-11-05', '2025-11-25'],
      ['2026-07-28', '2025-11-25'],
    ] as const) {
      assert.equal(resultOf(await post(`${h.url}/mcp`, initialize(asked)))['protocolVersion'], given)
    }
  })

  test('says what was expected', async () => {
    const answer = await post(`${h.url}/mcp`, { ...initialize(), params: { protocolVersion: 5 } })
    assert.match(answer.text, /-32602.*`protocolVersion`, `capabilities` and `clientInfo`/)
  })

  test('declares nothing that is not kept', async () => {
    const { capabilities } = resultOf(await post(`${h.url}/mcp`, initialize()))
    assert.deepEqual(capabilities, {
      tools: { listChanged: true },
      prompts: { listChanged: true },
      resources: { listChanged: true, subscribe: true },
      completions: {},
      logging: {},
    })
    const session = await open()
    const unknown = await post(
      `${h.url}/mcp`,
      { jsonrpc: '2.0', id: 1, method: 'tasks/list', params: {} },
      as(alpha.token, session),
    )
    assert.match(unknown.text, /-32601.*not served here/)
  })
})

describe('a session', () => {
  test('is nothing in the hands of another agent, another task, or at another endpoint: told as if unknown', async () => {
    const session = await open()
    assert.equal(await pinged(alpha.token, session), 200)
    const unknown = await post(`${h.url}/mcp`, ping, as(alpha.token, 's_0000000000000000000000'))
    for (const [token, path] of [
      [beta.token, '/mcp'],
      ['alpha.t_other', '/mcp'],
      [alpha.token, '/mcp/files'],
    ] as const) {
      const answer = await post(h.url + path, ping, as(token, session))
      assert.deepEqual([answer.status, answer.body], [404, unknown.body])
    }
  })

  test('does not stand in for a token', async () => {
    const session = await open()
    assert.equal(
      (await post(`${h.url}/mcp`, ping, { ...as(alpha.token, session), authorization: null })).status,
      401,
    )
    h.revoked.add(alpha.token)
    assert.equal(await pinged(alpha.token, session), 401)
  })

  test('is asked for when it is missing', async () => {
    const answer = await post(`${h.url}/mcp`, ping)
    assert.match(`${answer.status} ${answer.text}`, /^400 .*send `initialize` first/)
  })

  test('takes the protocol versions of sessions alone', async () => {
    const session = await open()
    const answer = await post(`${h.url}/mcp`, ping, {
      ...as(alpha.token, session),
      'mcp-protocol-version': '1999-01-01',
    })
    assert.match(`${answer.status} ${answer.text}`, /^400 .*expected one of 2025-11-25/)
  })

  test('ends with DELETE, after rest, and when its agent opens too many; others’ stay', async () => {
    const others = await open(beta.token)
    const first = await open()
    const remove = (session: string) =>
      fetch(`${h.url}/mcp`, { method: 'DELETE', headers: as(alpha.token, session) })
    assert.equal((await remove(others)).status, 404)
    assert.equal((await remove(first)).status, 204)
    assert.equal(await pinged(alpha.token, first), 404)

    const [a, b] = [await open(), await open()]
    await pinged(alpha.token, a)
    await open()
    assert.deepEqual([await pinged(alpha.token, a), await pinged(alpha.token, b)], [200, 404])

    h.now += 60_000
    assert.equal(await pinged(alpha.token, a), 404)
    assert.equal(await pinged(beta.token, others), 404)
  })

  test('goes on at another node with the same keys, for its own agent only, until it was ended there', async () => {
    const other = await start({ sessionsPerAgent: 2, sessionIdleMs: 60_000 })
    try {
      const session = await open()
      const at = async (token: string) => (await post(`${other.url}/mcp`, ping, as(token, session))).status
      assert.equal(await at(beta.token), 404)
      assert.equal(await at(alpha.token), 200)
      const forged = `${session.slice(0, -4)}AAAA`
      assert.equal((await post(`${other.url}/mcp`, ping, as(alpha.token, forged))).status, 404)
      await fetch(`${other.url}/mcp`, { method: 'DELETE', headers: as(alpha.token, session) })
      assert.equal(await at(alpha.token), 404)
    } finally {
      await other.stop()
    }
  })

  test('cancels by notification only what is its own', async () => {
    const mine = await open()
    const theirs = await open(beta.token)
    const started = Promise.withResolvers<void>()
    h.script = (arrival) =>
      new Promise((resolve) => {
        started.resolve()
        arrival.signal.addEventListener('abort', () =>
          resolve(settled(arrival, { kind: 'unknown', problem: 'cancelled', detail: '' })),
        )
      })
    const called = post(
      `${h.url}/mcp`,
      { jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'files__read_file' } },
      as(alpha.token, mine),
    )
    await started.promise
    const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 5 } }
    assert.equal((await post(`${h.url}/mcp`, cancel, as(beta.token, theirs))).status, 202)
    assert.equal(h.arrivals[0]?.signal.aborted, false)
    await post(`${h.url}/mcp`, cancel, as(alpha.token, mine))
    assert.match((await called).text, /may or may not have been carried out/)
  })

  test('uses each id once at a time', async () => {
    const session = await open()
    const gate = Promise.withResolvers<void>()
    const started = Promise.withResolvers<void>()
    h.script = async (arrival) => {
      started.resolve()
      await gate.promise
      return settled(arrival, text('ok'))
    }
    const body = { jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'files__read_file' } }
    const first = post(`${h.url}/mcp`, body, as(alpha.token, session))
    await started.promise
    assert.match((await post(`${h.url}/mcp`, body, as(alpha.token, session))).text, /use each id once/)
    gate.resolve()
    assert.equal((await first).status, 200)
  })

  test('an answer to a question of ours counts only in the session that was asked', async () => {
    const mine = await open(alpha.token, '/mcp', { elicitation: {} })
    const theirs = await open(beta.token)
    h.script = (arrival) =>
      arrival.leg === null
        ? settled(arrival, {
            kind: 'input',
            requestState: null,
            inputRequests: {
              q: {
                method: 'elicitation/create',
                params: { message: 'sure?', requestedSchema: { type: 'object', properties: {} } },
              },
            },
          })
        : settled(arrival, text(JSON.stringify(arrival.leg.inputResponses)))
    const response = await fetch(`${h.url}/mcp`, {
      method: 'POST',
      headers: {
        ...as(alpha.token, mine),
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 5,
        method: 'tools/call',
        params: { name: 'files__read_file' },
      }),
    })
    assert.ok(response.body)
    let heard = ''
    let id = ''
    for await (const chunk of response.body) {
      heard += Buffer.from(chunk).toString()
      const asked = /"id":"(e_\w+)"/.exec(heard)?.[1]
      if (asked === undefined || id !== '') continue
      id = asked
      const answer = (action: string) => ({ jsonrpc: '2.0', id, result: { action } })
      assert.equal((await post(`${h.url}/mcp`, answer('accept'), as(beta.token, theirs))).status, 202)
      assert.equal((await post(`${h.url}/mcp`, answer('decline'), as(alpha.token, mine))).status, 202)
    }
    assert.match(heard, /"text":"\{\\"q\\":\{\\"action\\":\\"decline\\"\}\}"/)
  })

  test('has one stream, which ends when its access does and tells nothing more', async () => {
    await h.stop()
    h = await start({ recheckMs: 60_000 })
    const session = await open()
    const get = () =>
      fetch(`${h.url}/mcp`, { headers: { ...as(alpha.token, session), accept: 'text/event-stream' } })
    const stream = await get()
    assert.equal(stream.headers.get('content-type'), 'text/event-stream')
    assert.equal((await get()).status, 409)
    h.revoked.add(alpha.token)
    assert.ok(stream.body)
    let heard = ''
    h.changed()
    for await (const chunk of stream.body) heard += Buffer.from(chunk).toString()
    assert.doesNotMatch(heard, /list_changed/)
  })

  test('a stream ends with its access although nothing changes', async () => {
    const session = await open()
    const stream = await fetch(`${h.url}/mcp`, {
      headers: { ...as(alpha.token, session), accept: 'text/event-stream' },
    })
    h.revoked.add(alpha.token)
    await stream.text()
  })
})
