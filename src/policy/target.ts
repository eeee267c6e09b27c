import { isJsonObject } from '../lib/json.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import type { Targets } from '../registry/tool.ts'

/** What a call acts on, in one form for all tools, so that one rule covers them. */
export type Target = {
  readonly path?: string
  readonly url?: TargetUrl
  readonly recipient?: string
  /** As written, for `decimal`. */
  readonly amount?: string | number
}

export type TargetUrl = {
  readonly href: string
  readonly scheme: string
  readonly host: string
  /** The scheme's own port when none is written; 0 when it has none. */
  readonly port: number
  readonly path: string
}

export type Targeted =
  /** One target for each combination; a call that names several is judged for each, and the strictest holds. */
  | { readonly ok: true; readonly targets: readonly Target[] }
  | { readonly ok: false; readonly problem: string }

type Normalised<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string }

const maxTargets = 64

/**
 * Takes the targets that a reviewer pointed at (RFC 6901 pointers) out of the arguments and normalises them. What
 * cannot be read in exactly one way is a problem, and the call is denied: two readings are how a path gets past a rule.
 */
export function targetsOf(pointers: Targets, args: JsonObject): Targeted {
  const paths = each(pointers.path, args, normalPath)
  const urls = each(pointers.url, args, normalUrl)
  const recipients = each(pointers.recipient, args, normalRecipient)
  const amounts = each(pointers.amount, args, normalAmount)
  for (const part of [paths, urls, recipients, amounts]) if (!part.ok) return part
  if (!paths.ok || !urls.ok || !recipients.ok || !amounts.ok) return { ok: false, problem: 'unreachable' }
  let targets: readonly Target[] = [{}]
  targets = combine(targets, paths.value, (target, path) => ({ ...target, path }))
  targets = combine(targets, urls.value, (target, url) => ({ ...target, url }))
  targets = combine(targets, recipients.value, (target, recipient) => ({ ...target, recipient }))
  targets = combine(targets, amounts.value, (target, amount) => ({ ...target, amount }))
  if (targets.length > maxTargets)
    return { ok: false, problem: `the call names more than ${maxTargets} targets; split it` }
  return { ok: true, targets }
}

function combine<T>(
  targets: readonly Target[],
  values: readonly T[],
  add: (target: Target, value: T) => Target,
): readonly Target[] {
  if (values.length === 0) return targets
  // Two long lists would multiply; what is too many is refused above, so one too many is enough here.
  return values.flatMap((value) => targets.map((target) => add(target, value))).slice(0, maxTargets + 1)
}

function each<T>(
  pointer: string | undefined,
  args: JsonObject,
  normalise: (value: Json) => Normalised<T>,
): Normalised<readonly T[]> {
  if (pointer === undefined) return { ok: true, value: [] }
  const found = at(args, pointer)
  if (found === undefined || found === null) return { ok: true, value: [] }
  const values: readonly Json[] = Array.isArray(found) ? found : [found]
  if (values.length > maxTargets)
    return {
      ok: false,
      problem: `argument \`${pointer}\` names more than ${maxTargets} targets; split the call`,
    }
  const normal: T[] = []
  for (const value of values) {
    const one = normalise(value)
    if (!one.ok) return { ok: false, problem: `argument \`${pointer}\` ${one.problem}` }
    normal.push(one.value)
  }
  return { ok: true, value: normal }
}

function at(args: JsonObject, pointer: string): Json | undefined {
  let value: Json | undefined = args
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    if (Array.isArray(value)) value = /^\d{1,4}$/.test(name) ? value[Number(name)] : undefined
    else value = isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
  }
  return value
}

/** Lexical only: the broker does not see the server's disk, so a symbolic link there is the server's to refuse. */
export function normalPath(value: Json): Normalised<string> {
  if (typeof value !== 'string') return bad('is not a path')
  // A URL parser skips leading spaces; a file system does not.
  if (/^\s*file:/i.test(value)) return filePath(value)
  if (value === '') return bad('is an empty path')
  if (value.length > 4096) return bad('is a path of more than 4096 characters')
  if (/\p{Cc}/u.test(value) || !value.isWellFormed()) return bad('is a path with control characters')
  const drive = /^[A-Za-z]:[\\/]/.test(value)
  if (value.includes('\\') && !drive) return bad('is a path with `\\`, which systems read in different ways')
  if (climbsWhenDecoded(value))
    return bad('is a path with encoded separators or dots, which servers read in different ways')
  return segments(drive ? value.replaceAll('\\', '/') : value)
}

