import { BlockList, isIP } from 'node:net'
import { destination, isLoopbackName, judge } from '../../src/server/destination.ts'
import { endpointOf, readName, readUri, showName, showUri, type Endpoint } from '../../src/door/mcp/name.ts'
import { foldedPath, normalPath, normalUrl } from '../../src/policy/target.ts'
import { parseAddress } from '../../src/config/address.ts'
import { parseTemplate, parseUri } from '../../src/registry/uri.ts'
import { posix } from 'node:path'
import { bytes, hold, text, type Target } from '../target.ts'

/** Places in every spelling: addresses and URLs of servers, paths and URLs among arguments, resource URIs, names. */
export async function open(): Promise<Target> {
  const closed = closedAddresses()
  const templates = ['file:///{+path}', 'file:///{name}.txt', 'db://main/{table}{?a,b}'].map(parseTemplate)
  return {
    atOnce: 1,
    most: 2100,
    words,
    seeds: seeds.map(bytes),
    run(input) {
      const given = text(input)
      address(given, closed)
      const where = destination(given, { allowPrivate: false, resolve: () => undefined })
      if (!('problem' in where)) checkDestination(where.url, closed)
      paths(given)
      urls(given)
      uris(given)
      for (const template of templates) {
        const uri = parseUri(given)
        if ('problem' in template || 'problem' in uri) continue
        const climbs = /(?:^|\/)\.\.?(?:\/|$)/.test(decoded(uri.path))
        hold(!template.matches(uri) || !climbs, 'a template answers for nothing that climbs')
      }
      names(given)
      listening(given)
    },
  }
}

/** IANA's special-purpose registries; for IPv6 what lies outside global unicast as well. */
const special = {
  ipv4: '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4',
  ipv6: '::/3 4000::/2 8000::/1 2001::/23 2001:db8::/32 2002::/16 3fff::/20',
} as const // prettier-ignore

type Closed = { readonly ipv4: BlockList; readonly ipv6: BlockList }

/** Two lists: one of them would take each IPv4 address for the IPv6 one that it is mapped to. */
function closedAddresses(): Closed {
  const of = (family: 'ipv4' | 'ipv6'): BlockList => {
    const list = new BlockList()
    for (const range of special[family].split(' ')) {
      const [net = '', bits = '0'] = range.split('/')
      list.addSubnet(net, Number(bits), family)
    }
    return list
  }
  return { ipv4: of('ipv4'), ipv6: of('ipv6') }
}

/** `::ffff:7f00:1` is 127.0.0.1. */
function isClosed(closed: Closed, ip: string): boolean {
  if (isIP(ip) === 4) return closed.ipv4.check(ip, 'ipv4')
  const groups = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i.exec(ip)
  if (groups === null) return closed.ipv6.check(ip, 'ipv6')
  const [high, low] = [Number.parseInt(groups[2] ?? '0', 16), Number.parseInt(groups[3] ?? '0', 16)]
  const mapped = groups[1] ?? [high >> 8, high & 255, low >> 8, low & 255].join('.')
  return closed.ipv4.check(mapped, 'ipv4')
}

function address(given: string, closed: Closed): void {
  const problem = judge(given, { allowPrivate: false, loopback: false })
  if (problem !== null || isIP(given) === 0) return
  hold(!isClosed(closed, given), 'an address that may be reached is a public one', () => given)
}

/** What `node:http` will connect to: a literal address, or a name whose addresses are judged one by one. */
function checkDestination(url: URL, closed: Closed): void {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const loopback = isLoopbackName(host)
  hold(url.protocol === 'https:' || loopback, 'plain http reaches loopback only')
  hold(url.username === '' && url.password === '', 'no destination carries a password')
  if (isIP(host) !== 0 && !loopback)
    hold(!isClosed(closed, host), 'a literal destination is a public address', () => host)
  if (loopback && isIP(host) === 4) hold(host.startsWith('127.'), 'loopback is 127.0.0.0/8')
}

const decoded = (given: string): string => {
  try {
    return decodeURIComponent(decodeURIComponent(given))
  } catch {
    return given
  }
}

