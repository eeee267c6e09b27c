import { bearingKinds, type Bearing } from '../flow/bears.ts'
import { confidentialities } from '../flow/labels.ts'
import { createHash } from 'node:crypto'
import { effects } from './tool.ts'
import { isWildPointer, resultsSchema } from './labels.ts'
import { LineCounter, parseDocument, type Document } from 'yaml'
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

const mostCharacters = 512 * 1024

/**
 * Reads a profile (YAML 1.2, no aliases, 512 KiB at most). The problem names line, column and key, and what was
 * expected; nothing of the text beyond keys is repeated. Pure.
 */
export function parseProfile(text: string): ParsedProfile {
  if (text.length > mostCharacters)
    return { ok: false, problem: `expected at most ${mostCharacters} characters` }
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
  const lines = new LineCounter()
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      schema: 'core',
      strict: true,
      uniqueKeys: true,
    })
    // A warning is a tag that nobody knows: what stands there would be read as something else.
    const wrong = document.errors[0] ?? document.warnings[0]
    if (wrong !== undefined) {
      const { line, col } = lines.linePos(wrong.pos[0])
      return {
        problem: `line ${line}, column ${col}: expected YAML (${wrong.code.toLowerCase().replaceAll('_', ' ')})`,
      }
    }
    const value: unknown = document.toJS({ maxAliasCount: 0 })
    return { value, place: placeIn(document, lines) }
  } catch {
    return { problem: 'expected YAML without aliases (`*name`) and not so deeply nested' }
  }
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
