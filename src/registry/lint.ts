import { brief, pointer } from './bounds.ts'
import { channels, handing, imperatives, phrases, places } from './phrases.ts'
import { hiddenKinds, mixesScripts, readable, skeleton } from './unicode.ts'
import { isJsonObject } from '../lib/json.ts'
import { tokens } from './verbs.ts'
import type { Definition, Finding } from './tool.ts'
import type { Json } from '../lib/json.ts'

/** A tool of another server, by which a definition might try to steer. */
export type Other = { readonly server: string; readonly name: string }

export type Surroundings = {
  /** Tools of all other servers. */
  readonly others: readonly Other[]
  /** Names of the same server's tools: speaking of those is ordinary, also where another server has the same name. */
  readonly own?: readonly string[]
}

/** Made once for many definitions: lookups instead of searches, so that work stays linear in the text. */
export type Linter = { lint(definition: Definition): readonly Finding[] }

const maxFindings = 30
const long = { description: 6_000, property: 2_000, instructions: 20_000 } as const

/**
 * Looks for text that is aimed at models rather than at people (incidents 3 and 4: poisoned and sleeper descriptions,
 * steering of another server's tools). Linear in the text. Findings are for a reviewer; they never decide by
 * themselves, since a patient attacker can always find other words.
 */
export function createLinter(surroundings: Surroundings): Linter {
  const byName = new Map<string, string>()
  const bySkeleton = new Map<string, Other>()
  const own = new Set(surroundings.own?.map((name) => name.toLowerCase()))
  for (const other of surroundings.others) {
    if (!own.has(other.name.toLowerCase())) byName.set(other.name.toLowerCase(), other.server)
    for (const joiner of ['__', '/', '.', ':'])
      byName.set(`${other.server}${joiner}${other.name}`.toLowerCase(), other.server)
    bySkeleton.set(skeleton(other.name), other)
  }
  return {
    lint(definition) {
      const findings: Finding[] = []
      const found: Found = (rule, severity, at, message) => {
        if (findings.length < maxFindings && !findings.some((one) => one.rule === rule && one.at === at))
          findings.push({ rule, severity, at, message })
      }
      for (const piece of pieces({ ...definition }, '')) {
        lintPiece(piece, found)
        lintReferences(piece, definition.name, byName, found)
      }
      lintChannels(definition, found)
      lintLookalike(definition, bySkeleton, found)
      return findings
    },
  }
}

/** For one definition. */
export const lint = (definition: Definition, surroundings: Surroundings): readonly Finding[] =>
  createLinter(surroundings).lint(definition)

type Found = (rule: string, severity: Finding['severity'], at: string, message: string) => void
type Piece = { readonly text: string; readonly at: string; readonly isName: boolean }

/** Every text that a model may read: values and the names of properties. Icons and patterns are not read as words. */
function* pieces(value: Json, at: string): Generator<Piece> {
  if (typeof value === 'string') yield { text: value, at, isName: false }
  if (typeof value !== 'object' || value === null || at === '/icons') return
  for (const [name, inner] of Object.entries(value)) {
    const here = pointer(at, name)
    if (isJsonObject(value)) yield { text: name, at: here, isName: true }
    if (name !== 'pattern' && name !== '$schema') yield* pieces(inner, here)
  }
}

function lintPiece({ text, at, isName }: Piece, found: Found): void {
  for (const kind of hiddenKinds(text)) {
    const harmless =
      kind === 'soft hyphens' || (kind === 'control characters' && !/[^\t\n\r\f\v -~]/.test(text))
    found(
      `hidden-${kind.replaceAll(' ', '-')}`,
      harmless ? 'warning' : 'danger',
      at,
      `it contains ${kind}, which a person does not see`,
    )
  }
  if (mixesScripts(text))
    found(
      'mixed-scripts',
      isName ? 'danger' : 'warning',
      at,
      'a word mixes letters of scripts that look alike',
    )
  if (isName) return
  const clear = readable(text)
  const words = ` ${clear
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .join(' ')} `
  for (const { rule, severity, message, words: wanted } of phrases) {
    const hit = wanted.find((one) => words.includes(` ${one} `))
    if (hit !== undefined) found(rule, severity, at, `${message}: “${hit}”`)
  }
  const place = places.find((one) => clear.toLowerCase().includes(one))
  if (place !== undefined)
    found('sensitive-files', 'danger', at, `it names a place that holds secrets: “${place}”`)
  lintMarkup(clear, at, found)
  const limit = at === '/text' ? long.instructions : at === '/description' ? long.description : long.property
  if (text.length > limit)
    found('very-long', 'warning', at, `${text.length} characters; instructions hide well in long text`)
  if (/[\n\r]{20}|[ \t\u00a0]{100}/.test(text))
    found('padding', 'warning', at, 'long empty space, behind which text can hide from a person')
  if (at !== '/uri' && at !== '/uriTemplate' && hasBlob(text))
    found('encoded-blob', 'warning', at, 'a long run that looks like encoded data')
}

