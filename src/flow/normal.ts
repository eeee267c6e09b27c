import { domainToASCII } from 'node:url'
import type { BearingKind } from './bears.ts'

/**
 * One value, several spellings: case, Unicode forms, invisible characters, quotes around it, spaces and dashes within a
 * number, the scheme of a URL. Two values are the same when their forms are; nothing is ever compared in part.
 */
export function formsOf(kind: BearingKind, value: string): readonly string[] {
  const plain = plainOf(value)
  if (plain === '') return []
  switch (kind) {
    case 'recipient':
    case 'account':
      return plain.includes('@') ? [addressOf(plain)] : distinct(plain, squashed(plain))
    case 'url':
      return [urlOf(trimmedOf(value))]
    case 'path':
      return [pathOf(value)]
    case 'amount':
      return [amountOf(plain)]
    case 'id':
      return distinct(plain, squashed(plain))
    case 'command':
      return [plain]
  }
}

/** The forms under which text that was read somewhere may be met again as any kind of target. */
export function allForms(value: string): readonly string[] {
  const plain = plainOf(value)
  if (plain === '') return []
  const forms = new Set([plain])
  if (plain.includes('@')) forms.add(addressOf(plain))
  const close = squashed(plain)
  if (close !== null) forms.add(close)
  if (/^(?:https?:\/\/|www\.)|^[\w-]+(?:\.[\w-]+)+(?:[/:?#]|$)/.test(plain))
    forms.add(urlOf(trimmedOf(value)))
  if (/[/\\.]/.test(plain)) forms.add(pathOf(value))
  if (/^[^a-z]*\d[\d.,' ]*[^a-z\d]*$/.test(plain)) forms.add(amountOf(plain))
  return [...forms]
}

/** `#7` and `#general` are how people write `7` and `general`. */
const around = /^[\s"'`<([{«“‘#]+|[\s"'`>)\]}»”’.,;:!?]+$/gu

/**
 * NFKC, lower case, without what cannot be seen, one space between words, without quotes and punctuation around it. A
 * mark on a letter can be seen, and makes another name: a domain with one belongs to somebody else.
 */
export const plainOf = (value: string): string => trimmedOf(value).toLowerCase()

const trimmedOf = (value: string): string =>
  value
    .normalize('NFKC')
    .replace(/[\p{Cf}\ufe00-\ufe0f]/gu, '')
    .replace(/\s+/gu, ' ')
    .replace(around, '')

/** Account and telephone numbers are written in groups; names and words are not numbers, and keep their marks. */
function squashed(plain: string): string | null {
  const close = plain.replace(/[\s.\-/()]/g, '')
  return (close.match(/\d/g)?.length ?? 0) >= 6 && /^\+?[a-z0-9]+$/.test(close) ? close : null
}

function addressOf(plain: string): string {
  const bare = plain.replace(/^mailto:/, '')
  const at = bare.lastIndexOf('@')
  const domain = domainToASCII(bare.slice(at + 1))
  return domain === '' ? bare : `${bare.slice(0, at)}@${domain}`
}

/**
 * Without scheme and fragment, so that `example.com/a` and `https://example.com/a/` are one place. All else counts, case
 * and escapes too: whoever owns a page that was named could read what is spelt into variants of its address.
 */
function urlOf(text: string): string {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`)
  if (url === null || url.username !== '' || url.password !== '') return text
  const scheme = url.protocol === 'https:' || url.protocol === 'http:' ? '' : url.protocol
  return `${scheme}${url.host.replace(/\.$/, '')}${url.pathname.replace(/\/$/, '')}${url.search}`
}

/** Case counts in a path. Dots and doubled separators do not. */
function pathOf(value: string): string {
  const text = value
    .normalize('NFC')
    .trim()
    .replace(/^["'`]+|["'`]+$/g, '')
  const kept: string[] = []
  for (const part of decoded(text.replace(/^file:\/\//i, '')).split(/[\\/]/)) {
    if (part === '' || part === '.') continue
    if (part === '..' && kept.length > 0 && kept.at(-1) !== '..') kept.pop()
    else kept.push(part)
  }
  return `${/^[\\/]/.test(text) ? '/' : ''}${kept.join('/')}`
}

/** A currency may stand before or behind. What is no plain number (`11k`, `0x2711`) is none: it is beyond any ceiling. */
function amountOf(plain: string): string {
  const bare = plain.replace(/^[a-z]{3} ?(?=[\d.+-])|(?<=\d) ?[a-z]{3}$|[\p{Sc}\s'_]/gu, '')
  if (/^[+-]?\d+(?:\.\d+)?e[+-]?\d{1,3}$/.test(bare)) return String(Number(bare))
  if (!/^[+-]?[\d.,]*\d[.,]?-?$/.test(bare)) return plain
  const digits = bare.replace(/[^\d.,-]/g, '')
  const decimal = /[.,](\d{1,2})$/.exec(digits)
  const whole = (decimal === null ? digits : digits.slice(0, decimal.index)).replace(/[.,]/g, '')
  const number = Number(decimal === null ? whole : `${whole}.${decimal[1]}`)
  return Number.isFinite(number) ? String(number) : plain
}

/** At most twice: what is encoded deeper is not what it seems, and stays as it is. */
function decoded(text: string): string {
  let now = text
  for (let times = 0; times < 2 && now.includes('%'); times += 1) {
    try {
      now = decodeURIComponent(now)
    } catch {
      return now
    }
  }
  return now
}

const distinct = (one: string, other: string | null): readonly string[] =>
  other === null || other === one ? [one] : [one, other]
