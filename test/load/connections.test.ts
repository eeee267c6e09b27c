import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { closeAll, head, open, openMany, until, type Wire } from './sockets.ts'
import { mebibyte, retained } from './memory.ts'
import { createListener, type Listener, type ListenerOptions } from '../../src/door/listener.ts'
import type { Exchange } from '../../src/door/exchange.ts'

/** What a peer can do with connections alone. A route that answers with what it was sent stands for the door. */
const notLinux = process.platform === 'linux' ? false : 'one address a machine'
let listeners: Listener[] = []
let wires: Wire[] = []
const track = async (wire: Promise<Wire>): Promise<Wire> => {
  const opened = await wire
  wires.push(opened)
  return opened
}
afterEach(async () => {
  closeAll(wires)
  wires = []
  for (const listener of listeners) await listener.close()
  listeners = []
})

/** `Authorization: Bearer NAME` is proof enough here. */
async function serve(exchange: Exchange): Promise<void> {
  const name = /^Bearer (.+)$/.exec(exchange.header('authorization') ?? '')?.[1]
  if (name !== undefined) exchange.known(name)
  if (exchange.method === 'GET') return exchange.answer(200, { ok: true })
  const body = await exchange.body('application/json')
  if (body.ok) exchange.answer(200, { size: body.bytes.length })
  else exchange.answer(body.status, { error: body.problem }, body.headers)
}

async function listen(options: Partial<ListenerOptions> = {}) {
  const listener = createListener({
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    routes: serve,
    ...options,
    limits: { graceMs: 50, ...options.limits },
  })
  listeners.push(listener)
  return listener.listen()
}

const get = (url: string): Promise<number> =>
  fetch(url, { headers: { connection: 'close' } }).then(async (response) => {
    await response.text()
    return response.status
  })

const half = 'POST / HTTP/1.1\r\nHost: localhost\r\nX-Slow: '

describe('a listener that is full', () => {
  test('of thousands of connections that send their headers slowly serves whoever comes and asks', async () => {
    const { port, url } = await listen({ limits: { connections: 500, perRemote: 500 } })
    wires = await openMany(1_500, () => open(port, half))
    const statuses = await Promise.all(Array.from({ length: 20 }, () => get(url)))
    assert.deepEqual([...new Set(statuses)], [200])
    await until(() => wires.filter(({ socket }) => !socket.destroyed).length <= 500, 'the limit')
  })

  test('cuts the one that has waited the longest, and none whose request is being answered', async () => {
    const release = Promise.withResolvers<void>()
    const { port, url } = await listen({
      limits: { connections: 2, perRemote: 2 },
      routes: async (exchange) => {
        if (exchange.path === '/slow') await release.promise
        exchange.answer(200, { ok: true })
      },
    })
    const busy = await track(open(port, 'GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n'))
    const idle = await track(open(port))
    await sleep(20)
    assert.equal(await get(url), 200)
    await until(() => idle.socket.destroyed, 'the cut')
    release.resolve()
    await until(() => busy.heard().includes('"ok":true'), 'the answer')
  })

  test('of people at work tells the next one to come back, and closes', async () => {
    const release = Promise.withResolvers<void>()
    const { port } = await listen({
      limits: { connections: 3, perRemote: 3 },
      routes: async (exchange) => {
        await release.promise
        exchange.answer(200, { ok: true })
      },
    })
    const ask = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
    for (let n = 0; n < 3; n++) await track(open(port, ask))
    await sleep(20)
    const turned = await track(open(port, ask))
    await until(() => turned.socket.destroyed, 'the cut')
    assert.match(turned.heard(), /^HTTP\/1\.1 503 [\s\S]*Retry-After: 1[\s\S]*too many connections/)
    const silent = await track(open(port))
    await until(() => silent.socket.destroyed, 'the cut')
    release.resolve()
    await until(() => wires.slice(0, 3).every((wire) => wire.heard().includes('"ok":true')), 'the answers')
  })

  test('keeps room for other addresses than the one that takes it all', { skip: notLinux }, async () => {
    const release = Promise.withResolvers<void>()
    const { port } = await listen({
      limits: { connections: 100, perRemote: 3 },
      routes: async (exchange) => {
        await release.promise
        exchange.answer(200, { ok: true })
      },
    })
    const ask = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
    for (let n = 0; n < 3; n++) await track(open(port, ask))
    await sleep(50)
    const refused = await track(open(port, ask))
    await until(() => refused.socket.destroyed, 'the cut')
    assert.match(refused.heard(), /^HTTP\/1\.1 503/)
    const other = await track(open(port, ask, { from: '127.0.0.2' }))
    release.resolve()
    await until(() => other.heard().includes('"ok":true'), 'the answer to the other')
  })

  test('lets a stranger with half a body make room, and not somebody who has proven who he is', async () => {
    const { port, url } = await listen({ limits: { connections: 2, perRemote: 2 } })
    const known = await track(open(port, `${head('/', 10, 'Authorization: Bearer known\r\n')}12345`))
    const stranger = await track(open(port, `${head('/', 10)}12345`))
    await sleep(30)
    assert.equal(await get(url), 200)
    await until(() => stranger.socket.destroyed, 'the cut')
    known.socket.write('67890')
    await until(() => known.heard().includes('"size":10'), 'the answer')
  })
})

