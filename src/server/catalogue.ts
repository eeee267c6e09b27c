import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { Era } from '../registry/tool.ts'
import {
  notSent,
  within,
  type Channel,
  type Family,
  type Headers,
  type NotSent,
  type Patience,
} from './channel.ts'
import type { Session } from './era.ts'
import { mirroredArguments } from './mirror.ts'
import { withMeta } from './protocol.ts'

/** Everything a server offered at one moment, page after page, as it said it. Untrusted; `define` reduces it. */
export type RawCatalogue = {
  readonly server: string
  readonly tools: readonly JsonObject[]
  readonly prompts: readonly JsonObject[]
  readonly resources: readonly JsonObject[]
  readonly templates: readonly JsonObject[]
  readonly instructions: string | null
  readonly capabilities: JsonObject
  readonly serverInfo: JsonObject
  readonly era: Era
  readonly protocolVersion: string
}

export type FamilyListing = {
  readonly entries: Pick<Partial<RawCatalogue>, 'tools' | 'prompts' | 'resources' | 'templates'>
  /** How long the server says that this list holds; `null`: it does not say. */
  readonly ttlMs: number | null
}

export type Lister = Patience & {
  readonly channel: Channel
  readonly session: Session
  readonly headers: Headers
  readonly mirrored: boolean
}

const maxPages = 200
const maxEntries = 20_000
const maxListBytes = 64 * 1024 * 1024
const methodNotFound = -32601

export const families: readonly Family[] = ['tools', 'prompts', 'resources']

/** One family of definitions, all its pages. A list that cannot be read whole is none: half of one would look like removals. */
export async function listFamily(family: Family, lister: Lister): Promise<FamilyListing | NotSent> {
  // What a server does not declare it does not have; asking anyway only makes it err.
  if (lister.session.capabilities[family] === undefined) return { entries: emptyOf(family), ttlMs: null }
  switch (family) {
    case 'tools': {
      const pages = await listPages({ method: 'tools/list', member: 'tools', optional: false }, lister)
      if ('kind' in pages) return pages
      return {
        entries: { tools: lister.mirrored ? pages.items.filter(hasValidHeaders) : pages.items },
        ttlMs: pages.ttlMs,
      }
    }
    case 'prompts': {
      const pages = await listPages({ method: 'prompts/list', member: 'prompts', optional: false }, lister)
      return 'kind' in pages ? pages : { entries: { prompts: pages.items }, ttlMs: pages.ttlMs }
    }
    case 'resources': {
      const resources = await listPages(
        { method: 'resources/list', member: 'resources', optional: true },
        lister,
      )
      if ('kind' in resources) return resources
      const list = { method: 'resources/templates/list', member: 'resourceTemplates', optional: true }
      const templates = await listPages(list, lister)
      if ('kind' in templates) return templates
      return {
        entries: { resources: resources.items, templates: templates.items },
        ttlMs: least(resources.ttlMs, templates.ttlMs),
      }
    }
  }
}

const emptyOf = (family: Family): FamilyListing['entries'] =>
  family === 'resources' ? { resources: [], templates: [] } : { [family]: [] }

/** MCP 2026-07-28, custom headers: a client must leave out a tool whose declared headers are invalid. */
const hasValidHeaders = (tool: JsonObject): boolean =>
  !isJsonObject(tool.inputSchema) || mirroredArguments(tool.inputSchema) !== null

type List = { readonly method: string; readonly member: string; readonly optional: boolean }
type Pages = { readonly items: readonly JsonObject[]; readonly ttlMs: number | null }

async function listPages({ method, member, optional }: List, lister: Lister): Promise<Pages | NotSent> {
  const { channel, session, headers } = lister
  const items: JsonObject[] = []
  const seen = new Set<string>()
  let ttlMs: number | null = null
  let cursor: string | null = null
  let bytes = 0
  for (let page = 0; page < maxPages; page++) {
    const params: JsonObject = withMeta(cursor === null ? {} : { cursor }, session.era, session.shown)
    const reply = await within(channel.ask({ method, params, headers }), lister)
    if (reply.kind === 'not-sent') return reply
    if (reply.kind === 'unknown') return notSent('unreachable', `\`${method}\` failed: ${reply.detail}`)
    if (reply.kind === 'error') {
      if (optional && reply.code === methodNotFound) return { items, ttlMs }
      return notSent('unreachable', `\`${method}\` failed: the server answered with error ${reply.code}`)
    }
    const found: Json | undefined = reply.result[member]
    if (!Array.isArray(found) || !found.every(isJsonObject))
      return notSent('unreachable', `\`${method}\` gave no list of objects`)
    items.push(...found)
    bytes += JSON.stringify(found).length
    ttlMs = least(ttlMs, ttlOf(reply.result.ttlMs))
    const next: Json | undefined = reply.result.nextCursor
    if (typeof next !== 'string' || next === '') return { items, ttlMs }
    if (items.length > maxEntries || bytes > maxListBytes || seen.has(next)) break
    seen.add(next)
    cursor = next
  }
  return notSent('unreachable', `\`${method}\` does not come to an end`)
}

const ttlOf = (value: Json | undefined): number | null =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null

const least = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.min(a, b)
