import { RE2JS } from 're2js'

/** A URI taken apart once (RFC 3986 section 3). `scheme` and `authority` are in lower case; the rest is as given. */
export type Uri = {
  readonly text: string
  readonly scheme: string
  readonly authority: string | null
  readonly path: string
  readonly root: string
}

const maxLength = 2048
const shape = /^([A-Za-z][A-Za-z0-9+.-]{0,30}):(?:\/\/([^/?#]*))?([^?#]*)(\?[^#]*)?(#.*)?$/
/** The characters of RFC 3986 and nothing else: no controls, spaces, quotes, backslash, braces, or anything outside ASCII. */
const allowed = /^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/
const brokenEscape = /%(?![0-9A-Fa-f]{2})/

/**
 * Parses strictly, or says what is wrong. A URI decides which reviewed unit answers for a read, so anything that two
 * parsers could read differently is refused: dot segments in any encoding (also encoded twice), encoded slashes and
 * NUL in a path, and characters outside RFC 3986 (incident 9: `..`, `//`, encoded and case variants).
 */
export function parseUri(text: string): Uri | { readonly problem: string } {
  if (text.length > maxLength) return { problem: `expected a URI of at most ${maxLength} characters` }
  if (!allowed.test(text) || brokenEscape.test(text)) {
    return { problem: 'expected a URI in the characters of RFC 3986; percent-encode everything else' }
  }
  const parts = shape.exec(text)
  const scheme = parts?.[1]?.toLowerCase()
  if (parts === null || scheme === undefined)
    return { problem: 'expected a URI with a scheme, such as `file:///name`' }
  const authority = parts[2]?.toLowerCase() ?? null
  const path = parts[3] ?? ''
  const climbing = climbs(path)
  if (climbing !== null) return { problem: climbing }
  if (authority !== null && authority.includes('%'))
    return { problem: 'expected no percent-encoding before the path' }
  if (!isReadAlike({ text, scheme, authority, path }))
    return {
      problem: 'expected a URI that a browser reads to the same host and path, such as `https://name/path`',
    }
  const head = authority === null ? `${scheme}:` : `${scheme}://${authority}`
  const rest = text.slice(text.length - (path.length + (parts[4] ?? '').length + (parts[5] ?? '').length))
  return { text: head + rest, scheme, authority, path, root: authority === null ? head : `${head}/` }
}

/**
 * Servers take URIs of the web's own schemes for URLs, whose parser skips slashes, settles odd spellings of addresses and
 * makes a host of what RFC 3986 calls a path: `http:///a/b`, `http:a/b` and `http://0xa/b` lead to hosts that nobody
 * reviewed.
 */
function isReadAlike({ text, scheme, authority, path }: Omit<Uri, 'root'>): boolean {
  const port = webPorts.get(scheme)
  if (port === undefined) return true
  const url = URL.parse(text)
  if (url === null || (url.pathname !== path && !(path === '' && url.pathname === '/'))) return false
  if (scheme === 'file') return url.host === (authority === 'localhost' ? '' : (authority ?? ''))
  const [host, ...more] = (authority ?? '').split('@').toReversed()
  return host !== '' && more.length < 2 && (host === url.host || host === `${url.hostname}:${port}`)
}

/** The schemes that the URL standard calls special, and what it leaves out of a host when it is written there. */
const webPorts: ReadonlyMap<string, string> = new Map([
  ['http', '80'],
  ['https', '443'],
  ['ws', '80'],
  ['wss', '443'],
  ['ftp', '21'],
  ['file', ''],
])

/** Decoded as often as a careless server might: `%252e` is `%2e` is `.`. */
function climbs(path: string): string | null {
  let layer = path
  for (let round = 0; round < 4; round++) {
    if (layer.split(/[/\\]/).some((segment) => segment === '..' || segment === '.')) {
      return 'expected a path without `.` and `..` segments; name the thing itself'
    }
    const next = layer.replace(/%(2e|2f|5c|25|00)/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
    if (next === layer) return null
    if (next.includes('\0')) return 'expected a path without NUL'
    if (count(next, '/') !== count(layer, '/') || count(next, '\\') !== count(layer, '\\')) {
      return 'expected a path without encoded slashes'
    }
    layer = next
  }
  return 'expected a path that is percent-encoded once'
}

const count = (text: string, character: string): number => text.split(character).length - 1

/** A template compiled for matching; `literal` is its number of fixed characters: more of them, more specific. */
export type Template = {
  readonly variables: readonly string[]
  readonly literal: number
  matches(uri: Uri): boolean
}

/**
 * Compiles a URI template for matching (RFC 6570): level 1 (`{name}`, one path segment or part of it), `{+name}` and
 * `{/name*}` (may hold slashes), `{?a,b}` and `{&a}` (query). Matching is linear in the URI (RE2). Anything else gives
 * a problem, and the template answers for nothing.
 */
export function parseTemplate(text: string): Template | { readonly problem: string } {
  if (text.length > maxLength) return { problem: `expected a template of at most ${maxLength} characters` }
  const variables: string[] = []
  let pattern = ''
  let literal = 0
  for (const piece of text.split(/(\{[^{}]*\})/)) {
    if (!piece.startsWith('{')) {
      if (/[{}]/.test(piece)) return { problem: 'expected `{` and `}` in pairs' }
      pattern += RE2JS.quote(literal === 0 ? lowerHead(piece) : piece)
      literal += piece.length
      continue
    }
    const parts = /^\{([+/?&]?)([A-Za-z0-9_.,*]{1,200})\}$/.exec(piece)
    if (parts === null)
      return { problem: `expected expressions such as \`{name}\` or \`{+name}\` (RFC 6570)` }
    const expression = expressions[parts[1] ?? '']
    if (expression === undefined) return { problem: 'expected an expression of RFC 6570 level 1' }
    pattern += expression
    variables.push(...(parts[2] ?? '').split(',').map((name) => name.replace('*', '')))
  }
  if (!/^[a-z][a-z0-9+.-]*:/i.test(text))
    return { problem: 'expected a template that starts with a fixed scheme' }
  if (variables.length > 32) return { problem: 'expected at most 32 variables' }
  const compiled = RE2JS.compile(pattern)
  return { variables, literal, matches: (uri) => compiled.testExact(uri.text) }
}

/** What each operator's value may hold. A simple variable stays within one segment, so that it cannot climb or widen. */
const expressions: { readonly [operator: string]: string } = {
  '': '[^/?#]+',
  '+': '[^?#]+',
  '/': '(?:/[^?#]*)?',
  '?': '(?:\\?[^#]*)?',
  '&': '(?:&[^#]*)?',
}

/** Scheme and authority compare without case (RFC 3986 section 6.2.2.1). */
const lowerHead = (piece: string): string =>
  piece.replace(/^[^/?#]*(?:\/\/[^/?#]*)?/, (head) => head.toLowerCase())
