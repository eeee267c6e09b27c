import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import { approvalDigest } from '../../../src/approval/digest.ts'
import { createKey } from '../../../src/identity/key.ts'
import { StoreUnavailable } from '../../../src/store/ports.ts'
import { key, passphrase, world } from './world.ts'
import type { Answer } from '../../../src/door/operator/route.ts'

const codeOf = ({ body }: Answer): unknown => {
  const error = body['error']
  return typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

describe("who may use the operators' API", () => {
  it('nobody without the key, on any route', async () => {
    const { api } = await world()
    for (const headers of [
      {},
      { authorization: 'Bearer nope' },
      { authorization: `Basic ${key}` },
      { cookie: `key=${key}` },
    ]) {
      for (const path of ['/v1/status', '/v1/secrets', '/nowhere'])
        assert.equal((await api({ method: 'GET', path, headers })).status, 401)
    }
  })

  const widening: readonly (readonly [string, string, unknown])[] = [
    ['POST', '/v1/agents', { name: 'x', publicKey: {} }],
    ['PUT', '/v1/agents/coder/key', { publicKey: {} }],
    ['POST', '/v1/servers', { name: 'evil', config: { command: 'sh' } }],
    ['POST', '/v1/tools/a%2Fb/review', { digest: 'd', accept: true }],
    ['PUT', '/v1/policy', { files: [{ name: 'a.cedar', text: 'permit(principal, action, resource);' }] }],
    ['PUT', '/v1/secrets/api', { value: 'x' }],
    ['DELETE', '/v1/revocations/all', {}],
    ['POST', '/v1/tasks/t_1/labels', { confidentiality: 'public', integrity: 'trusted', reason: 'x' }],
    ['POST', '/v1/tasks', { agent: 'coder', purpose: 'incident' }],
    ['POST', '/v1/calls', { server: 'a', name: 'b' }],
    ['POST', '/v1/asks/a_1/answer', { answer: 'approve', digest: 'd' }],
  ]
  it('an agent that reads the key file widens nothing', async (t) => {
    const { send, setPassphrase, asked, arrivals } = await world()
    await setPassphrase()
    for (const [method, path, body] of widening) {
      await t.test(`${method} ${path}`, async () => {
        const answer = await send(method, path, { body })
        assert.deepEqual([answer.status, codeOf(answer)], [403, 'needs-proof'])
      })
    }
    assert.deepEqual([asked, arrivals], [[], []])
  })

  it('a wrong passphrase proves nothing, and does not fall back to the key', async () => {
    const { send, setPassphrase, proved } = await world()
    await setPassphrase()
    const headers = { ...proved, 'countersign-passphrase': Buffer.from('wrong').toString('base64url') }
    assert.equal(codeOf(await send('GET', '/v1/status', { headers })), 'wrong-passphrase')
  })

  it('the terminal needs no key, and only this process can be it', async () => {
    const { api, send } = await world()
    const status = await api({ method: 'GET', path: '/v1/status', level: 'terminal' })
    assert.deepEqual(status.body['you'], { name: 'operator', level: 'terminal' })
    const posing = await send('GET', '/v1/status', {
      headers: { authorization: `Bearer ${key}`, level: 'terminal', 'countersign-level': 'terminal' },
    })
    assert.deepEqual(posing.body['you'], { name: 'operator', level: 'present' })
  })

  it('the key alone sets no passphrase; the terminal sets the first one, and after that the passphrase itself', async () => {
    const { api, send, prove, entries } = await world()
    const path = '/v1/operators/operator/passphrase'
    assert.equal(codeOf(await send('PUT', path, { body: { passphrase } })), 'needs-proof')
    const body = { passphrase }
    assert.equal(
      codeOf(await api({ method: 'PUT', path, body: { passphrase: 'short' }, level: 'terminal' })),
      'bad-request',
    )
    assert.equal((await api({ method: 'PUT', path, body, level: 'terminal' })).status, 200)
    const taken = await send('PUT', path, { body: { passphrase: 'an agent that takes over' } })
    assert.equal(codeOf(taken), 'needs-proof')
    assert.equal((await prove('GET', '/v1/status')).status, 200)
    assert.equal((await entries()).at(-1)?.['act'], 'passphrase-set')
  })
})

describe("requests to the operators' API", () => {
  it('unknown members, wrong types and unknown routes are errors that say what to do', async () => {
    const { api } = await world()
    const send = (method: string, path: string, body?: unknown, query = {}) =>
      api({ method, path, body, query, level: 'terminal' })
    assert.equal(codeOf(await send('POST', '/v1/revocations', { key: 'all', extra: 1 })), 'bad-request')
    assert.equal(codeOf(await send('POST', '/v1/revocations', { key: 5 })), 'bad-request')
    assert.equal(codeOf(await send('POST', '/v1/revocations', { key: 'everything' })), 'bad-request')
    assert.equal(codeOf(await send('POST', '/v1/revocations')), 'bad-request')
    assert.equal(codeOf(await send('GET', '/v1/tasks', undefined, { agnet: 'x' })), 'bad-request')
    assert.equal(codeOf(await send('GET', '/v1/nothing')), 'not-found')
    assert.equal(codeOf(await send('PUT', '/v1/agents', {})), 'method-not-allowed')
    assert.equal(codeOf(await send('GET', '/v1/tasks/%zz')), 'bad-request')
    const { body } = await send('GET', '/v1/nothing')
    assert.deepEqual(Object.keys(Object(body['error'])), ['code', 'message', 'hint'])
  })

  it('a secret never comes back, not even in an error', async () => {
    const { prove, setPassphrase, asked } = await world()
    await setPassphrase()
    const answers = [
      await prove('PUT', '/v1/secrets/api', { value: 'sk-very-secret' }),
      await prove('PUT', '/v1/secrets/api', { value: { inner: 'sk-very-secret' } }),
      await prove('PUT', '/v1/secrets/BAD', { value: 'sk-very-secret' }),
      await prove('GET', '/v1/secrets'),
    ]
    assert.equal(asked.length, 1)
    assert.doesNotMatch(JSON.stringify(answers), /sk-very-secret/)
  })

  it("a fault tells the operator's terminal, not the caller", async () => {
    const { send, faults } = await world()
    const answer = await send('GET', '/v1/servers')
    assert.equal(answer.status, 500)
    assert.doesNotMatch(JSON.stringify(answer), /secret/)
    assert.equal(faults.length, 1)
  })

  it('what could not be made durable was not done', async () => {
    const { send, store, revocations } = await world()
    await store.close()
    const answer = await send('POST', '/v1/revocations', { body: { key: 'all' } })
    assert.equal(answer.status >= 500, true)
    assert.equal(revocations.first([]), null)
    assert.equal(new StoreUnavailable('x').name, 'StoreUnavailable')
  })
})

describe('what operators do', () => {
  it('agents: add, rotate, revoke', async () => {
    const { prove, send, setPassphrase, tasks, revocations, store } = await world()
    await setPassphrase()
    const added = await prove('POST', '/v1/agents', {
      name: 'writer',
      publicKey: createKey().publicKey,
      task: { tools: ['files/*'], budget: { calls: 3 }, idleMinutes: 5 },
    })
    assert.equal(added.status, 201)
    assert.deepEqual((await store.agents.get('writer'))?.template.budget, { calls: 3 })
    assert.equal(
      codeOf(await prove('POST', '/v1/agents', { name: 'writer', publicKey: createKey().publicKey })),
      'conflict',
    )
    assert.equal(
      codeOf(await prove('POST', '/v1/agents', { name: 'operator', publicKey: createKey().publicKey })),
      'conflict',
    )
    assert.equal(
      codeOf(await prove('POST', '/v1/agents', { name: 'rsa', publicKey: { kty: 'RSA' } })),
      'bad-request',
    )
    const opened = await send('POST', '/v1/tasks', { body: { agent: 'writer', words: 'draft' } })
    assert.equal(opened.status, 201)
    assert.equal(
      (await prove('PUT', '/v1/agents/writer/key', { publicKey: createKey().publicKey })).status,
      200,
    )
    assert.deepEqual(await tasks.list({ agent: 'writer', state: 'open' }), [])
    assert.equal((await send('DELETE', '/v1/agents/writer', { body: { reason: 'done' } })).status, 200)
    assert.equal(revocations.first(['agent:writer']), 'agent:writer')
    assert.equal(codeOf(await send('DELETE', '/v1/agents/nobody')), 'not-found')
  })

  it('tasks: open, narrow, close with the key alone', async () => {
    const { send } = await world()
    const opened = await send('POST', '/v1/tasks', {
      body: { agent: 'coder', tools: ['files/*'], expiresIn: 60 },
    })
    const id = text(opened.body['id'])
    assert.equal(
      (await send('POST', `/v1/tasks/${id}/narrow`, { body: { tools: ['files/read'] } })).status,
      200,
    )
    assert.equal(codeOf(await send('POST', `/v1/tasks/${id}/narrow`, { body: { tools: ['*'] } })), 'refused')
    assert.deepEqual((await send('DELETE', `/v1/tasks/${id}`)).body, { closed: [id] })
    assert.equal((await send('GET', `/v1/tasks/${id}`)).body['state'], 'closed')
    assert.equal(codeOf(await send('DELETE', '/v1/tasks/t_x')), 'not-found')
  })

  it('the kill switch needs the key, lifting it needs a person', async () => {
    const { send, prove, setPassphrase, revocations, parts } = await world()
    await setPassphrase()
    assert.equal(
      (await send('POST', '/v1/revocations', { body: { key: 'all', reason: 'stop' } })).status,
      201,
    )
    assert.equal(revocations.first([]), 'all')
    assert.equal((await send('DELETE', '/v1/revocations/all')).status, 403)
    assert.equal((await prove('DELETE', '/v1/revocations/all', { reason: 'over' })).status, 200)
    assert.equal(revocations.first([]), null)
    assert.deepEqual(
      parts.hub.recent().map((fact) => fact.kind === 'act' && fact.act),
      ['revoked', 'revocation-lifted'],
    )
  })

  it('asks: what is approved is what was looked at', async () => {
    const { send, prove, setPassphrase, parts, clock, tasks } = await world()
    await setPassphrase()
    const opened = await tasks.open({ agent: 'coder', by: 'agent' }, { name: 'coder', proof: 'agent-key' })
    assert.ok(opened.ok)
    const call = {
      tool: 'bank/pay',
      toolDigest: 'sha256:aa',
      arguments: { amount: 10 },
      task: opened.task.id,
      agent: 'coder',
      policy: 'sha256:bb',
    }
    const digest = approvalDigest(call)
    const id = `a_${'7'.repeat(22)}`
    await parts.approvals.ask({
      ...call,
      id,
      digest,
      call: `c_${'7'.repeat(22)}`,
      owner: 'owner',
      requirement: { count: 1, independent: false, proof: 'passphrase' },
      because: [],
      askedAt: clock.now(),
      expiresAt: clock.now() + 60_000,
      state: 'pending',
      answers: [],
    })
    const listed = await send('GET', '/v1/asks', { query: { state: 'pending' } })
    assert.match(JSON.stringify(listed.body), /\\"amount\\": 10/)
    const answer = { answer: 'approve', digest }
    assert.equal((await send('POST', `/v1/asks/${id}/answer`, { body: answer })).status, 403)
    assert.equal(
      codeOf(await prove('POST', `/v1/asks/${id}/answer`, { ...answer, digest: 'sha256:other' })),
      'conflict',
    )
    assert.equal((await prove('POST', `/v1/asks/${id}/answer`, answer)).body['state'], 'approved')
    assert.equal(codeOf(await prove('POST', `/v1/asks/${id}/answer`, answer)), 'conflict')
  })

  it('calls: a person takes the same path, in a task of its own that ends with the call', async () => {
    const { prove, setPassphrase, arrivals, tasks } = await world()
    await setPassphrase()
    const made = await prove('POST', '/v1/calls', {
      server: 'files',
      name: 'read',
      arguments: { path: '/x' },
    })
    assert.equal(made.body['end'], 'refused')
    assert.match(JSON.stringify(made.body), /inside: true/)
    const [arrival] = arrivals
    assert.equal(arrival?.door, 'operator')
    const task = await tasks.get(text(made.body['task']))
    assert.deepEqual([task?.agent, task?.tools, task?.state], ['operator', ['files/read'], 'closed'])
    const waiting = await prove('POST', '/v1/calls', { server: 'files', name: 'waits' })
    assert.equal(waiting.body['end'], 'waiting')
    assert.equal((await tasks.get(text(waiting.body['task'])))?.state, 'open')
    const again = await prove('POST', '/v1/calls', {
      server: 'files',
      name: 'waits',
      task: waiting.body['task'],
    })
    assert.equal(again.body['task'], waiting.body['task'])
  })

  it("calls: nobody calls in an agent's task", async () => {
    const { prove, setPassphrase, tasks, arrivals } = await world()
    await setPassphrase()
    const opened = await tasks.open({ agent: 'coder', by: 'agent' }, { name: 'coder', proof: 'agent-key' })
    assert.ok(opened.ok)
    assert.equal(
      codeOf(await prove('POST', '/v1/calls', { server: 'files', name: 'read', task: opened.task.id })),
      'not-found',
    )
    assert.equal(arrivals.length, 0)
    // Asking what would happen does nothing, so the key is enough.
    const explained = await prove('POST', '/v1/explain', {
      server: 'files',
      name: 'read',
      task: opened.task.id,
    })
    assert.equal(explained.status, 200)
    assert.equal(arrivals[0]?.credential.kind, 'bearer')
    assert.doesNotMatch(JSON.stringify(explained), /eyJ/)
  })

  it('tools are reviewed by the digest that was looked at; rejecting needs the key only', async () => {
    const { send, prove, setPassphrase, asked } = await world()
    await setPassphrase()
    await send('POST', '/v1/tools/files%2Fread/review', { body: { digest: 'sha256:a', accept: false } })
    await prove('POST', '/v1/tools/files%2Fread/review', {
      digest: 'sha256:a',
      accept: true,
      overrides: { effects: ['read'], targets: { path: '/path' } },
    })
    assert.deepEqual(asked, [
      ['review', { tool: 'files/read', digest: 'sha256:a', accept: false, overrides: {} }],
      [
        'review',
        {
          tool: 'files/read',
          digest: 'sha256:a',
          accept: true,
          overrides: { effects: ['read'], targets: { path: '/path' } },
        },
      ],
    ])
    assert.deepEqual((await send('GET', '/v1/tools/files%2Fread/diff')).body, { id: 'files/read' })
  })

  it('an export has a name, never a path', async () => {
    const { send, asked } = await world()
    for (const name of ['../x', '/etc/x', 'a/b', 'a..b', ''])
      assert.equal((await send('POST', '/v1/audit/export', { body: { name } })).status, 400)
    assert.equal((await send('POST', '/v1/audit/export', { body: { name: 'monday' } })).status, 200)
    assert.deepEqual(asked, [['export', 'monday']])
  })
})
