import { badParams, type ListMethod, type Rejection } from './protocol.ts'
import { ownTools } from './own.ts'
import { showName, showUri, type Endpoint } from './name.ts'
import type { DoorPorts } from './ports.ts'
import type { Json, JsonObject } from '../../lib/json.ts'
import type { Sealer } from '../state.ts'
import type { Task } from '../../task/task.ts'
import type { Definition, Tool } from '../../registry/tool.ts'

/** Answers the list methods from the registry by the task's static scope: views, not decisions. */
export type Lists = {
  /** One page, without what an era adds. */
  page(
    method: ListMethod,
    asked: {
      readonly endpoint: Endpoint
      readonly task: Task
      readonly cursor: Json | undefined
      readonly era: 'modern' | 'legacy'
    },
  ): Page
}

export type Page =
  { readonly ok: true; readonly result: JsonObject } | { readonly ok: false; readonly rejection: Rejection }

/** `key` tells items apart and is what a cursor remembers. `show` makes what is sent: of the page that is asked for alone. */
type Item = { readonly key: string; readonly show: () => JsonObject }

/** A whole list by place: what lies before and behind a page is never put together. */
type Items = { readonly size: number; at(index: number): Item | null }

const itemsOf = <Of>(all: readonly Of[], itemOf: (one: Of) => Item): Items => ({
  size: all.length,
  at: (index) => {
    const one = all[index]
    return one === undefined ? null : itemOf(one)
  },
})

const both = (first: Items, then: Items): Items => ({
  size: first.size + then.size,
  at: (index) => (index < first.size ? first.at(index) : then.at(index - first.size)),
})

const members: { readonly [method in ListMethod]: string } = {
  'tools/list': 'tools',
  'prompts/list': 'prompts',
  'resources/list': 'resources',
  'resources/templates/list': 'resourceTemplates',
}

/** Whole lists kept, by who may see what; least recently used go first. */
const maxKept = 64

export function createLists(ports: Pick<DoorPorts, 'registry' | 'settings'>, sealer: Sealer): Lists {
  const kept = new Map<string, { readonly version: number; readonly items: Items }>()

  const items = (method: ListMethod, endpoint: Endpoint, task: Task, era: 'modern' | 'legacy'): Items => {
    const key = JSON.stringify([method, era, endpoint, task.tools])
    const version = ports.registry.version()
    const found = kept.get(key)
    kept.delete(key)
    const fresh =
      found?.version === version ? found : { version, items: collect(ports, method, { endpoint, task, era }) }
    kept.set(key, fresh)
    if (kept.size > maxKept) for (const oldest of kept.keys()) if (kept.size > maxKept) kept.delete(oldest)
    return fresh.items
  }

  return {
    page: (method, { endpoint, task, cursor, era }) => {
      const all = items(method, endpoint, task, era)
      const bound = JSON.stringify([method, endpoint, task.id])
      const start = startOf(sealer, all, bound, cursor)
      if (start === null)
        return {
          ok: false,
          rejection: badParams('`cursor` is not one of this list as it is now; list again without it'),
        }
      const end = Math.min(all.size, start + ports.settings.pageSize)
      const shown = Array.from({ length: end - start }, (_, place) => all.at(start + place)).flatMap(
        (item) => item ?? [],
      )
      const last = shown.at(-1)
      const more = last !== undefined && end < all.size
      return {
        ok: true,
        result: {
          [members[method]]: shown.map((item) => item.show()),
          ...(more ? { nextCursor: sealer.seal('cursor', { bound, after: last.key }) } : {}),
        },
      }
    },
  }
}

/** Where a page starts. The place is found by the last item, so that a list that moved neither repeats nor skips. */
function startOf(sealer: Sealer, all: Items, bound: string, cursor: Json | undefined): number | null {
  if (cursor === undefined) return 0
  const opened = typeof cursor === 'string' ? sealer.open('cursor', cursor) : null
  if (opened === null || opened['bound'] !== bound) return null
  for (let at = 0; at < all.size; at++) if (all.at(at)?.key === opened['after']) return at + 1
  return null
}

type Asked = { readonly endpoint: Endpoint; readonly task: Task; readonly era: 'modern' | 'legacy' }

