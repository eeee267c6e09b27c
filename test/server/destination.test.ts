import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import * as fc from 'fast-check'
import { destination, judge, type Resolve } from '../../src/server/destination.ts'
import { json, said, startWeb } from './fixtures/web.ts'
import { configure, createWorld, problemOf } from './world.ts'

const open: { close(): Promise<void> }[] = []
after(() => Promise.all(open.map((each) => each.close())))

const strict = { allowPrivate: false, loopback: false } as const
const lax = { allowPrivate: true, loopback: false } as const

describe('addresses', () => {
  const never = [
    ['this network', '0.0.0.0'],
    ['loopback', '127.0.0.1'],
    ['loopback', '127.255.255.254'],
    ['cloud metadata', '169.254.169.254'],
    ['multicast', '224.0.0.1'],
    ['broadcast', '255.255.255.255'],
    ['reserved', '240.0.0.1'],
    ['documentation', '192.0.2.1'],
    ['benchmarking', '198.18.0.1'],
    ['IPv6 unspecified', '::'],
    ['IPv6 loopback', '::1'],
    ['IPv6 link-local', 'fe80::1'],
    ['IPv6 link-local with a zone', 'fe80::1%eth0'],
    ['IPv6 multicast', 'ff02::1'],
    ['site-local', 'fec0::1'],
    ['IPv4-mapped loopback', '::ffff:127.0.0.1'],
    ['IPv4-mapped metadata', '::ffff:a9fe:a9fe'],
    ['IPv4-compatible loopback', '::7f00:1'],
    ['IPv4-translated', '::ffff:0:127.0.0.1'],
    ['6to4 of a private address', '2002:0a00:0001::1'],
    ['6to4 of a public address', '2002:0808:0808::1'],
    ['NAT64 of loopback', '64:ff9b::7f00:1'],
    ['NAT64 of a public address', '64:ff9b::808:808'],
    ['local NAT64', '64:ff9b:1::a00:1'],
    ['Teredo', '2001:0:4136:e378:8000:63bf:3fff:fdd2'],
    ['documentation', '2001:db8::1'],
    ['documentation', '3fff::1'],
    ['discard-only', '100::1'],
    ['outside global unicast', '4000::1'],
    ['no address', 'example.com'],
  ] as const
  for (const [what, address] of never) {
    test(`${what} (${address}) is closed, also to a private network’s server`, () => {
      assert.notEqual(judge(address, strict), null)
      assert.notEqual(judge(address, lax), null)
    })
  }

  const onlyPrivate = [
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    'fc00::1',
    'fd12:3456::1',
    '::ffff:10.0.0.1',
  ]
  for (const address of onlyPrivate) {
    test(`${address} is open only with allowPrivate`, () => {
      assert.match(judge(address, strict) ?? '', /allowPrivate/)
      assert.equal(judge(address, lax), null)
    })
  }
  for (const address of ['8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '::ffff:8.8.8.8']) {
    test(`${address} is open`, () => assert.equal(judge(address, strict), null))
  }

  test('an IPv4 address is judged alike in IPv4 and in IPv6 clothes', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        assert.equal(judge(address, strict) === null, judge(`::ffff:${address}`, strict) === null)
        assert.equal(judge(address, lax) === null, judge(`::ffff:${address}`, lax) === null)
      }),
    )
  })

  test('what carries another address inside is closed, whatever it carries', () => {
    const hex = fc.integer({ min: 0, max: 0xffff }).map((n) => n.toString(16))
    fc.assert(
      fc.property(hex, hex, (a, b) => {
        for (const address of [
          `2002:${a}:${b}::1`,
          `64:ff9b::${a}:${b}`,
          `64:ff9b:1::${a}:${b}`,
          `::ffff:0:${a}:${b}`,
        ]) {
          assert.notEqual(judge(address, lax), null, address)
        }
      }),
    )
  })

  test('behind a loopback name only loopback is open', () => {
    assert.equal(judge('127.0.0.1', { allowPrivate: false, loopback: true }), null)
    assert.equal(judge('::1', { allowPrivate: false, loopback: true }), null)
    assert.notEqual(judge('8.8.8.8', { allowPrivate: true, loopback: true }), null)
  })
})

