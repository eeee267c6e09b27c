import { bearingKinds, type Bearing } from '../flow/bears.ts'
import { confidentialities } from '../flow/labels.ts'
import { createHash } from 'node:crypto'
import { effects } from './tool.ts'
import { isWildPointer, resultsSchema } from './labels.ts'
import { isNode, isScalar, LineCounter, parseDocument, visit, type Document } from 'yaml'
import { z } from 'zod'
import type { Confidentiality, Integrity } from '../flow/labels.ts'
import type { Effect } from './tool.ts'
import type { ResultLabels } from '../flow/fields.ts'

/** What a registry owner knows of one tool of a product. What is left out, nobody has said. */
export type ProfileTool = {
  readonly name: string
  /** Other names of the very same tool, in other versions. */
  readonly aliases: readonly string[]
  readonly effects: readonly Effect[] | null
  /** Effects that its name or schema suggest and that it does not have, each with the reason. */
  readonly without: { readonly [effect: string]: string }
  readonly confidentiality: Confidentiality | null
  readonly integrity: Integrity | null
  /** The arguments that decide where a call acts. */
  readonly bears: readonly Bearing[] | null
  /** Arguments that look as if they did and do not. */
  readonly bearNothing: readonly string[]
  readonly results: ResultLabels | null
}

/** How the servers of a product are known. It only ever leads to a suggestion: a server says these things of itself. */
export type ProfileMatch = {
  /** Names of npm, PyPI and container packages, as they stand in a command line, without version. */
  readonly packages: readonly string[]
  /** `serverInfo.name`. */
  readonly names: readonly string[]
  /** Of an HTTP server's URL. */
  readonly hosts: readonly string[]
}

export type Profile = {
  readonly name: string
  readonly about: string
  /** Where the tool names and schemas were taken from. */
  readonly writtenFrom: readonly string[]
  readonly match: ProfileMatch
  readonly tools: readonly ProfileTool[]
  /** `sha256:` + 64 hex over the text. */
  readonly digest: string
}

export type ParsedProfile =
  { readonly ok: true; readonly profile: Profile } | { readonly ok: false; readonly problem: string }

const words = (most: number) => z.string().trim().min(1).max(most)
const some = (most: number) => z.array(words(200)).max(most).default([])

const pointerSchema = z
  .string()
  .refine(
    (at) => at !== '' && isWildPointer(at),
    'expected an argument as a JSON pointer, `*` for every item, such as `/recipient` or `/files/*/path`',
  )

const toolSchema = z
  .strictObject({
    aliases: some(16),
    effects: z
      .array(z.enum(effects))
      .min(1)
      .refine((list) => new Set(list).size === list.length, 'expected each effect once')
      .optional(),
    without: z.partialRecord(z.enum(effects), words(300)).default({}),
    confidentiality: z.enum(confidentialities).optional(),
    integrity: z.enum(['trusted', 'untrusted']).optional(),
    arguments: z
      .record(pointerSchema, z.enum([...bearingKinds, 'none']))
      .refine((map) => Object.keys(map).length <= 64, 'expected at most 64 arguments')
      .optional(),
    results: resultsSchema.optional(),
  })
  .refine(
    ({ effects: has = [], without }) => has.every((effect) => without[effect] === undefined),
    'expected no effect both in `effects` and in `without`',
  )

const profileSchema = z.strictObject({
  profile: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'expected 1 to 63 of a-z, 0-9 and `-` within'),
  about: words(300),
  written_from: z.union([words(1000).transform((one) => [one]), z.array(words(1000)).min(1).max(20)]),
  match: z.strictObject({ packages: some(50), names: some(50), hosts: some(50) }).prefault({}),
  tools: z
    .record(words(200), toolSchema)
    .refine((tools) => Object.keys(tools).length <= 2000, 'expected at most 2000 tools'),
})

/**
 * Reads a profile (YAML 1.2, no aliases, 128 KiB at most). The problem names line, column and key, and what was
 * expected; nothing of the text beyond keys is repeated. Pure.
 */