function collect(ports: Pick<DoorPorts, 'registry'>, method: ListMethod, asked: Asked): Items {
  switch (method) {
    case 'tools/list':
      return both(
        itemsOf(
          listed(ports, asked, 'tool').filter((tool) => !isNamedAsOwn(tool, asked.endpoint)),
          (tool) => ({ key: tool.id, show: () => showTool(tool, asked) }),
        ),
        itemsOf(ownTools, (tool) => ({ key: `:${tool.name}`, show: () => tool })),
      )
    case 'prompts/list':
      return itemsOf(listed(ports, asked, 'prompt'), (tool) => ({
        key: tool.id,
        show: () => showPrompt(tool, asked.endpoint),
      }))
    case 'resources/templates/list':
      return itemsOf(listed(ports, asked, 'template'), (tool) => ({
        key: tool.id,
        show: () => showTemplate(tool, asked.endpoint),
      }))
    case 'resources/list': {
      const all = serversOf(ports, asked.endpoint).flatMap((server) => resources(ports, server, asked))
      return itemsOf(all, (item) => item)
    }
  }
}

const serversOf = (ports: Pick<DoorPorts, 'registry'>, endpoint: Endpoint): readonly string[] =>
  endpoint.kind === 'all' ? ports.registry.servers() : [endpoint.server]

const listed = (
  ports: Pick<DoorPorts, 'registry'>,
  { endpoint, task }: Asked,
  kind: 'tool' | 'prompt' | 'template',
): readonly Tool[] =>
  ports.registry.list({
    ...(endpoint.kind === 'one' ? { server: endpoint.server } : {}),
    patterns: task.tools,
    kinds: [kind],
  })

/** What a model is shown is the reviewed definition, never a newer one. */
const pinnedOf = (tool: Tool): Definition => tool.pinned ?? tool.definition

/** A page has a thousand of these: one look at each name, and no list of them in between. */
function present(source: { readonly [name in string]?: Json }, names: readonly string[]): JsonObject {
  const found: { [name: string]: Json } = {}
  for (const name of names) {
    const value = Object.hasOwn(source, name) ? source[name] : undefined
    if (value !== undefined) found[name] = value
  }
  return found
}

/** A server's tool with the name of one of the broker's own is not shown: it could take an agent's resumes. */
const isNamedAsOwn = (tool: Tool, endpoint: Endpoint): boolean => ownNames.has(showName(endpoint, tool))

const ownNames: ReadonlySet<Json | undefined> = new Set(ownTools.map(({ name }) => name))

function showTool(tool: Tool, { endpoint, era }: Asked): JsonObject {
  const { inputSchema, outputSchema, ...rest } = present(pinnedOf(tool), [
    'title',
    'description',
    'inputSchema',
    'outputSchema',
    'annotations',
    'icons',
  ])
  return {
    name: showName(endpoint, tool),
    ...rest,
    inputSchema: inputSchema ?? { type: 'object' },
    ...(outputSchema === undefined || (era === 'legacy' && !isObjectSchema(outputSchema))
      ? {}
      : { outputSchema }),
  }
}

/** Revisions before 2026-07-28 know output schemas of objects alone. */
const isObjectSchema = (schema: Json): boolean =>
  typeof schema === 'object' && schema !== null && 'type' in schema && schema.type === 'object'

const showPrompt = (tool: Tool, endpoint: Endpoint): JsonObject => ({
  name: showName(endpoint, tool),
  ...present(pinnedOf(tool), ['title', 'description', 'arguments', 'icons']),
})

function showTemplate(tool: Tool, endpoint: Endpoint): JsonObject {
  const pinned = pinnedOf(tool)
  return {
    ...present(pinned, ['name', 'title', 'description', 'mimeType', 'annotations', 'icons']),
    uriTemplate: showUri(endpoint, { server: tool.server, name: pinned.uriTemplate ?? tool.name }),
  }
}

/** Concrete resources whose root or template was reviewed and is within the task. */
function resources(
  ports: Pick<DoorPorts, 'registry'>,
  server: string,
  { endpoint, task }: Asked,
): readonly Item[] {
  const visible = new Set(
    ports.registry
      .list({ server, patterns: task.tools, kinds: ['resource', 'template'] })
      .map((tool) => tool.id),
  )
  if (visible.size === 0) return []
  return ports.registry.resources(server).flatMap((resource) => {
    const uri = resource['uri']
    if (typeof uri !== 'string') return []
    const root = ports.registry.find({ server, operation: 'read', name: uri })
    if (root === null || !visible.has(root.id)) return []
    const shown = present(resource, [
      'name',
      'title',
      'description',
      'mimeType',
      'size',
      'annotations',
      'icons',
    ])
    return [
      { key: `${server} ${uri}`, show: () => ({ ...shown, uri: showUri(endpoint, { server, name: uri }) }) },
    ]
  })
}
