import { canonical, isIJsonText } from '../lib/jcs.ts'
import { bridged, bridgeProblem } from './bridge.ts'
import type { Entry } from './entry.ts'
import { environmentFile, expand } from './expand.ts'
import type { Surroundings } from './expand.ts'
import { hasSecret, isSecretNamed, piecesOf } from './suspect.ts'
import type { Piece } from './suspect.ts'

/** A value of the server, with its secrets apart. `where` names it to people: `env.TOKEN`, `args[2]`. */
export type Part = { readonly where: string; readonly hint: string; readonly pieces: readonly Piece[] }

/** A server as the client would run it, before its secrets have names. */
export type Draft =
  | {
      readonly kind: 'stdio'
      readonly command: string
      readonly args: readonly Part[]
      readonly env: { readonly [name: string]: Part }
      readonly cwd: string | null
    }
  | { readonly kind: 'http'; readonly url: Part; readonly headers: { readonly [name: string]: Part } }

export type Drafted =
  | {
      readonly ok: true
      readonly draft: Draft
      readonly disabled: boolean
      readonly notes: readonly string[]
    }
  | { readonly ok: false; readonly why: string }

export type DraftOptions = {
  readonly surroundings: Omit<Surroundings, 'own'>
  /** What stdio servers get besides their own variables: the broker starts them with nothing else. */
  readonly inherit: { readonly [name: string]: string }
  /** The text of an environment file, or null. */
  readonly environmentFile: (path: string) => string | null
}

/** What adopt can read of an entry. Anything else in it stays as it is, unless it holds a secret. */
const known = new Set(['type', 'transport', 'command', 'args', 'env', 'envFile', 'cwd', 'url', 'headers'])
const logins = ['oauth', 'auth', 'headersHelper', 'headersCommand', 'authProviderType']

class Unfit extends Error {}

type Ready = DraftOptions & { readonly surroundings: Surroundings }

/** Pure. Says why not in words for the owner; the value of nothing is in them. */
export function draftOf(entry: Entry, given: DraftOptions): Drafted {
  const { value } = entry
  const own = typeof value['env'] === 'object' && value['env'] !== null ? Object.keys(value['env']) : []
  const options = { ...given, surroundings: { ...given.surroundings, own } }
  const disabled = value['disabled'] === true || value['enabled'] === false
  const why = whyNot(value)
  if (why !== null) return { ok: false, why }
  try {
    const draft =
      typeof value['command'] === 'string'
        ? stdioDraft(value, value['command'], options)
        : httpDraft(value, options)
    if (namesSecrets(draft))
      return {
        ok: false,
        why: 'it names a secret of the sealed store; a configuration found on the machine may not',
      }
    if (!textsOf(draft).every(isIJsonText))
      return { ok: false, why: 'it holds text that is not valid Unicode; correct it and run again' }
    const remote = draft.kind === 'stdio' ? bridged(draft) : null
    const notes = [
      ...(remote === null ? [] : ['`mcp-remote` is left out: the broker speaks to the address itself']),
      ...(value['envFile'] === undefined
        ? []
        : ['its environment file is read now and stays as it is, tokens and all']),
    ]
    return { ok: true, draft: remote ?? draft, disabled, notes }
  } catch (error) {
    if (error instanceof Unfit) return { ok: false, why: error.message }
    throw error
  }
}

/** The same server, wherever it stands: secrets by value, names of places left out. Never to be printed. */
export function fingerprintOf(draft: Draft): string {
  const parts = (table: { readonly [name: string]: Part }) =>
    Object.fromEntries(Object.entries(table).map(([name, part]) => [name, part.pieces]))
  return draft.kind === 'stdio'
    ? canonical({
        command: draft.command,
        args: draft.args.map((part) => part.pieces),
        env: parts(draft.env),
        cwd: draft.cwd,
      })
    : canonical({ url: draft.url.pieces, headers: parts(draft.headers) })
}

/** Every text that the broker would have to write down. */
function textsOf(draft: Draft): readonly string[] {
  const own =
    draft.kind === 'stdio'
      ? [draft.command, draft.cwd ?? '', ...Object.keys(draft.env)]
      : Object.keys(draft.headers)
  const pieces = partsOf(draft).flatMap((found) => found.pieces)
  return [...own, ...pieces.map((piece) => (typeof piece === 'string' ? piece : piece.secret))]
}