function paths(given: string): void {
  const normal = normalPath(given)
  if (!normal.ok) return
  const again = normalPath(normal.value)
  hold(
    again.ok && again.value === normal.value,
    'a normal path is normal',
    () => `${given} → ${normal.value}`,
  )
  hold(!normal.value.split('/').includes('..'), 'a normal path does not climb')
  foldedPath(normal.value)
  if (/^file:/i.test(given) || /^[A-Za-z]:[\\/]/.test(given) || given.startsWith('~')) return
  // A POSIX system reads the same bytes to the same place.
  const theirs = posix
    .normalize(given.normalize('NFC'))
    .replace(/(?<=[^])\/$/, '')
    .replace(/^\/\//, '/')
  hold(
    theirs === normal.value,
    'a path means what the system takes it for',
    () => `${given}: ${normal.value}, ${theirs}`,
  )
  const twice = posix.normalize(decoded(given).normalize('NFC')).replace(/(?<=[^])\/$/, '')
  const depth = (path: string): number => path.split('/').length
  hold(
    !given.includes('%') || depth(twice) === depth(theirs),
    'decoding a path moves it nowhere',
    () => given,
  )
}

function urls(given: string): void {
  const normal = normalUrl(given)
  if (!normal.ok) return
  const { href, host, scheme, port, path } = normal.value
  const again = normalUrl(href)
  hold(again.ok && again.value.href === href, 'a normal URL is normal', () => `${given} → ${href}`)
  const url = new URL(href)
  hold(url.hostname.replace(/\.$/, '') === host && `${scheme}:` === url.protocol, 'a URL is what it says')
  hold(path === url.pathname && Number.isInteger(port), 'a URL leads where it says')
  if (!/^(?:https?|wss?|ftp):/i.test(given)) return
  hold(host !== '' && !/[@\s]/.test(host), 'a web address has a host')
  hold(/^[a-z]+:\/\/[^/?#]/i.test(given), 'a host is written where others look for it')
}

function uris(given: string): void {
  const uri = parseUri(given)
  if ('problem' in uri) return
  const again = parseUri(uri.text)
  hold(!('problem' in again) && again.text === uri.text, 'a URI that was read reads the same', () => uri.text)
  hold(
    uri.text.startsWith(uri.root) || uri.path === '' || uri.authority !== null,
    'a URI lies under its root',
  )
  const url = URL.parse(uri.text)
  // Where a server takes it for a URL it must not find another path in it.
  if (url === null || !['http:', 'https:', 'file:', 'ftp:', 'ws:', 'wss:'].includes(url.protocol)) return
  const special =
    url.pathname === uri.path || (uri.path === '' && url.pathname === '/') || uri.authority === null
  const letters = /^[a-z]:/i.test(uri.path.replace(/^\/+/, '')) || uri.path.startsWith('//')
  hold(special || letters, 'a URL parser finds the same path in a URI', () => `${uri.text}: ${url.pathname}`)
}

function names(given: string): void {
  for (const endpoint of [{ kind: 'all' }, { kind: 'one', server: 'files' }] as const satisfies Endpoint[]) {
    const named = readName(endpoint, given)
    if (named !== null) hold(showName(endpoint, named) === given, 'a name that was read is shown as it came')
    const uri = readUri(endpoint, given)
    if (uri !== null) hold(showUri(endpoint, uri) === given, 'a URI that was read is shown as it came')
  }
  const endpoint = endpointOf(given)
  if (endpoint?.kind === 'one') hold(given === `/mcp/${endpoint.server}`, 'an endpoint is its path')
}

function listening(given: string): void {
  try {
    const { host, port } = parseAddress('listen.agents', given)
    hold(host !== '' && port >= 0 && port <= 65_535, 'an address has a host and a port')
  } catch (fault) {
    hold(fault instanceof Error && fault.name === 'ConfigError', 'an address that is none says so')
  }
}

const words = ['http://', 'https://', 'HTTP:', 'file://', 'file:///', 'localhost', '127.0.0.1', '0x7f.1', '2130706433', '0177.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]', '[fec0::1]', '[fe80::1%25eth0]', '169.254.169.254', '10.0.0.1', '①②⑦.0.0.1', '。', '．', '@', '%40', '#', '?', '\\', '/', '//', '/./', '/../', '..', '%2e%2e', '%252e', '%2f', '%5c', '%00', 'C:\\', '~/', ':80', ':443', ':0', '__', 'countersign+', 'files', 'metadata.', '.localhost', '{path}', '\t', '\n', ' '] // prettier-ignore

const seeds = ['https://api.example.com:8443/mcp?x=1#f', 'http://127.0.0.1:7318/mcp', 'http://[::1]/', 'https://user:pass@example.com/', 'https://169.254.169.254/latest', 'https://[::ffff:10.0.0.1]/', '192.0.2.1', '2606:4700::1111', '/srv/data/../etc/passwd', 'a/b/../c', 'C:\\Users\\x', '~/notes', 'file:///srv/a%20b.txt', 'file:///a/b.txt', 'db://main/users?a=1', 'custom:opaque', 'files__read_file', 'countersign+files:file:///a', 'countersign+my+srv:x:y', '/mcp/files', '0.0.0.0:7316', '[::]:0', 'https://xn--e1afmkfd.example/%7Euser/..%2f'] // prettier-ignore