export function parseProfile(text: string): ParsedProfile {
  const read = readYaml(text)
  if ('problem' in read) return { ok: false, problem: read.problem }
  const parsed = profileSchema.safeParse(read.value)
  if (!parsed.success) return { ok: false, problem: told(parsed.error.issues[0], read.place) }
  const { profile: name, about, written_from, match, tools } = parsed.data
  const all = Object.entries(tools).map(([tool, given]) => toTool(tool, given))
  const twice = repeated(all.flatMap((tool) => [tool.name, ...tool.aliases]))
  if (twice !== null)
    return { ok: false, problem: `\`tools\`: expected each name once, found \`${twice}\` twice` }
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`
  return { ok: true, profile: { name, about, writtenFrom: written_from, match, tools: all, digest } }
}

/** The tool of a profile that goes by this name. */
export const known = ({ tools }: Profile, name: string): ProfileTool | null =>
  tools.find((tool) => tool.name === name || tool.aliases.includes(name)) ?? null

type Place = (path: readonly PropertyKey[]) => string

function readYaml(
  text: string,
): { readonly value: unknown; readonly place: Place } | { readonly problem: string } {
  const large = tooLarge(text)
  if (large !== null) return { problem: large }
  const lines = new LineCounter()
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `line ${line}, column ${col}: `
  }
  try {
    // The parser's own search for a key that is there twice takes the square of their number: minutes for 40,000. Words for
    // each of a hundred thousand errors take as long.
    const options = { lineCounter: lines, schema: 'core', uniqueKeys: false, prettyErrors: false } as const
    const document = parseDocument(text, options)
    // A warning is a tag that nobody knows: what stands there would be read as something else.
    const wrong = document.errors[0] ?? document.warnings[0]
    if (wrong !== undefined)
      return {
        problem: `${place(wrong.pos[0])}expected YAML (${wrong.code.toLowerCase().replaceAll('_', ' ')})`,
      }
    const key = oddKey(document)
    if (key !== null) return { problem: `${place(key.offset)}${key.problem}` }
    const value: unknown = document.toJS({ maxAliasCount: 0 })
    return { value, place: placeIn(document, lines) }
  } catch {
    return { problem: 'expected YAML without aliases (`*name`) and not so deeply nested' }
  }
}

const most = { characters: 128 * 1024, lines: 10_000, line: 4000, depth: 64 } as const

/** What keeps the parser quick: it takes seconds for half a megabyte of brackets. Brackets within quotes count too. */
function tooLarge(text: string): string | null {
  if (text.length > most.characters) return `expected at most ${most.characters} characters`
  const lines = text.split('\n')
  if (lines.length > most.lines) return `expected at most ${most.lines} lines`
  let depth = 0
  for (const [index, line] of lines.entries()) {
    if (line.length > most.line)
      return `line ${index + 1}: expected at most ${most.line} characters in a line`
    for (const character of line.match(/[[\]{}]/g) ?? []) {
      depth = character === '[' || character === '{' ? depth + 1 : Math.max(0, depth - 1)
      if (depth > most.depth) return `line ${index + 1}: expected YAML that is not so deeply nested`
    }
  }
  return null
}

/** A key that is there twice, of which one would win without a word, or that is no plain text. */
function oddKey(document: Document.Parsed): { readonly offset: number; readonly problem: string } | null {
  let odd: { offset: number; problem: string } | null = null
  visit(document, {
    Map: (_, { items }) => {
      const seen = new Set<string>()
      for (const { key } of items) {
        const offset = isNode(key) ? (key.range?.[0] ?? 0) : 0
        const name =
          isScalar(key) && (typeof key.value === 'string' || typeof key.value === 'number')
            ? String(key.value)
            : null
        if (name === null || name === '__proto__') odd = { offset, problem: 'expected a name as the key' }
        else if (seen.has(name)) odd = { offset, problem: 'expected each key once (duplicate key)' }
        else seen.add(name)
        if (odd !== null) return visit.BREAK
      }
      return undefined
    },
  })
  return odd
}

/** Where the value stands, or what is nearest above it: a key that is missing has no place of its own. */
const placeIn =
  (document: Document.Parsed, lines: LineCounter): Place =>
  (path) => {
    for (let length = path.length; length > 0; length -= 1) {
      const node: unknown = document.getIn(path.slice(0, length), true)
      const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : null
      const start: unknown = Array.isArray(range) ? range[0] : null
      if (typeof start !== 'number') continue
      const { line, col } = lines.linePos(start)
      return `line ${line}, column ${col}: `
    }
    return ''
  }

function told(issue: z.core.$ZodIssue | undefined, place: Place): string {
  if (issue === undefined) return 'malformed'
  const at = issue.path.length === 0 ? 'top level' : `\`${issue.path.map(String).join('.')}\``
  const where = place(issue.path)
  switch (issue.code) {
    case 'unrecognized_keys':
      return `${where}${at}: unknown key \`${issue.keys[0] ?? ''}\``
    case 'invalid_key':
      return `${where}${at}: ${lower(issue.issues[0]?.message ?? issue.message)}`
    case 'invalid_union':
      return `${where}${at}: expected text or a list of texts`
    default:
      return `${where}${at}: ${lower(issue.message)}`
  }
}

const lower = (message: string): string => message.charAt(0).toLowerCase() + message.slice(1)

const repeated = (names: readonly string[]): string | null =>
  names.find((name, index) => names.indexOf(name) !== index) ?? null

function toTool(name: string, given: z.infer<typeof toolSchema>): ProfileTool {
  const { aliases, effects: has, without, confidentiality, integrity, results } = given
  const named = Object.entries(given.arguments ?? {})
  const bears = named.flatMap(([at, kind]) => (kind === 'none' ? [] : [{ at, kind }]))
  return {
    name,
    aliases,
    effects: has ?? null,
    without: Object.fromEntries(
      Object.entries(without).flatMap(([effect, why]) => (why === undefined ? [] : [[effect, why]])),
    ),
    confidentiality: confidentiality ?? null,
    integrity: integrity ?? null,
    bears: given.arguments === undefined ? null : bears,
    bearNothing: named.flatMap(([at, kind]) => (kind === 'none' ? [at] : [])),
    results: results ?? null,
  }
}
