import { createHash } from 'node:crypto'
import type { JsonObject } from '../lib/json.ts'
import type { Effect, Tool } from '../registry/tool.ts'
import { targetsOf } from './target.ts'

/** A call as it was observed, from the log and its payloads. */
export type Observed = {
  /** Tool id. */
  readonly tool: string
  readonly effects: readonly Effect[]
  readonly arguments: JsonObject
  readonly agent: string
  readonly task: string
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly decision: 'allow' | 'ask' | 'deny'
}

export type Suggestion = {
  /** A policy set; loads against the tools it was made for. */
  readonly text: string
  /** How often it would have asked a person, on the days that were observed. */
  readonly questionsPerDay: number
  readonly days: number
  readonly calls: number
  /** Observed tools that are no longer registered or reviewed: nothing is proposed for them. */
  readonly leftOut: readonly string[]
}

export type SuggestRequest = { readonly calls: readonly Observed[]; readonly tools: readonly Tool[] }

/** What the observed calls of one tool had in common. */
type Pattern = {
  readonly tool: Tool
  readonly calls: number
  /** Path prefixes or hosts; empty when the calls show neither. */
  readonly paths: readonly string[]
  readonly hosts: readonly string[]
  readonly asks: boolean
}

const day = 86_400_000
const maxPrefixes = 8
/** Folders too near the root to be a rule of their own. */
const minSegments = 2

/**
 * Proposes a policy set from what was observed: reads where they were made, writes below the folders and to the hosts
 * they went to (each asking), everything else unknown asking with proof. Deterministic; a person reads it before it is
 * live. Refused calls are no example of what should be allowed.
 */
export function suggest(request: SuggestRequest): Suggestion {
  const tools = new Map(
    request.tools
      .filter(({ state, review }) => state === 'reviewed' && review !== null)
      .map((tool) => [tool.id, tool]),
  )
  const calls = request.calls.filter(({ decision }) => decision !== 'deny')
  const byTool = Map.groupBy(calls, ({ tool }) => tool)
  const patterns = [...byTool.keys()].toSorted().flatMap((id) => {
    const tool = tools.get(id)
    return tool === undefined ? [] : [patternOf(tool, byTool.get(id) ?? [])]
  })
  const questions = calls.filter(
    ({ tool }) => patterns.find((pattern) => pattern.tool.id === tool)?.asks ?? true,
  ).length
  const days = new Set(request.calls.map(({ at }) => Math.floor(at / day))).size
  return {
    text: [header(calls.length, days), ...patterns.map(permit), rest(patterns)].join('\n'),
    questionsPerDay: days === 0 ? 0 : Math.round((questions / days) * 10) / 10,
    days,
    calls: calls.length,
    leftOut: [...byTool.keys()].filter((id) => !tools.has(id)).toSorted(),
  }
}

function patternOf(tool: Tool, calls: readonly Observed[]): Pattern {
  const targets = calls.map((call) => targetsOf(tool.review?.targets ?? {}, call.arguments))
  const paths: string[] = []
  const hosts: string[] = []
  let every = targets.length > 0
  for (const targeted of targets) {
    if (!targeted.ok) continue
    for (const { path, url } of targeted.targets) {
      if (path !== undefined) paths.push(path)
      if (url !== undefined) hosts.push(url.host)
      every &&= path !== undefined || url !== undefined
    }
  }
  // A call that showed no target would be cut off by a rule on targets, so then there is none.
  const prefixes = every && hosts.length === 0 ? foldersOf(paths) : []
  const named = every && paths.length === 0 ? [...new Set(hosts)].toSorted() : []
  const asks =
    (tool.review?.effects ?? []).some((effect) => effect !== 'read') || tool.review?.effects.length === 0
  return { tool, calls: calls.length, paths: prefixes, hosts: named.length > maxPrefixes ? [] : named, asks }
}

/** The fewest folders that hold all the paths, none wider than two levels below the root; empty when there are too many. */
function foldersOf(paths: readonly string[]): readonly string[] {
  let folders = [...new Set(paths.map((path) => path.slice(0, path.lastIndexOf('/') + 1)))].toSorted()
  folders = folders.filter(
    (folder) => !folders.some((other) => other !== folder && folder.startsWith(other) && deep(other)),
  )
  while (folders.length > maxPrefixes) {
    const longest = folders.toSorted((a, b) => b.length - a.length || (a < b ? -1 : 1))[0] ?? ''
    const parent = longest.slice(0, longest.lastIndexOf('/', longest.length - 2) + 1)
    if (!deep(parent)) return []
    folders = [...new Set(folders.map((folder) => (folder.startsWith(parent) ? parent : folder)))].toSorted()
  }
  return folders.every(deep) ? folders : []
}

const deep = (folder: string): boolean =>
  folder.split('/').filter((part) => part !== '').length >= minSegments

const header = (calls: number, days: number): string =>
  `// Proposed from ${calls} observed calls on ${days} days. Read every rule before you make it live: what was observed is not\n// always what should be allowed.\n`

function permit(pattern: Pattern): string {
  const { tool, calls, paths, hosts, asks } = pattern
  const conditions = ['resource.environment == context.task.environment']
  if (paths.length > 0)
    conditions.push(
      `context.target has path && (${paths.map((path) => `context.target.path like ${like(path)}`).join(' || ')})`,
    )
  if (hosts.length > 0)
    conditions.push(
      `context.target has url && (${hosts.map((host) => `context.target.url.host == ${quoted(host)}`).join(' || ')})`,
    )
  if (asks)
    conditions.push(
      proofNeeded(tool) ? 'context has approval && context.approval.proof >= 2' : 'context has approval',
    )
  const where = paths.length + hosts.length > 0 ? ' where it was used before' : ''
  return `@id(${quoted(`suggested/${name(tool.id)}`)})
@reason(${quoted(`${asks ? 'it does more than read' : 'it reads'}${where}`)})
// ${calls} calls observed
permit (principal, action == Action::${quoted(tool.id)}, resource)
when {
  ${conditions.join(' &&\n  ')}
};
`
}

const proofNeeded = (tool: Tool): boolean =>
  (tool.review?.effects ?? []).some((effect) => effect !== 'read' && effect !== 'write')

/** Whatever was not observed, in other places or by other tools, asks. */
const rest = (patterns: readonly Pattern[]): string => `@id("suggested/rest")
@reason("it was not seen ${patterns.length === 0 ? 'at all' : 'in this form'} while the calls were observed")
permit (principal, action, resource)
when { resource.environment == context.task.environment && context has approval && context.approval.proof >= 2 };
`

/** Cedar's string literals: escapes are Rust's, not JSON's. */
function quoted(text: string): string {
  const escaped = text.replace(/[\\"]/g, (letter) => `\\${letter}`)
  return `"${escaped.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (letter) => `\\u{${letter.codePointAt(0)?.toString(16) ?? '0'}}`)}"`
}

/** A prefix as a pattern: `*` in a folder's name is a star and not a wildcard. */
const like = (prefix: string): string => `${quoted(prefix).slice(0, -1).replaceAll('*', '\\*')}*"`

/** A tool id as a policy id: other letters are written as their code, so that two tools never share one. */
function name(id: string): string {
  const plain = id.replace(/[^A-Za-z0-9./-]/gu, (letter) => `_${letter.codePointAt(0)?.toString(16) ?? ''}_`)
  if (plain.length <= 100) return plain
  return `${plain.slice(0, 80)}-${createHash('sha256').update(id).digest('hex').slice(0, 16)}`
}