function filePath(value: string): Normalised<string> {
  // Dropped, or taken for `/`, by some parsers and not by others; and `file:a` is below `/` for some only.
  if (!/^file:\//i.test(value) || /[\p{Cc}\\]/u.test(value))
    return bad('is a `file:` URL that is not written `file:///…` in plain characters')
  const url = URL.parse(value)
  if (url === null || (url.host !== '' && url.host !== 'localhost'))
    return bad('is not a `file:` URL of this machine')
  if (url.search !== '' || url.hash !== '') return bad('is a `file:` URL with a query or fragment')
  const path = decoded(url.pathname)
  if (path === null || /%2f|%5c|%00/i.test(url.pathname))
    return bad('is a `file:` URL with encoded separators')
  return normalPath(/^\/[A-Za-z]:\//.test(path) ? path.slice(1) : path)
}

function segments(path: string): Normalised<string> {
  const absolute = path.startsWith('/')
  const kept: string[] = []
  for (const part of path.normalize('NFC').split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') kept.push(part)
    else if (kept.length > 0 && !isRoot(kept)) kept.pop()
    // Above `/` is `/`; above a relative path's start, or above a drive or home, is a place that only the server knows.
    else if (!absolute || kept.length > 0) return bad('is a path that climbs above where it starts')
  }
  if (absolute) return { ok: true, value: `/${kept.join('/')}` }
  const normal = kept.join('/') || '.'
  // `a/../~/.ssh` is a folder named `~` here and somebody's home once it is written plainly; `./C:` and `./file:` alike.
  if (startOf(normal) !== startOf(path))
    return bad('is a path that means another place when it is written plainly')
  return { ok: true, value: normal }
}

/** What makes a path more than a path from here: a home, a drive, a URL. */
const startOf = (path: string): string => /^(?:~|\s*file:|[a-z]:)/i.exec(path)?.[0] ?? ''

const isRoot = (kept: readonly string[]): boolean =>
  kept.length === 1 && /^(?:~.*|[A-Za-z]:)$/.test(kept[0] ?? '')

/** True when a server that decodes percent signs, once or twice, would see other separators or `..` than are written. */
function climbsWhenDecoded(text: string): boolean {
  if (!text.includes('%')) return false
  let now = text
  for (let times = 0; times < 3; times++) {
    const next = now.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
    if (next === now) return false
    now = next
    if (/[\\\0]/.test(now) || structure(now) !== structure(text)) return true
  }
  return now.includes('%')
}

const structure = (path: string): string =>
  path
    .split('/')
    .map((part) => (part === '.' || part === '..' ? part : '*'))
    .join('/')

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

/**
 * The same path as a file system that ignores case would find it: for rules that protect a file, never for rules that
 * open one. Also drops what Windows ignores at a name's end and what older macOS ignores anywhere.
 */
export function foldedPath(path: string): string {
  const plain = path
    .normalize('NFKC')
    .replace(/\p{Cf}/gu, '')
    .toLowerCase()
  return plain
    .split('/')
    .map((part, index) =>
      index === 0 && /^[a-z]:$/.test(part) ? part : part.replace(/:.*$/, '').replace(/[. ]+$/, '') || part,
    )
    .join('/')
}

/** WHATWG URL parsing, which settles case, default ports, dot segments and odd spellings of IPv4 addresses. */
export function normalUrl(value: Json): Normalised<TargetUrl> {
  if (typeof value !== 'string' || value.length > 8192) return bad('is not a URL of at most 8192 characters')
  // The parser drops tabs and newlines and reads `\` as `/`; other parsers do not.
  if (/[\p{Cc}\s\\]/u.test(value)) return bad('is a URL with spaces, control characters or `\\`')
  const url = URL.parse(value)
  if (url === null) return bad('is not an absolute URL')
  if (url.href.length > 8192) return bad('is not a URL of at most 8192 characters when it is encoded')
  if (url.username !== '' || url.password !== '') return bad('is a URL with a user name or password in it')
  // The parser finds a host in `http:///a` and `http:a`; others find none, or another.
  if (defaultPorts.has(url.protocol.slice(0, -1)) && !/^\w+:\/\/[^/?#]/.test(value))
    return bad('is a URL without a host')
  if (/^file:(?!\/)/i.test(value)) return bad('is a `file:` URL that does not start at `/`')
  const host = url.hostname.replace(/\.$/, '')
  // `http://./` has a host until the dot that ends every name is taken off.
  const hostless = url.hostname === '' && (url.protocol === 'file:' || !/^\w+:\/\//.test(value))
  if (host === '' && !hostless) return bad('is a URL without a host')
  if (climbsByDots(url.pathname)) return bad('is a URL whose path climbs when it is decoded')
  const scheme = url.protocol.slice(0, -1)
  const port = url.port === '' ? (defaultPorts.get(scheme) ?? 0) : Number(url.port)
  return { ok: true, value: { href: url.href, scheme, host, port, path: url.pathname } }
}

const defaultPorts = new Map([
  ['http', 80],
  ['https', 443],
  ['ws', 80],
  ['wss', 443],
  ['ftp', 21],
])

/** Unlike in a path, an encoded `/` is common in a URL; an encoded `..` is not. */
function climbsByDots(pathname: string): boolean {
  let now = pathname
  for (let times = 0; times < 3 && now.includes('%'); times++) {
    now = now.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
    if (/(?:^|[/\\])\.\.(?:[/\\]|$)/.test(now)) return true
  }
  return false
}

/** Addresses are compared without case and outer space: a rule on `team@example.com` also means `Team@Example.com`. */
function normalRecipient(value: Json): Normalised<string> {
  if (typeof value !== 'string' || value.length > 1024)
    return bad('is not a recipient of at most 1024 characters')
  if (/[\p{Cc}\p{Cf}]/u.test(value)) return bad('is a recipient with invisible characters')
  // A list in one string would hide its second address from a rule on the first.
  if (/[,;]/.test(value)) return bad('holds more than one recipient; send an array')
  const plain = value.normalize('NFKC').trim().toLowerCase()
  return plain === '' ? bad('is an empty recipient') : { ok: true, value: plain }
}

function normalAmount(value: Json): Normalised<string | number> {
  return typeof value === 'number' || typeof value === 'string'
    ? { ok: true, value }
    : bad('is not an amount')
}

const bad = (problem: string): { readonly ok: false; readonly problem: string } => ({ ok: false, problem })
