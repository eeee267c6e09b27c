import { after, describe, it } from 'node:test'
import { mkdir } from 'node:fs/promises'
import assert from 'node:assert/strict'
import { createListener } from '../../../src/door/listener.ts'
import { operatorClient, OperatorFailure } from '../../../src/cli/client.ts'
import { operatorKey } from '../../../src/identity/operator.ts'
import { operatorRoutes } from '../../../src/door/operator/http.ts'
import { readRunFile, removeRunFile, writeRunFile } from '../../../src/cli/run.ts'
import { scratch } from '../../identity/scratch.ts'
import { key, passphrase, world } from './world.ts'

async function served(held = key) {
  const made = await world(held)
  const listener = createListener({
    name: 'operators',
    host: '127.0.0.1',
    port: 0,
    routes: operatorRoutes({ api: made.api, hub: made.parts.hub }),
  })
  const { url } = await listener.listen()
  after(() => listener.close())
  const call = (
    path: string,
    init: Omit<RequestInit, 'headers'> & { headers?: { [name: string]: string } } = {},
  ) => fetch(new URL(path, url), { ...init, headers: { authorization: `Bearer ${key}`, ...init.headers } })
  return { ...made, url, call }
}

describe("the operators' API over HTTP", () => {
  it('answers JSON, and never takes a level from a request', async () => {
    const { call } = await served()
    const response = await call('/v1/status?', { headers: { level: 'terminal' } })
    const body: unknown = await response.json()
    assert.equal(response.status, 200)
    assert.deepEqual(Reflect.get(Object(body), 'you'), { name: 'operator', level: 'present' })
  })

  it('a web page cannot reach it: neither by its origin, nor by a name made to point here, nor with a form', async () => {
    const { call, url } = await served()
    assert.equal((await call('/v1/status', { headers: { origin: 'https://evil.example' } })).status, 403)
    const form = await call('/v1/revocations', {
      method: 'POST',
      body: 'key=all',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    assert.equal(form.status, 415)
    assert.equal((await fetch(new URL('/v1/status', url))).status, 401)
  })

  it('refuses bodies that two readers could read differently', async () => {
    const { call, revocations } = await served()
    const post = (body: string) =>
      call('/v1/revocations', { method: 'POST', body, headers: { 'content-type': 'application/json' } })
    assert.equal((await post('{"key":"task:t_1","key":"all"}')).status, 400)
    assert.equal((await post('{')).status, 400)
    assert.equal(revocations.first([]), null)
    assert.equal((await post('{"key":"all"}')).status, 201)
  })

  it('tells what happens as it happens, to those with the key', async () => {
    const { call, url, send } = await served()
    assert.equal((await fetch(new URL('/v1/events', url))).status, 401)
    const stop = new AbortController()
    const response = await call('/v1/events', { signal: stop.signal })
    await send('POST', '/v1/revocations', { body: { key: 'agent:coder' } })
    const reader = response.body?.getReader()
    const text = new TextDecoder().decode((await reader?.read())?.value)
    assert.match(text, /"act":"revoked"/)
    stop.abort()
  })
})

describe('a command that looks for the broker', () => {
  async function home() {
    const folder = await scratch()
    await mkdir(folder, { recursive: true })
    return folder
  }
  const run = {
    pid: process.pid,
    agents: 'http://127.0.0.1:1',
    operators: 'http://127.0.0.1:1',
    startedAt: '2026-01-01T00:00:00.000Z',
  }

  it('is told to start it when none runs, or when it has died', async () => {
    const folder = await home()
    await assert.rejects(operatorClient({ home: folder }), {
      name: 'Failure',
      exit: 3,
      hint: /countersign serve/,
    })
    await writeRunFile(folder, { ...run, pid: 2 ** 22 + 1 })
    await assert.rejects(operatorClient({ home: folder }), { exit: 3, message: /has ended/ })
    await writeRunFile(folder, run)
    await operatorKey(folder)
    const client = await operatorClient({ home: folder })
    await assert.rejects(client.get('/v1/status'), { exit: 3, message: /does not answer/ })
  })

  it('the file is removed by the process that wrote it, and by no other', async () => {
    const folder = await home()
    await writeRunFile(folder, run)
    await removeRunFile(folder, 1)
    assert.equal((await readRunFile(folder)).pid, process.pid)
    await removeRunFile(folder, process.pid)
    await assert.rejects(readRunFile(folder), { exit: 3 })
  })

  it('gets answers, errors with their code and hint, and what happens as it happens', async () => {
    const folder = await home()
    const { url, setPassphrase, revocations } = await served(await operatorKey(folder))
    await setPassphrase()
    await writeRunFile(folder, { ...run, operators: url })
    const client = await operatorClient({ home: folder })
    assert.equal((await client.get('/v1/status'))['openTasks'], 0)
    const stop = new AbortController()
    const events = client.events(stop.signal)
    const first = events.next()
    await client.send('POST', '/v1/revocations', { key: 'all' })
    const lifting = client.send('DELETE', '/v1/revocations/all', { reason: '' })
    await assert.rejects(
      lifting,
      (problem: unknown) =>
        problem instanceof OperatorFailure && problem.code === 'needs-proof' && problem.exit === 4,
    )
    await client.send('DELETE', '/v1/revocations/all', { reason: '' }, { passphrase })
    assert.equal(revocations.first([]), null)
    const { value } = await first
    assert.equal(Object(value)['act'], 'revoked')
    stop.abort()
    await events.next().catch(() => undefined)
  })

  it("is turned away with another broker's key", async () => {
    const folder = await home()
    const { url } = await served()
    await operatorKey(folder)
    await writeRunFile(folder, { ...run, operators: url })
    const client = await operatorClient({ home: folder })
    await assert.rejects(
      client.get('/v1/status'),
      (problem: unknown) => problem instanceof OperatorFailure && problem.code === 'wrong-key',
    )
  })
})
