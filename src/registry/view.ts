import { covering, covers } from '../task/match.ts'
import { createLinter } from './lint.ts'
import { isJsonObject } from '../lib/json.ts'
import { parseTemplate, parseUri } from './uri.ts'
import { toolId } from './tool.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Operation } from '../server/answer.ts'
import type { ServerRecord } from '../store/ports.ts'
import type { Template, Uri } from './uri.ts'
import type { Tool, ToolId, ToolKind } from './tool.ts'

export type Wanted = { readonly server: string; readonly operation: Operation; readonly name: string }

export type ListQuery = {
  readonly server?: string
  /** A task's patterns: exact ids, `server/*` or `*`. */
  readonly patterns: readonly string[]
  readonly kinds: readonly ToolKind[]
}

/** The registry at one version. Never changed; swapped whole, so that a reader sees one moment. */
export type View = {
  readonly version: number
  readonly tools: ReadonlyMap<ToolId, Tool>
  readonly servers: ReadonlyMap<string, ServerRecord>
  find(wanted: Wanted): Tool | null
  /** Reviewed tools only, ordered by id. Computed once per query. */
  list(query: ListQuery): readonly Tool[]
  resources(server: string, patterns: readonly string[]): readonly JsonObject[]
}

export type ViewParts = {
  readonly version: number
  readonly tools: ReadonlyMap<ToolId, Tool>
  readonly servers: ReadonlyMap<string, ServerRecord>
  /** Tools whose change could not be made durable: in quarantine, whatever the store says. */
  readonly withheld: ReadonlySet<ToolId>
}

const maxCached = 256

export function createView({ version, tools: stored, servers, withheld }: ViewParts): View {
  const tools = withhold(stored, withheld)
  const isActive = (server: string): boolean => servers.get(server)?.state === 'active'
  // The kind is compared too: a call of `prompt:greet` must not find the prompt that has this id.
  const unit = (server: string, kind: ToolKind, name: string): Tool | null => {
    const tool = tools.get(toolId(server, kind, name))
    return tool === undefined || tool.kind !== kind || tool.state === 'removed' ? null : tool
  }
  const reader = perServer((server) =>
    createReader([...tools.values()].filter((tool) => tool.server === server && tool.state !== 'removed')),
  )
  const find = ({ server, operation, name }: Wanted): Tool | null => {
    if (!isActive(server)) return null
    switch (operation) {
      case 'call':
        return unit(server, 'tool', name)
      case 'get':
        return unit(server, 'prompt', name)
      case 'complete':
        return unit(server, 'prompt', name) ?? unit(server, 'template', name)
      case 'read':
      case 'subscribe':
        return reader(server)(name)
    }
  }
  const readable = perServer((server) => readables(servers.get(server), reader(server)))
  const resources = (server: string, patterns: readonly string[]): readonly JsonObject[] =>
    isActive(server)
      ? readable(server)
          .filter(({ unit: { id } }) => covers(patterns, id))
          .map(({ item }) => item)
      : []
  const reviewed = lazy(() =>
    [...tools.values()].filter((tool) => tool.state === 'reviewed' && isActive(tool.server)).sort(byId),
  )
  return { version, tools, servers, find, list: createLists(reviewed), resources }
}

type Tools = ReadonlyMap<ToolId, Tool>

function withhold(tools: Tools, withheld: ReadonlySet<ToolId>): Tools {
  if (withheld.size === 0) return tools
  const held = (tool: Tool): Tool =>
    withheld.has(tool.id) && tool.state === 'reviewed' ? { ...tool, state: 'quarantined' } : tool
  return new Map([...tools].map(([id, tool]) => [id, held(tool)]))
}

/** Lists by query, each made once, the oldest go first: whoever asks decides the query, so the number is bounded. */
function createLists(reviewed: () => readonly Tool[]): View['list'] {
  const lists = new Map<string, readonly Tool[]>()
  return ({ server, patterns, kinds }) => {
    const key = JSON.stringify([server ?? null, patterns, kinds])
    const known = lists.get(key)
    if (known !== undefined) return known
    const isCovered = covering(patterns)
    const found = reviewed().filter(
      (tool) => (server ?? tool.server) === tool.server && kinds.includes(tool.kind) && isCovered(tool.id),
    )
    const oldest = lists.size >= maxCached ? lists.keys().next().value : undefined
    if (oldest !== undefined) lists.delete(oldest)
    lists.set(key, found)
    return found
  }
}

type Readable = { readonly item: JsonObject; readonly unit: Tool }

/**
 * Concrete resources under a reviewed unit. Their names and descriptions are nobody's review, and a list reaches the
 * model without labels; so one with words aimed at models is not shown (it can still be read by its URI, labelled).
 */
function readables(server: ServerRecord | undefined, read: Reader): readonly Readable[] {
  const linter = createLinter({ others: [] })
  return (server?.view?.resources ?? []).flatMap((item) => {
    const unit = typeof item.uri === 'string' ? read(item.uri) : null
    if (unit === null || unit.state !== 'reviewed') return []
    const { name, title, description } = item
    const texts = {
      name: String(name),
      ...(typeof title === 'string' ? { title } : {}),
      ...(typeof description === 'string' ? { description } : {}),
    }
    const suspicious = linter
      .lint({ kind: 'resource', ...texts })
      .some((finding) => finding.severity !== 'note')
    return suspicious || !isJsonObject(item) ? [] : [{ item, unit }]
  })
}

type Reader = (uri: string) => Tool | null

/** Templates first, the one with the most fixed text; then the longest root. Ties go by id, so that order never decides. */
function createReader(tools: readonly Tool[]): Reader {
  const templates = lazy(() =>
    tools
      .filter((tool) => tool.kind === 'template')
      .flatMap((tool) => {
        const template = parseTemplate(tool.name)
        return 'problem' in template ? [] : [{ tool, template }]
      })
      .sort((a: Matcher, b: Matcher) => b.template.literal - a.template.literal || byId(a.tool, b.tool)),
  )
  const roots = lazy(() =>
    tools
      .filter((tool) => tool.kind === 'resource')
      .sort((a, b) => b.name.length - a.name.length || byId(a, b)),
  )
  return (text) => {
    const uri = parseUri(text)
    if ('problem' in uri) return null
    const matching = templates().find(({ template }) => template.matches(uri))
    return matching?.tool ?? roots().find((root) => isUnderRoot(root, uri)) ?? null
  }
}

/** A root ends in `/` or `:`, so that a prefix never ends in the middle of a name. */
const isUnderRoot = (root: Tool, uri: Uri): boolean =>
  uri.root === root.name || uri.text.startsWith(root.name)

/** Whether a URI is one of this template or root. */
export function fallsUnder(tool: Tool, uri: Uri): boolean {
  if (tool.kind === 'resource') return isUnderRoot(tool, uri)
  const template = tool.kind === 'template' ? parseTemplate(tool.name) : null
  return template !== null && 'matches' in template && template.matches(uri)
}

type Matcher = { readonly tool: Tool; readonly template: Template }

const byId = (a: Tool, b: Tool): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

/** Made once per registered server; those are few, and nobody else names them here. */
function perServer<Value>(make: (server: string) => Value): (server: string) => Value {
  const made = new Map<string, Value>()
  return (server) => {
    const value = made.get(server) ?? make(server)
    made.set(server, value)
    return value
  }
}

function lazy<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | null = null
  return () => (made ??= { value: make() }).value
}
