import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createConnection } from 'node:net'
import { createHealth } from '../../src/observe/health.ts'
import { join } from 'node:path'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { world, type World } from '../world.ts'

let w: World
before(async () => (w = await world()))
after(() => w.close())

const get = async (base: string, path: string, token?: string) => {
  const response = await fetch(new URL(path, base), {
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  })
  const body = await response.text()
  return { status: response.status, body, type: response.headers.get('content-type') }
}

/** As a load balancer asks: with an address as `Host`. */
function raw(base: string, request: string): Promise<string> {
  const { hostname, port } = new URL(base)
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: hostname, port: Number(port) }, () => socket.end(request))
    let text = ''
    socket.on('data', (data: Buffer) => (text += data.toString()))
    socket.on('end', () => resolve(text))
    socket.on('error', reject)
  })
}

describe('health', () => {
  it('both listeners say that they live and that they are ready, and nothing else', async () => {
    for (const base of [w.broker.urls.agents, w.broker.urls.operators]) {
      assert.deepEqual((await get(base, '/healthz')).body, '{"status":"ok"}')
      assert.deepEqual((await get(base, '/readyz')).body, '{"status":"ready"}')
    }
  })

  it('is told to whoever sends an address as `Host`; every other route refuses that', async () => {
    for (const base of [w.broker.urls.agents, w.broker.urls.operators]) {
      const probe = await raw(
        base,
        'GET /readyz HTTP/1.1\r\nHost: 10.1.2.3:7316\r\nConnection: close\r\n\r\n',
      )
      assert.match(probe, /^HTTP\/1.1 200 /)
      const other = await raw(
        base,
        'GET /metrics HTTP/1.1\r\nHost: 10.1.2.3:7316\r\nConnection: close\r\n\r\n',
      )
      assert.match(other, /^HTTP\/1.1 403 /)
    }
  })

  it('details are for those who prove that they are operators, on their own listener', async () => {
    const { agents, operators } = w.broker.urls
    const told = await get(operators, '/readyz', w.broker.operatorKey)
    assert.equal(told.status, 200)
    assert.deepEqual(Object.keys(JSON.parse(told.body).checks), ['serving', 'store', 'policies', 'registry'])
    assert.equal((await get(operators, '/readyz', 'a-wrong-key')).status, 401)
    assert.equal((await get(agents, '/readyz', w.broker.operatorKey)).body, '{"status":"ready"}')
  })

  it('only looking is possible', async () => {
    const response = await fetch(new URL('/readyz', w.broker.urls.agents), { method: 'POST' })
    assert.equal(response.status, 405)
  })
})

describe('readiness', () => {
  const fine = () => ({ ok: true, detail: '' })
  it('waits for every part, and for a change that became durable', () => {
    const clock = { at: 0, now: () => clock.at }
    const health = createHealth(clock)
    const missing = () =>
      Object.entries(health.readiness().checks).flatMap(([check, { ok }]) => (ok ? [] : [check]))
    assert.deepEqual(missing(), ['serving', 'store', 'policies', 'registry'])
    health.attach({ policies: fine, registry: fine })
    assert.deepEqual(missing(), ['store'])
    health.beaten()
    assert.deepEqual(missing(), [])
    clock.at = 10_000
    assert.deepEqual(missing(), [])
    clock.at = 10_001
    assert.deepEqual(missing(), ['store'], 'a store that cannot say so any more')
    health.beaten()
    health.drain()
    assert.deepEqual(missing(), ['serving'])
    assert.equal(health.readiness().ready, false)
  })
})

describe('/metrics', () => {
  it('opens to the scraper’s token and to the operator key, on the operators’ listener alone', async () => {
    const { agents, operators } = w.broker.urls
    const path = join(w.home, 'scrape.token')
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    const token = (await readFile(path, 'utf8')).trim()
    const scraped = await get(operators, '/metrics', token)
    assert.equal(scraped.status, 200)
    assert.equal(scraped.type, 'text/plain; version=0.0.4; charset=utf-8')
    assert.match(scraped.body, /^countersign_ready\{check="store"\} 1$/m)
    assert.equal((await get(operators, '/metrics', w.broker.operatorKey)).status, 200)
    for (const wrong of [undefined, 'x', `${token}x`, await w.token()])
      assert.equal((await get(operators, '/metrics', wrong)).status, 401)
    assert.equal((await get(agents, '/metrics', token)).status, 404)
  })

  it('the scraper’s token opens nothing else', async () => {
    const token = (await readFile(join(w.home, 'scrape.token'), 'utf8')).trim()
    for (const path of ['/v1/status', '/v1/events', '/v1/audit/recent'])
      assert.equal((await get(w.broker.urls.operators, path, token)).status, 401, path)
    const revoke = await fetch(new URL('/v1/revocations', w.broker.urls.operators), {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ key: 'all', reason: 'x' }),
    })
    assert.equal(revoke.status, 401)
  })

  it('many scrapes at once are one reading', async () => {
    const all = await Promise.all(
      Array.from({ length: 50 }, () => get(w.broker.urls.operators, '/metrics', w.broker.operatorKey)),
    )
    for (const { status } of all) assert.equal(status, 200)
  })

  it('a token of the operator’s own is read anew at each scrape; a file without one stops the start', async () => {
    const file = join(w.files, 'token')
    await writeFile(file, 'a-token-of-my-own-1\n')
    const other = await world({ config: { observe: { metrics: { tokenFile: file } } } })
    try {
      const { operators } = other.broker.urls
      assert.equal((await get(operators, '/metrics', 'a-token-of-my-own-1')).status, 200)
      await writeFile(file, 'a-token-of-my-own-2\n')
      assert.equal((await get(operators, '/metrics', 'a-token-of-my-own-1')).status, 401)
      assert.equal((await get(operators, '/metrics', 'a-token-of-my-own-2')).status, 200)
    } finally {
      await other.close()
    }
    await writeFile(file, 'short\n')
    await assert.rejects(world({ config: { observe: { metrics: { tokenFile: file } } } }), /holds no token/)
  })

  it('switched off it is not there', async () => {
    const other = await world({ config: { observe: { metrics: { prometheus: false } } } })
    try {
      assert.equal((await get(other.broker.urls.operators, '/metrics', other.broker.operatorKey)).status, 404)
      await assert.rejects(stat(join(other.home, 'scrape.token')))
    } finally {
      await other.close()
    }
  })
})