describe('one connection', () => {
  test('that sends requests without waiting for answers gets a few of them served and is cut', async () => {
    let served = 0
    const { port } = await listen({
      limits: { pipelined: 8 },
      routes: () => {
        served += 1
        return new Promise((resolve) => setTimeout(resolve, 5_000).unref())
      },
    })
    const wire = await track(open(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(500)))
    await until(() => wire.socket.destroyed, 'the cut')
    assert.ok(served <= 8, `${served} were served`)
  })

  test('is closed when its headers, or its body, do not come to an end', async () => {
    const { port } = await listen({ limits: { headersMs: 150, requestMs: 300 } })
    const headers = await track(open(port, half))
    const trickle = setInterval(() => headers.socket.write('x'), 20)
    await until(() => headers.socket.destroyed, 'the cut').finally(() => clearInterval(trickle))
    const body = await track(open(port, head('/', 1_000)))
    const drip = setInterval(() => body.socket.write('x'), 20)
    await until(() => body.socket.destroyed, 'the cut').finally(() => clearInterval(drip))
    assert.match(headers.heard(), /^(HTTP\/1\.1 408|$)/)
  })
})

describe('what requests hold of the memory', () => {
  test('a body in pieces of one byte takes its own size, not a hundred times as much', async () => {
    const { port } = await listen()
    const bearer = 'Authorization: Bearer a\r\n'
    const chunked = `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${bearer}Transfer-Encoding: chunked\r\n\r\n`
    const wire = await track(open(port, chunked))
    const piece = Buffer.from('1\r\nx\r\n'.repeat(20_000))
    await sleep(20)
    const before = retained()
    for (let sent = 0; sent < 5; sent++)
      if (!wire.socket.write(piece)) await new Promise((drained) => wire.socket.once('drain', drained))
    await sleep(200)
    const held = retained() - before
    wire.socket.write('0\r\n\r\n')
    await until(() => wire.heard().includes('"size":100000'), 'the answer')
    assert.ok(held < 2 * mebibyte, `${Math.round(held / 1024)} KiB for a body of 98 KiB`)
  })

  test('strangers together hold a bounded number of bytes, and each little', async () => {
    const limits = { strangerBodyBytes: 1_000, strangersBytes: 10_000 }
    const { port, url } = await listen({ limits })
    const large = await fetch(url, { method: 'POST', headers: json, body: 'x'.repeat(1_001) })
    assert.equal(large.status, 413)
    wires = await openMany(20, () => open(port, `${head('/', 999)}${'x'.repeat(900)}`))
    const refusals = () => wires.filter((wire) => wire.heard().startsWith('HTTP/1.1 503'))
    await until(() => refusals().length === 9, 'nine refusals')
    assert.match(refusals()[0]?.heard() ?? '', /Retry-After: 1/)
    const known = { ...json, authorization: 'Bearer a' }
    const served = await fetch(url, { method: 'POST', headers: known, body: 'x'.repeat(5_000) })
    assert.equal(served.status, 200)
  })

  test('one sender cannot hold all that bodies may; what it held is free when its request has ended', async () => {
    const limits = { bodyBytes: 10_000, bodiesBytes: 40_000, bodiesBytesEach: 20_000 }
    const { port, url } = await listen({ limits })
    const from = (name: string) => `Authorization: Bearer ${name}\r\n`
    wires = await openMany(3, () => open(port, `${head('/', 10_000, from('a'))}${'x'.repeat(9_000)}`))
    await until(() => wires.filter((wire) => wire.heard().includes('503')).length === 1, 'one refusal')
    const post = (name: string) =>
      fetch(url, {
        method: 'POST',
        headers: { ...json, authorization: `Bearer ${name}` },
        body: 'x'.repeat(9_000),
      }).then(({ status }) => status)
    assert.equal(await post('a'), 503)
    assert.equal(await post('b'), 200)
    closeAll(wires)
    await until(async () => (await post('a')) === 200, 'room again')
  })
})

describe('answers that nobody reads', () => {
  const large = 'x'.repeat(8 * 1024 * 1024)
  const asking = (name: string) => `GET /${name} HTTP/1.1\r\nHost: localhost\r\n\r\n`
  const routes = async (exchange: Exchange): Promise<void> => {
    exchange.known(exchange.path)
    exchange.answer(200, { large })
  }

  test('hold no more memory than they may together: the oldest of whoever holds the most is cut', async () => {
    const { port } = await listen({
      routes,
      limits: { unreadBytes: 60_000_000, unreadBytesEach: 20_000_000, stalledMs: 60_000 },
    })
    const greedy = await openMany(6, () => track(open(port, asking('greedy'), { deaf: true })))
    const modest = await track(open(port, asking('modest'), { deaf: true }))
    await sleep(200)
    modest.socket.resume()
    let heard = 0
    modest.socket.on('data', (data) => (heard += data.length))
    await until(() => heard > large.length, 'the whole answer')
    for (const { socket } of greedy) socket.resume()
    await until(() => greedy.filter(({ socket }) => socket.destroyed).length >= 3, 'the cuts')
  })

  test('are cut when their reader takes nothing for a while; a slow reader gets all of it', async () => {
    const { port } = await listen({ routes, limits: { stalledMs: 400 } })
    const deaf = await track(open(port, asking('deaf'), { deaf: true }))
    const slow = await track(open(port, asking('slow'), { deaf: true }))
    let heard = 0
    slow.socket.on('data', (data) => {
      heard += data.length
      slow.socket.pause()
      setTimeout(() => slow.socket.resume(), 1).unref()
    })
    slow.socket.resume()
    await until(() => heard > large.length, 'the slow reading')
    await sleep(600)
    deaf.socket.resume()
    await until(() => deaf.socket.destroyed, 'the cut')
    assert.ok(deaf.heard().length < large.length)
  })
})

const json = { 'content-type': 'application/json' }
