import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { foldedPath, normalPath, normalUrl, targetsOf } from '../../src/policy/target.ts'

const path = (value: string): string | null => {
  const normal = normalPath(value)
  return normal.ok ? normal.value : null
}

describe('paths', () => {
  const same: readonly [string, string][] = [
    ['/srv/data/a.txt', '/srv/data/a.txt'],
    ['/srv//data/./a.txt', '/srv/data/a.txt'],
    ['/srv/data/../../etc/passwd', '/etc/passwd'],
    ['/../../etc/passwd', '/etc/passwd'],
    ['/srv/data/', '/srv/data'],
    ['a/b/../c', 'a/c'],
    ['.', '.'],
    ['/', '/'],
    ['~/notes', '~/notes'],
    ['C:\\Users\\u\\x', 'C:/Users/u/x'],
    ['file:///srv/a%20b', '/srv/a b'],
    ['/srv/100%', '/srv/100%'],
    ['/srv/a%20b', '/srv/a%20b'],
    ['/srv/./a%20b', '/srv/a%20b'],
    ['/srv/cafe\u0301', '/srv/caf\u00e9'],
  ]
  for (const [given, normal] of same)
    test(`\`${given}\` is \`${normal}\``, () => assert.equal(path(given), normal))

  const unreadable = [
    '',
    '../up',
    'a/../../up',
    '~/../other',
    '/srv/%2e%2e/etc',
    '/srv/..%2fetc',
    '/srv/%252e%252e/etc',
    '/srv/a%5c..%5cb',
    '/srv\\..\\etc',
    '/srv/a\u0000.txt',
    'file://elsewhere/srv/a',
    'file:///srv/%2e%2e%2fetc',
    'C:\\..\\x',
  ]
  for (const given of unreadable)
    test(`\`${JSON.stringify(given)}\` has no single reading`, () => assert.equal(path(given), null))

  test('a normal path stays as it is', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'b', '..', '.', '', 'ä', '%41')), (parts) => {
        const once = path(`/${parts.join('/')}`)
        if (once === null) return
        assert.equal(path(once), once)
        assert.ok(!once.split('/').includes('..'))
      }),
    )
  })

  test('folding finds what a file system that ignores case, dots at the end and invisible letters finds', () => {
    assert.equal(foldedPath('/home/u/.CURSOR/mcp.json'), '/home/u/.cursor/mcp.json')
    assert.equal(foldedPath('C:/u/.ssh./id_rsa::$DATA'), 'c:/u/.ssh/id_rsa')
    assert.equal(foldedPath('/home/u/.s\u200bsh/x'), '/home/u/.ssh/x')
  })
})

describe('URLs', () => {
  test('case, default ports, dot segments and odd addresses are settled', () => {
    const normal = normalUrl('HTTPS://API.Example.com.:443/a/../b?c=d')
    assert.ok(normal.ok)
    assert.deepEqual(normal.value, {
      href: 'https://api.example.com./b?c=d',
      scheme: 'https',
      host: 'api.example.com',
      port: 443,
      path: '/b',
    })
    const odd = normalUrl('http://0x7f.1/')
    assert.ok(odd.ok && odd.value.host === '127.0.0.1')
  })

  for (const given of [
    '/relative',
    'https://trusted.example@evil.example/',
    'https://a.example/x/..%2f..%2fadmin',
    'https://a.example\\@b.example',
    'java\tscript:x',
    'https://',
    7,
  ])
    test(`${JSON.stringify(given)} has no single reading`, () => assert.equal(normalUrl(given).ok, false))

  test('an encoded slash alone is common and stays', () => {
    const normal = normalUrl('https://git.example/api/projects/a%2Fb')
    assert.ok(normal.ok && normal.value.path === '/api/projects/a%2Fb')
  })
})

describe('targets', () => {
  test('are found by JSON pointer, nested and with odd names', () => {
    const targeted = targetsOf(
      { path: '/a~1b/0/p', recipient: '/to' },
      { 'a/b': [{ p: '/x' }], to: ' Team@Example.com ' },
    )
    assert.deepEqual(targeted, { ok: true, targets: [{ path: '/x', recipient: 'team@example.com' }] })
  })

  test('a missing or null target is none', () => {
    assert.deepEqual(targetsOf({ path: '/p', url: '/u' }, { p: null }), { ok: true, targets: [{}] })
  })

  test('a target of another type is a problem, not none', () => {
    assert.equal(targetsOf({ path: '/p' }, { p: { evil: true } }).ok, false)
  })

  test('two addresses in one string do not pass as one', () => {
    assert.equal(targetsOf({ recipient: '/to' }, { to: 'a@example.com, b@example.com' }).ok, false)
  })

  test('a message about a target does not repeat it', () => {
    const targeted = targetsOf({ path: '/p' }, { p: '../marked-secret' })
    assert.ok(!targeted.ok && !targeted.problem.includes('marked-secret'))
  })

  test('too many targets are refused', () => {
    const paths = Array.from({ length: 20 }, (_, index) => `/p${index}`)
    assert.equal(targetsOf({ path: '/p', recipient: '/p' }, { p: paths }).ok, false)
  })
})
