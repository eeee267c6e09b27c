import ipaddr from 'ipaddr.js'
import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import { urlToHttpOptions } from 'node:url'
import type { LookupFunction } from 'node:net'
import type { RequestOptions } from 'node:http'

/** Where a server may be reached: checked once for the URL, and again for each address its name resolves to. */
export type Destination = {
  readonly url: URL
  /** The same in the form that `node:http(s)` would make of it for each request. */
  readonly target: RequestOptions
  /** For `node:http(s)`: resolves once, checks, and hands on exactly the addresses that were checked. */
  readonly lookup: LookupFunction
}

export type DestinationProblem = { readonly problem: string }

/** `dns.lookup` with `all`, or a stand-in for tests. */
export type Resolve = (
  host: string,
  done: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
) => void

const systemResolve: Resolve = (host, done) => systemLookup(host, { all: true, verbatim: true }, done)

/**
 * A destination for a configured URL (server-side request forgery: MCP security best practices 2026-07-28, SSRF).
 * Plain http only to loopback, and loopback only where the URL says so in its own letters: a name that merely resolves
 * to it is refused, or a rebinding name server could turn a public tool into a request to a local port.
 */
export function destination(
  text: string,
  { allowPrivate, resolve = systemResolve }: { readonly allowPrivate: boolean; readonly resolve?: Resolve },
): Destination | DestinationProblem {
  const url = URL.parse(text)
  if (url === null) return { problem: `expected a URL, found \`${text}\`` }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return { problem: 'expected an https URL' }
  if (url.username !== '' || url.password !== '')
    return { problem: 'expected no user or password in the URL; use `headers`' }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const loopback = isLoopbackName(host)
  if (url.protocol === 'http:' && !loopback)
    return { problem: 'expected https: plain http is for loopback only' }
  const problem = ipaddr.isValid(host) ? judge(host, { allowPrivate, loopback }) : null
  if (problem !== null) return { problem }
  const lookup = guardedLookup(resolve, (address) => judge(address, { allowPrivate, loopback }))
  const { protocol, hostname, port, path } = urlToHttpOptions(url)
  return { url, target: { protocol, hostname, path, ...(port === undefined ? {} : { port }) }, lookup }
}

/** `localhost`, names under it (RFC 6761 section 6.3), 127.0.0.0/8 and ::1, as literally written in the URL. */
export function isLoopbackName(host: string): boolean {
  if (host === 'localhost' || host.endsWith('.localhost')) return true
  if (!ipaddr.isValid(host)) return false
  return unmapped(host).range() === 'loopback'
}

/** `null`: may be reached. Only what is known to be a public unicast address passes; everything else is named. */
export function judge(
  address: string,
  { allowPrivate, loopback }: { readonly allowPrivate: boolean; readonly loopback: boolean },
): string | null {
  if (!ipaddr.isValid(address)) return 'expected an IP address'
  // `fe80::1%eth0` names an interface of this machine.
  if (address.includes('%')) return 'expected an address without a zone'
  const parsed = unmapped(address)
  const range = rangeOf(parsed)
  if (loopback) return range === 'loopback' ? null : 'a loopback name leads to another address'
  if (range === 'unicast') return null
  if (allowPrivate && privateRanges.has(range)) return null
  const hint = privateRanges.has(range) ? '; `allowPrivate` allows it' : ''
  return `the address is not public (${range})${hint}`
}

/** Private networks in the narrow sense. Link-local stays closed: that is where clouds keep their metadata service. */
const privateRanges: ReadonlySet<string> = new Set(['private', 'uniqueLocal', 'carrierGradeNat'])

/**
 * The library's name of a range, whose `unicast` is what no registry has set aside: 6to4 (RFC 3056), NAT64 (RFC 6052,
 * RFC 8215), Teredo, site-local and their like have names of their own, as each carries another address inside. Global
 * unicast is 2000::/3 (RFC 4291 section 2.4); what lies outside and has no name has no meaning yet.
 */
function rangeOf(address: ipaddr.IPv4 | ipaddr.IPv6): string {
  const range = address.range()
  if (address instanceof ipaddr.IPv4 || range !== 'unicast') return range
  const [base, bits] = ipaddr.IPv6.parseCIDR('2000::/3')
  return address.match(base, bits) ? range : 'unassigned'
}

/** An IPv4 address in IPv6 clothes (`::ffff:127.0.0.1`) is judged as what it is. */
function unmapped(address: string): ipaddr.IPv4 | ipaddr.IPv6 {
  return ipaddr.process(address)
}

/** One resolution serves both the check and the connection: between two, the name server could answer otherwise. */
function guardedLookup(resolve: Resolve, problemOf: (address: string) => string | null): LookupFunction {
  return (host, options, callback) => {
    resolve(host, (error, addresses) => {
      const [first] = addresses ?? []
      if (error !== null) return callback(error, '', 0)
      if (first === undefined) return callback(blocked('the name has no address'), '', 0)
      // One closed address among several closes the name: the connection could take that one.
      for (const { address } of addresses) {
        const problem = problemOf(address)
        if (problem !== null) return callback(blocked(problem), '', 0)
      }
      if (options.all === true) return callback(null, [...addresses])
      return callback(null, first.address, first.family)
    })
  }
}

/** Told apart from a failing name server by its code, never by its text. */
export const blockedCode = 'COUNTERSIGN_BLOCKED'

const blocked = (problem: string): NodeJS.ErrnoException =>
  Object.assign(new Error(problem), { code: blockedCode })