describe('URLs', () => {
  const problem = (url: string, allowPrivate = false): string | null => {
    const where = destination(url, { allowPrivate })
    return 'problem' in where ? where.problem : null
  }
  test('plain http is for loopback only', () => {
    assert.match(problem('http://example.com/mcp') ?? '', /https/)
    assert.match(problem('http://10.0.0.1/mcp', true) ?? '', /https/)
    assert.equal(problem('http://127.0.0.1:1/mcp'), null)
    assert.equal(problem('http://[::1]:1/mcp'), null)
    assert.equal(problem('http://localhost:1/mcp'), null)
    assert.equal(problem('https://example.com/mcp'), null)
  })
  test('addresses in disguise are seen through', () => {
    for (const host of ['2130706433', '0x7f.1', '0177.0.0.1', '127.1'])
      assert.equal(problem(`http://${host}/`), null, host)
    for (const host of [
      '0xa9fea9fe',
      '2852039166',
      '169.254.43518',
      '[::ffff:169.254.169.254]',
      '0',
      '[fec0::1]',
    ]) {
      assert.notEqual(problem(`https://${host}/`), null, host)
    }
  })
  test('other schemes and passwords in the URL are refused', () => {
    for (const url of ['file:///etc/passwd', 'ftp://example.com', 'https://user:pw@example.com/', 'nonsense'])
      assert.notEqual(problem(url), null, url)
  })
})

describe('names', () => {
  const resolving =
    (...addresses: readonly string[]): Resolve =>
    (_host, done) =>
      done(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      )

  const lookUp = (url: string, resolve: Resolve): Promise<string> => {
    const where = destination(url, { allowPrivate: false, resolve })
    assert.ok(!('problem' in where))
    return new Promise((done, fail) =>
      where.lookup(where.url.hostname, { all: true }, (error, found) =>
        error === null ? done(JSON.stringify(found)) : fail(error),
      ),
    )
  }
  test('a name leads where it leads, and nowhere else', async () => {
    assert.equal(
      await lookUp('https://tools.example/', resolving('8.8.8.8')),
      '[{"address":"8.8.8.8","family":4}]',
    )
    await assert.rejects(lookUp('https://tools.example/', resolving('127.0.0.1')))
    await assert.rejects(lookUp('https://tools.example/', resolving('fe80::1')))
    await assert.rejects(lookUp('https://tools.example/', resolving()))
    await assert.rejects(lookUp('https://localhost./', resolving('127.0.0.1')))
  })
  test('one closed address among open ones closes the name', () =>
    assert.rejects(lookUp('https://tools.example/', resolving('8.8.8.8', '10.0.0.1'))))
  test('`localhost` that leads elsewhere is refused', () =>
    assert.rejects(lookUp('https://localhost/', resolving('8.8.8.8'))))

  test('a name that is rebound between two look-ups never gets a byte', async () => {
    const web = await startWeb({
      era: 'modern',
      act: (_heard, response, id) => json(response, { id, result: said('inside') }),
    })
    const port = new URL(web.url).port
    let lookups = 0
    // First a public address, to pass a check that is made too early; then loopback.
    const resolve: Resolve = (_host, done) =>
      done(null, [{ address: lookups++ === 0 ? '192.0.2.1' : '127.0.0.1', family: 4 }])
    const world = createWorld(
      { web: configure({ url: `https://tools.example:${port}/mcp`, allowPrivate: true }) },
      { resolve },
    )
    open.push(world.servers, web)
    for (let i = 0; i < 3; i++) {
      const answer = await world.call({
        server: 'web',
        tool: 'act',
        definition: { kind: 'tool', name: 'act' },
      })
      assert.equal(problemOf(answer), 'not-sent bad-configuration')
    }
    assert.ok(lookups >= 2)
    assert.deepEqual(web.heard, [])
  })
})
