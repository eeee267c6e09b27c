import { secretSpans } from '../flow/formats.ts'

/** A text with the secrets in it apart. */
export type Piece = string | { readonly secret: string }

/**
 * Which values are secrets: by the name they have, by the form their issuer gave them, by where they stand in a URL, or
 * by looking random. Rather one too many than one too few: a harmless value works as well from the sealed store.
 */
const names =
  /(?:^|[_.\s-])(?:token|secret|password|passwd|pwd|passphrase|pass|apikey|api[_-]?key|key|access[_-]?key|private[_-]?key|signing[_-]?key|credentials?|auth|authorization|bearer|cookie|session|dsn|pat|jwt|webhook|connection[_-]?string)s?(?=$|[_.\s-])/i
const about =
  /[_.-](?:url|uri|endpoint|path|file|dir|host|port|user|username|email|type|method|mode|name|region|ttl|timeout|limit|expiry|scope|scopes|enabled|version)$/i

/** camelCase is taken apart first: `apiToken` is named like `api_token`. */
export function isSecretNamed(name: string): boolean {
  const apart = name.replace(/^-+/, '').replace(/([a-z0-9])([A-Z])/g, '$1_$2')
  return names.test(apart) && !about.test(apart)
}

/** The value with its secrets apart; all of it in one piece when there is none. `name` is what it is called, or null. */
export function piecesOf(name: string | null, value: string): readonly Piece[] {
  const url = urlPieces(value)
  if (url !== null) return url
  const scheme = /^((?:Bearer|Token|Basic|ApiKey|Api-Key|Bot|Key)\s+)(\S.*)$/i.exec(value)
  if (scheme?.[1] !== undefined && scheme[2] !== undefined) return [scheme[1], { secret: scheme[2] }]
  const spans = secretSpans(value)
  if (spans.length > 0) return apart(value, spans)
  const named = name !== null && isSecretNamed(name) && !isHarmless(value)
  return named || looksRandom(value) || /(?:password|pwd|secret|token|authorization)["']?\s*[=:]/i.test(value)
    ? [{ secret: value }]
    : [value]
}

export const hasSecret = (pieces: readonly Piece[]): boolean =>
  pieces.some((piece) => typeof piece !== 'string')

function apart(
  value: string,
  spans: readonly { readonly start: number; readonly end: number }[],
): readonly Piece[] {
  const pieces: Piece[] = []
  let from = 0
  for (const { start, end } of spans) {
    pieces.push(value.slice(from, start), { secret: value.slice(start, end) })
    from = end
  }
  return [...pieces, value.slice(from)].filter((piece) => piece !== '')
}

/** A password before the host and keys in the query, exactly as they stand (percent-encoded). Null for no URL. */
function urlPieces(value: string): readonly Piece[] | null {
  if (!/^[a-z][a-z0-9+.-]*:\/\/\S+$/i.test(value)) return null
  const spans: { start: number; end: number }[] = []
  const user = /^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s:]*:([^/?#\s]+)@/i.exec(value)
  if (user?.[1] !== undefined)
    spans.push({ start: user[0].length - 1 - user[1].length, end: user[0].length - 1 })
  for (const match of value.matchAll(/[?&#]([^=&#\s]+)=([^&#\s]+)/g)) {
    const [all, key = '', text = ''] = match
    const end = match.index + all.length
    if ((isSecretNamed(key) && !isHarmless(text)) || looksRandom(text))
      spans.push({ start: end - text.length, end })
  }
  const free = secretSpans(value).filter((span) =>
    spans.every((other) => span.end <= other.start || span.start >= other.end),
  )
  const path = [...value.matchAll(/(?<=\/)[^/?#\s]{20,}(?=[/?#]|$)/g)]
    .filter((match) => looksRandom(match[0]))
    .map((match) => ({ start: match.index, end: match.index + match[0].length }))
    .filter((span) =>
      [...spans, ...free].every((other) => span.end <= other.start || span.start >= other.end),
    )
  return apart(
    value,
    [...spans, ...free, ...path].sort((a, b) => a.start - b.start),
  )
}

function isHarmless(value: string): boolean {
  if (/^(?:|true|false|yes|no|on|off|none|null|basic|bearer|oauth2?|default|auto|[0-9]{1,5})$/i.test(value))
    return true
  return (
    /^(?:\.{0,2}\/|~\/|[A-Za-z]:\\)[^\s=]*$/.test(value) &&
    /[./\\]/.test(value.slice(1)) &&
    !looksRandom(value)
  )
}

/** At least 20 characters of the alphabets that keys are written in, letters and digits mixed, over 3.6 bits a character. */
function looksRandom(value: string): boolean {
  if (!/^[A-Za-z0-9+/_=.~-]{20,512}$/.test(value) || !/[0-9]/.test(value) || !/[A-Za-z]/.test(value))
    return false
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)) return false
  if (
    value.startsWith('/') ||
    value.startsWith('.') ||
    /\.[a-z]{2,6}$/.test(value) ||
    /(?:^|[-_/.])[a-z]{4,}(?:[-_/.][a-z]{3,})+/.test(value)
  )
    return false
  const counts = new Map<string, number>()
  for (const character of value) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const number of counts.values()) bits -= (number / value.length) * Math.log2(number / value.length)
  return bits > 3.6 || (/^[0-9a-f]{32,}$/i.test(value) && bits > 3)
}
