/**
 * A text as it reads once escapes are undone, with the way back: `at[i]` is the offset in the source where unit `i`
 * begins, `at[text.length]` the source's length. Escapes are undone one character at a time, so that a hit covers no
 * more of the source than it must.
 */
export type View = { readonly text: string; readonly at: Uint32Array }

export type Escape = 'percent' | 'entity' | 'backslash'
export const escapes = ['percent', 'entity', 'backslash'] as const satisfies readonly Escape[]

const rules: {
  readonly [E in Escape]: { readonly mark: string; readonly pattern: RegExp; decode(match: string): string }
} = {
  /** RFC 3986 section 2.1, one UTF-8 sequence at a time; hex in either case. */
  percent: {
    mark: '%',
    pattern:
      /%[0-7][0-9a-f]|%[cd][0-9a-f]%[89ab][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f]){2}|%f[0-7](?:%[89ab][0-9a-f]){3}/gi,
    decode: (match) =>
      match.length === 3
        ? String.fromCharCode(Number.parseInt(match.slice(1), 16))
        : Buffer.from(match.replaceAll('%', ''), 'hex').toString('utf8'),
  },
  /** The entities that escaping functions write (HTML section 13.1.4), and any number. */
  entity: {
    mark: '&',
    pattern:
      /&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|amp|lt|gt|quot|apos|nbsp|sol|equals|plus|colon|num|lowbar|percnt|dollar|excl);/gi,
    decode: (match) => named[match.slice(1, -1).toLowerCase()] ?? numbered(match.slice(2, -1)),
  },
  /** JSON (RFC 8259 section 7) and the shorter forms of JavaScript and shells. */
  backslash: {
    mark: '\\',
    pattern: /\\(?:u[0-9a-f]{4}|x[0-9a-f]{2}|["'\\/bfnrt])/gi,
    decode: (match) => short[match.slice(1)] ?? String.fromCharCode(Number.parseInt(match.slice(2), 16) || 0),
  },
}

const named: { readonly [name: string]: string } = {
  amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ', sol: '/', equals: '=', plus: '+', colon: ':',
  num: '#', lowbar: '_', percnt: '%', dollar: '$', excl: '!',
} // prettier-ignore

const short: { readonly [mark: string]: string } = {
  '"': '"', "'": "'", '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t',
} // prettier-ignore

function numbered(digits: string): string {
  const code = /^x/i.test(digits) ? Number.parseInt(digits.slice(1), 16) : Number.parseInt(digits, 10)
  return code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd'
}

/** The text with one kind of escape undone; null when there is none of that kind. Fast: no way back. */
export function unescaped(text: string, escape: Escape): string | null {
  const rule = rules[escape]
  if (!text.includes(rule.mark)) return null
  const undone = text.replace(rule.pattern, (match) => rule.decode(match))
  return undone === text ? null : undone
}

/** The same with the way back; made only where something was found. */
export function viewOf(text: string, escape: Escape): View {
  const rule = rules[escape]
  const at = new Uint32Array(text.length + 1)
  const out: string[] = []
  let size = 0
  let from = 0
  const copy = (until: number): void => {
    if (until > from) out.push(text.slice(from, until))
    for (let source = from; source < until; source += 1) at[size++] = source
  }
  for (const match of text.matchAll(rule.pattern)) {
    copy(match.index)
    const decoded = rule.decode(match[0])
    out.push(decoded)
    for (let unit = 0; unit < decoded.length; unit += 1) at[size++] = match.index
    from = match.index + match[0].length
  }
  copy(text.length)
  at[size] = text.length
  return { text: out.join(''), at: at.subarray(0, size + 1) }
}