export const partsOf = (draft: Draft): readonly Part[] =>
  draft.kind === 'stdio'
    ? [...Object.values(draft.env), ...draft.args]
    : [draft.url, ...Object.values(draft.headers)]

function whyNot(value: Entry['value']): string | null {
  const type = value['type'] ?? value['transport']
  const { command, url } = value
  if (command !== undefined && url !== undefined) return 'it has both `command` and `url`'
  if (typeof command !== 'string' && typeof url !== 'string') return 'expected `command` or `url`'
  if (command === '') return '`command` is empty'
  const login = logins.find((field) => value[field] !== undefined)
  if (login !== undefined)
    return `its client signs in by itself (\`${login}\`); the broker cannot do that yet`
  for (const [field, inner] of Object.entries(value)) {
    if (!known.has(field) && holdsSecret(field, inner))
      return `\`${field}\` holds a secret that would stay in the file; take it out first`
  }
  if (type === 'sse' || (typeof url === 'string' && type === undefined && /\/sse\/?(?:[?#]|$)/.test(url))) {
    return 'it uses HTTP with SSE, the transport from before 2025 that the broker does not speak; ask its maker for the streamable HTTP address'
  }
  const types: readonly unknown[] =
    command === undefined
      ? ['http', 'streamable-http', 'streamableHttp', 'streamable_http', undefined]
      : ['stdio', 'local', undefined]
  if (!types.includes(type)) return strangeTransport(type)
  return null
}

/** What stands there may be anything that was pasted: only a short word is said, as nobody's secret is one. */
function strangeTransport(type: unknown): string {
  if (typeof type !== 'string') return 'expected the transport to be a text'
  return /^[a-z]{1,12}$/.test(type)
    ? `the transport \`${type}\` is not known`
    : 'the transport that it names is not known; expected `stdio` or `http`'
}

function holdsSecret(name: string, value: unknown): boolean {
  if (typeof value === 'string') return hasSecret(piecesOf(name, value))
  if (Array.isArray(value)) return value.some((item) => holdsSecret(name, item))
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.entries(value).some(([inner, item]) => holdsSecret(inner, item))
  )
}

function stdioDraft(value: Entry['value'], command: string, options: Ready): Draft {
  const args = value['args'] ?? []
  if (!Array.isArray(args) || !args.every((arg) => typeof arg === 'string'))
    throw new Unfit('expected `args` to be a list of texts')
  const problem = bridgeProblem(args)
  if (problem !== null) throw new Unfit(problem)
  const fileName = value['envFile']
  const fromFile = typeof fileName === 'string' ? fileVariables(fileName, options) : {}
  const own = texts('env', value['env'], options)
  const env: { [name: string]: Part } = {}
  for (const [name, text] of Object.entries(options.inherit))
    env[name] = { where: `env.${name}`, hint: name, pieces: [text] }
  for (const [name, text] of Object.entries(fromFile)) env[name] = part(`envFile ${name}`, name, text, [])
  for (const [name, { text, from }] of Object.entries(own)) env[name] = part(`env.${name}`, name, text, from)
  const cwd = value['cwd'] ?? options.surroundings.folder
  if (cwd !== null && typeof cwd !== 'string') throw new Unfit('expected `cwd` to be a text')
  const expandedCwd = cwd === null ? null : filled(cwd, options).text
  return {
    kind: 'stdio',
    command: filled(command, options).text,
    args: argumentParts(args, options),
    env,
    cwd: expandedCwd,
  }
}

function httpDraft(value: Entry['value'], options: Ready): Draft {
  const { text, from } = filled(String(value['url']), options)
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new Unfit('expected `url` to be an http or https address')
  const loopback = /^(?:localhost|127(?:\.[0-9]+){3}|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'http:' && !loopback)
    throw new Unfit('its address is without TLS; the broker sends no credential over plain http')
  const headers: { [name: string]: Part } = {}
  for (const [name, header] of Object.entries(texts('headers', value['headers'], options))) {
    headers[name] = part(`headers.${name}`, name, header.text, header.from)
  }
  if (url.username === '' && url.password === '')
    return { kind: 'http', url: part('url', 'key', text, from), headers }
  if (Object.keys(headers).some((name) => name.toLowerCase() === 'authorization'))
    throw new Unfit('it has credentials both in the address and in a header')
  // The same bytes that a client would make of the address (RFC 7617).
  const basic = Buffer.from(`${login(url.username)}:${login(url.password)}`).toString('base64')
  headers['Authorization'] = { where: 'url', hint: 'basic', pieces: ['Basic ', { secret: basic }] }
  const bare = text.replace(/^([a-z]+:\/\/)[^/?#]*@/i, '$1')
  return { kind: 'http', url: part('url', 'key', bare, from), headers }
}

function login(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    throw new Unfit('the login in its address is not well encoded; correct it and run again')
  }
}

/** A flag's value may stand in the next argument; a header's name before a colon, a variable's before `=`. */
function argumentParts(args: readonly string[], options: Ready): readonly Part[] {
  const found = args.map((arg) => filled(arg, options))
  return found.map(({ text, from }, index) => {
    const before = found[index - 1]?.text ?? ''
    const where = `args[${index}]`
    const assigned = /^(-{0,2}[A-Za-z][\w.-]*=|[A-Za-z][A-Za-z0-9-]*:(?!\/\/)\s*)(\S[^]*)$/.exec(text)
    if (assigned?.[1] !== undefined && assigned[2] !== undefined) {
      const name = assigned[1].replace(/[=:]\s*$/, '')
      const inner = part(where, name, assigned[2], from)
      return { ...inner, pieces: joined([assigned[1], ...inner.pieces]) }
    }
    const flag = /^--?[A-Za-z]/.test(before) && !before.includes('=') && !text.startsWith('-') ? before : null
    return part(where, flag ?? 'argument', text, from, flag)
  })
}

const joined = (pieces: readonly Piece[]): readonly Piece[] =>
  pieces.every((piece) => typeof piece === 'string') ? [pieces.join('')] : pieces

function part(
  where: string,
  hint: string,
  text: string,
  from: readonly string[],
  name: string | null = hint,
): Part {
  const pieces = piecesOf(name, text)
  const fromSecret = !hasSecret(pieces) && from.some(isSecretNamed)
  return { where, hint: hint.replace(/^-+/, ''), pieces: fromSecret ? [{ secret: text }] : pieces }
}

function filled(text: string, options: Ready): { readonly text: string; readonly from: readonly string[] } {
  const expanded = expand(text, options.surroundings)
  if (!expanded.ok) throw new Unfit(expanded.why)
  return expanded
}

function texts(
  field: string,
  table: unknown,
  options: Ready,
): { readonly [name: string]: { readonly text: string; readonly from: readonly string[] } } {
  if (table === undefined || table === null) return {}
  if (typeof table !== 'object' || Array.isArray(table))
    throw new Unfit(`expected \`${field}\` to be an object`)
  const rows = Object.entries(table).flatMap(([name, value]: [string, unknown]) => {
    if (value === null) return []
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
      throw new Unfit(`expected \`${field}.${name}\` to be a text`)
    }
    return [[name, filled(String(value), options)] as const]
  })
  return Object.fromEntries(rows)
}

function fileVariables(name: string, options: Ready): { readonly [name: string]: string } {
  const path = filled(name, options).text
  const text = options.environmentFile(path)
  if (text === null) throw new Unfit(`its environment file \`${path}\` cannot be read`)
  return environmentFile(text)
}

/**
 * An entry that spelled `secret:NAME` itself would be lent a secret of another server as soon as it was adopted: a
 * file in a cloned project could have that sent to an address of its choice.
 */
function namesSecrets(draft: Draft): boolean {
  const all = partsOf(draft).flatMap((found) =>
    found.pieces.map((piece) => (typeof piece === 'string' ? piece : piece.secret)),
  )
  return all.some((text) => /^secret:|\$\{secret:|\$\{COUNTERSIGN_ARG_/.test(text))
}