/** A handful of tag names is how poisoned descriptions make themselves heard; other tags are only unusual. */
const shouting =
  /<[/]?\s{0,3}(important|system|secret|instruction|instructions|critical|hidden|admin|assistant|override|priority|rules|prompt|warning|attention|mandatory)\b/i
const markup = /<(script|img|iframe|style|object|embed|svg|form|link|meta)[\s>/]/i
const escape = /\\(?:x1b|u001b|033|e)\[|\u001b/i

function lintMarkup(text: string, at: string, found: Found): void {
  const shout = shouting.exec(text)
  if (shout !== null)
    found('shouting-tag', 'danger', at, `a tag that addresses the model: \`<${brief(shout[1] ?? '')}>\``)
  if (text.includes('<!--'))
    found('html-comment', 'danger', at, 'an HTML comment, which a person does not see when it is shown')
  if (markup.test(text)) found('html', 'warning', at, 'HTML that a client might show or load')
  if (escape.test(text)) found('terminal-escape', 'danger', at, 'a terminal escape sequence')
  if (/!\[[^\]]{0,200}\]\(\s{0,3}https?:/i.test(text))
    found('remote-image', 'warning', at, 'a remote image: showing it tells somebody')
}

/** 80 or more characters of base64 or hex in one run, with the mixture that words and paths do not have. */
function hasBlob(text: string): boolean {
  for (const run of text.match(/[A-Za-z0-9+/=_-]{80,}/g) ?? []) {
    const mixed = /[A-Z]/.test(run) && /[a-z]/.test(run) && /[0-9]/.test(run)
    const hex = /^[0-9a-fA-F]+$/.test(run)
    const separators = run.length - run.replace(/[/_-]/g, '').length
    if ((mixed || hex) && separators < run.length / 12) return true
  }
  return false
}

/**
 * A name of another server's tool in the text. Names that are ordinary words (`search`) count only in quotes or next
 * to `tool`; anything else is distinctive enough. With an imperative in the same sentence it is steering.
 */
function lintReferences(
  { text, at, isName }: Piece,
  own: string,
  byName: ReadonlyMap<string, string>,
  found: Found,
): void {
  if (isName || byName.size === 0 || text.length < 3 || at === '/name') return
  for (const match of text.matchAll(/[A-Za-z0-9_][A-Za-z0-9_./:-]{1,150}/g)) {
    const word = match[0].replace(/[.:/-]+$/, '')
    const server = byName.get(word.toLowerCase())
    if (server === undefined || word.toLowerCase() === own.toLowerCase()) continue
    const around = text.slice(Math.max(0, match.index - 160), match.index + 160).toLowerCase()
    const beside = text.slice(Math.max(0, match.index - 12), match.index + word.length + 8)
    const distinctive = /[_/.:-]|[a-z][A-Z]/.test(word)
    if (
      !distinctive &&
      !/[`"'“]\s?$/.test(text.slice(Math.max(0, match.index - 2), match.index)) &&
      !/\btool\b/i.test(beside)
    )
      continue
    const steering = around.split(/[^a-z]+/).some((one) => imperatives.has(one))
    found(
      'other-server',
      steering ? 'danger' : 'warning',
      at,
      `it speaks of \`${brief(word)}\`, a tool of the server \`${brief(server)}\``,
    )
  }
}

/** An argument that serves no purpose of the tool but to carry something out (incident 4). */
function lintChannels(definition: Definition, found: Found): void {
  const properties = definition.inputSchema?.properties
  if (!isJsonObject(properties)) return
  for (const [name, schema] of Object.entries(properties)) {
    const words = tokens(name)
    if (!words.some((word) => channels.has(word))) continue
    const at = pointer('/inputSchema/properties', name)
    const text =
      isJsonObject(schema) && typeof schema.description === 'string' ? readable(schema.description) : ''
    const said = text.toLowerCase().split(/[^a-z]+/)
    const hands = said.find((word) => handing.has(word))
    const presses =
      said.some((word) => imperatives.has(word)) ||
      /\b(content|contents|file|conversation|history|everything|prompt|keys?|credentials?)\b/i.test(text)
    if (hands !== undefined && presses)
      found(
        'side-channel',
        'danger',
        at,
        `\`${brief(name)}\` asks for something that the tool does not need: “${hands} …”`,
      )
    else if (words.includes('sidenote') || words.includes('side'))
      found('side-channel', 'warning', at, `\`${brief(name)}\` is a usual name of a side channel`)
  }
}

/** `send_rnessage` beside another server's `send_message`. The very same name is no finding: names are per server. */
function lintLookalike(definition: Definition, bySkeleton: ReadonlyMap<string, Other>, found: Found): void {
  if (definition.kind !== 'tool') return
  const other = bySkeleton.get(skeleton(definition.name))
  if (other === undefined || tokens(other.name).join('') === tokens(definition.name).join('')) return
  found(
    'look-alike',
    'warning',
    '/name',
    `it looks like \`${brief(other.name)}\` of the server \`${brief(other.server)}\``,
  )
}
