import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { afterEach, describe, test } from 'node:test'
import * as fc from 'fast-check'
import { createListener, type Listener, type ListenerOptions } from '../../src/door/listener.ts'
import { guard } from '../../src/door/rebinding.ts'

let listeners: Listener[] = []
afterEach(async () => {
  for (const listener of listeners) await listener.close()
  listeners = []
})

async function listen(options: Partial<ListenerOptions> = {}) {
  const listener = createListener({
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    routes: async (exchange) => {
      const body = await exchange.body('application/json')
      exchange.answer(
        body.ok ? 200 : body.status,
        body.ok ? { size: body.bytes.length } : { error: { message: body.problem } },
      )
    },
    ...options,
    limits: { graceMs: 50, ...options.limits },
  })
  listeners.push(listener)
  return listener.listen()
}

/** Bytes on a socket, and what comes back until it closes. */
function raw(port: number, ...chunks: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let heard = ''
    socket.on('data', (data) => (heard += data.toString()))
    socket.on('close', () => resolve(heard))
    socket.on('error', (error) => (heard === '' ? reject(error) : resolve(heard)))
    for (const chunk of chunks) socket.write(chunk)
  })
}

const json = { 'content-type': 'application/json' }

describe('a listener', () => {
  test('takes JSON and answers with nothing cacheable', async () => {
    const { url } = await listen()
    const response = await fetch(url, { method: 'POST', headers: json, body: '{}' })
    assert.deepEqual([response.status, await response.json()], [200, { size: 2 }])
    assert.deepEqual(
      [response.headers.get('cache-control'), response.headers.get('x-content-type-options')],
      ['no-store', 'nosniff'],
    )
  })

  test('a page whose name was rebound to this machine is refused by its Host', async () => {
    const { port } = await listen()
    const heard = await raw(
      port,
      'POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
    )
    assert.match(heard, /^HTTP\/1\.1 403 [\s\S]*`evil\.example` is not served here.*allowedHosts/)
    assert.match(await raw(port, 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 403/)
  })

  test('a page of another origin is refused; a listed one and the listener’s own are not', async () => {
    const { url } = await listen({ allowedOrigins: ['https://console.example'] })
    const statusOf = async (origin: string) =>
      (await fetch(url, { method: 'POST', headers: { ...json, origin }, body: '{}' })).status
    assert.equal(await statusOf('https://evil.example'), 403)
    assert.equal(await statusOf('null'), 403)
    assert.equal(await statusOf('http://localhost:1'), 403)
    assert.equal(await statusOf('https://console.example'), 200)
    assert.equal(await statusOf(url), 200)
  })

  test('a wrong content type, an encoded body and a large one are refused with what was expected', async () => {
    const { url } = await listen({ limits: { bodyBytes: 10 } })
    const post = async (headers: { readonly [name: string]: string }, body: string) => {
      const response = await fetch(url, { method: 'POST', headers, body })
      return `${response.status} ${await response.text()}`
    }
    assert.match(
      await post({ 'content-type': 'text/plain' }, '{}'),
      /^415 .*expected `Content-Type: application\/json`/,
    )
    assert.match(
      await post({ ...json, 'content-encoding': 'gzip' }, '{}'),
      /^415 .*without `Content-Encoding`/,
    )
    assert.match(await post(json, '{"a":"long enough"}'), /^413 .*at most 10 bytes/)
  })

  test('a body that grows beyond the limit without saying so is refused, too', async () => {
    const { port } = await listen({ limits: { bodyBytes: 10 } })
    const chunk = `20\r\n${'x'.repeat(32)}\r\n`
    const heard = await raw(
      port,
      `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunk}${chunk}0\r\n\r\n`,
    )
    assert.match(heard, /^HTTP\/1\.1 413/)
  })

  test('a header that may come once and comes twice is refused', async () => {
    const { port } = await listen()
    const heard = await raw(
      port,
      'POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
    )
    assert.match(heard, /^HTTP\/1\.1 400 [\s\S]*expected one `authorization` header/)
  })

  test('what is no HTTP, or has too large headers, gets a JSON error', async () => {
    const { port } = await listen({ limits: { headerBytes: 1_024 } })
    assert.match(await raw(port, 'hello\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*expected an HTTP\/1\.1 request/)
    assert.match(
      await raw(port, `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(4_000)}\r\n\r\n`),
      /^HTTP\/1\.1 431/,
    )
  })

  test('a request that trickles in is cut off (slowloris)', async () => {
    const { port } = await listen({ limits: { headersMs: 100, requestMs: 150 } })
    assert.match(await raw(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n'), /^HTTP\/1\.1 408/)
    assert.match(
      await raw(
        port,
        'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{',
      ),
      /408|^$/,
    )
  })

  test('a fault in a route is 500 without its words, and the next request is served', async () => {
    const faults: unknown[] = []
    let broken = true
    const { url } = await listen({
      onFault: (fault) => faults.push(fault),
      routes: async (exchange) => {
        if (broken) throw new Error('secret words')
        exchange.answer(200, {})
      },
    })
    const response = await fetch(url)
    assert.deepEqual([response.status, /secret/.test(await response.text()), faults.length], [500, false, 1])
    broken = false
    assert.equal((await fetch(url)).status, 200)
  })

  test('closing tells what waits, lets it answer, and then nothing is served', async () => {
    const arrived = Promise.withResolvers<void>()
    const listener = createListener({
      name: 'test',
      host: '127.0.0.1',
      port: 0,
      limits: { graceMs: 5_000 },
      routes: async (exchange) => {
        arrived.resolve()
        await new Promise((resolve) => exchange.closing.addEventListener('abort', resolve))
        exchange.answer(200, { told: true })
      },
    })
    listeners.push(listener)
    const { port } = await listener.listen()
    const answer = raw(port, 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    await arrived.promise
    await listener.close()
    assert.match(await answer, /^HTTP\/1\.1 200[\s\S]*"told":true/)
    await assert.rejects(fetch(`http://127.0.0.1:${port}`))
  })

  test('closing cuts what does not end in time, and its route sees the caller gone', async () => {
    const gone = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    const listener = createListener({
      name: 'test',
      host: '127.0.0.1',
      port: 0,
      limits: { graceMs: 20 },
      routes: (exchange) =>
        new Promise((resolve) => {
          arrived.resolve()
          exchange.gone.addEventListener('abort', () => {
            gone.resolve()
            resolve()
          })
        }),
    })
    listeners.push(listener)
    const { port } = await listener.listen()
    const answer = raw(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await arrived.promise
    await listener.close()
    await gone.promise
    assert.equal(await answer, '')
  })
})

describe('the guard against rebinding', () => {
  const rules = { allowedHosts: ['broker.example'], allowedOrigins: [], loopbackOrigins: false }

  test('compares whole names: no suffix, prefix, port trick or user info passes', () => {
    const hosts = [
      'localhost.evil.example',
      'evil-localhost',
      '127.0.0.1.evil.example',
      'localhost@evil.example',
      'localhost:80@evil',
      '',
      'broker.example.evil',
      '[::1].evil',
      'localhost:port',
    ]
    for (const host of hosts) assert.equal(guard(rules, host, undefined).ok, false, host)
    for (const host of [
      'localhost',
      'LOCALHOST:80',
      '127.0.0.1:7316',
      '[::1]:7316',
      'broker.example',
      'broker.example:443',
    ])
      assert.equal(guard(rules, host, undefined).ok, true, host)
  })

  test('no name outside the list ever passes (property)', () => {
    fc.assert(
      fc.property(fc.oneof(fc.domain(), fc.ipV4(), fc.string()), (host) => {
        fc.pre(!['localhost', '127.0.0.1', 'broker.example'].includes(host.toLowerCase()))
        fc.pre(!/^(localhost|127\.0\.0\.1|broker\.example):\d{1,5}$/i.test(host))
        assert.equal(guard(rules, host, undefined).ok, false)
      }),
    )
  })
})
