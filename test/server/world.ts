import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { serverSchema, type ServerConfig } from '../../src/config/schema.ts'
import { canonical } from '../../src/lib/jcs.ts'
import { isJsonObject, type Json, type JsonObject } from '../../src/lib/json.ts'
import type { Lease } from '../../src/credential/lease.ts'
import type { Definition, ToolKind } from '../../src/registry/tool.ts'
import type { Operation, Outgoing, ServerAnswer } from '../../src/server/answer.ts'
import type { RawCatalogue } from '../../src/server/catalogue.ts'
import {
  createServers,
  type ServersLimits,
  type ServersOptions,
  type ServersPort,
} from '../../src/server/servers.ts'

/** A way out to servers with everything around it small and quick, and what it reported. */
export type World = {
  readonly servers: ServersPort
  readonly seen: RawCatalogue[]
  call(wanted: Wanted): ReturnType<ServersPort['invoke']>
}

export type Wanted = {
  readonly server: string
  readonly tool: string
  readonly kind?: ToolKind
  readonly operation?: Operation
  readonly arguments?: JsonObject
  readonly task?: string
  readonly agent?: string
  readonly definition?: Definition
  readonly leg?: Outgoing['leg']
  readonly lease?: Lease
  readonly signal?: AbortSignal
  readonly progress?: Outgoing['progress']
  /** Forms, when left out: as most clients can. */
  readonly takes?: Outgoing['takes']
}

export const digest = (definition: Definition): string =>
  `sha256:${createHash('sha256')
    .update(canonical(plain(definition)))
    .digest('hex')}`

const plain = (value: unknown): Json => JSON.parse(JSON.stringify(value))

/** Stands in for the registry's: the same idea, as few fields as the tests need. */
export function define(raw: RawCatalogue): readonly Definition[] {
  const of = (kind: ToolKind, name: Json | undefined, entry: JsonObject): Definition => ({
    kind,
    name: typeof name === 'string' ? name : '',
    ...(typeof entry.description === 'string' ? { description: entry.description } : {}),
    ...(isJsonObject(entry.inputSchema) ? { inputSchema: entry.inputSchema } : {}),
    ...(typeof entry.uriTemplate === 'string' ? { uriTemplate: entry.uriTemplate } : {}),
  })
  return [
    ...raw.tools.map((tool) => of('tool', tool.name, tool)),
    ...raw.prompts.map((prompt) => of('prompt', prompt.name, prompt)),
    ...raw.templates.map((template) => of('template', template.uriTemplate, template)),
    ...[...new Set(raw.resources.map(({ uri }) => rootOf(uri)))].map((root) => of('resource', root, {})),
  ]
}

export const noLease: Lease = {
  id: 'l_none',
  span: 'call',
  headers: {},
  environment: {},
  secrets: [],
  expiresAt: Number.MAX_SAFE_INTEGER,
}

/** The part of a configuration that a test cares about; the rest as the schema fills it in. */
export const configure = (config: JsonObject): ServerConfig => serverSchema.parse(config)

export const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))

/** A small lying server: `how` is one of the cases in `fixtures/liar.ts`. */
export const liar = (how: string, extra: JsonObject = {}): ServerConfig =>
  configure({ command: process.execPath, args: [fixture('liar.ts'), how], ...extra })

export type Options = { readonly limits?: Partial<ServersLimits> } & Partial<
  Pick<ServersOptions, 'resolve' | 'hostEnvironment' | 'onCatalogue' | 'inputs'>
>

export function createWorld(
  configs: { readonly [name: string]: ServerConfig },
  options: Options = {},
): World {
  const seen: RawCatalogue[] = []
  const servers = createServers({
    servers: (name) => configs[name] ?? null,
    pinning: { define, digest },
    onCatalogue: (raw) => void seen.push(raw),
    ...options,
    limits: {
      graceMs: 500,
      spares: false,
      freshness: { leastMs: 0, unsaidMs: 60_000, mostMs: 60_000 },
      ...options.limits,
    },
  })
  const pinned = new Map<string, Definition>()

  const find = async ({ server, tool, kind = 'tool', lease }: Wanted): Promise<Definition> => {
    const known = pinned.get(`${server} ${kind} ${tool}`)
    if (known !== undefined) return known
    const raw = await servers.catalogue(server, lease === undefined ? {} : { lease })
    if ('kind' in raw) throw new Error(`${raw.problem}: ${raw.detail}`)
    for (const definition of define(raw))
      pinned.set(`${server} ${definition.kind} ${definition.name}`, definition)
    return pinned.get(`${server} ${kind} ${tool}`) ?? { kind, name: tool }
  }
  return {
    servers,
    seen,
    async call(wanted) {
      const definition = wanted.definition ?? (await find(wanted))
      return servers.invoke({
        server: wanted.server,
        task: wanted.task ?? 't_one',
        agent: wanted.agent ?? 'agent',
        call: 'c_one',
        operation: wanted.operation ?? 'call',
        definition,
        digest: digest(definition),
        arguments: wanted.arguments ?? {},
        leg: wanted.leg ?? null,
        lease: wanted.lease ?? noLease,
        signal: wanted.signal ?? new AbortController().signal,
        progress: wanted.progress ?? (() => {}),
        takes: wanted.takes ?? { inputs: ['form'], log: null },
      })
    },
  }
}

/** The text of a result's first block. */
export const textOf = (answer: ServerAnswer): string => {
  assert.equal(answer.kind, 'result', JSON.stringify(answer))
  assert.ok(answer.kind === 'result' && Array.isArray(answer.result.content))
  const [first] = answer.result.content
  assert.ok(typeof first === 'object' && first !== null && 'text' in first && typeof first.text === 'string')
  return first.text
}
export const problemOf = (answer: ServerAnswer): string =>
  'problem' in answer ? `${answer.kind} ${answer.problem}` : answer.kind

/** Waits, within reason, until something has come about. */
export async function until(happened: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !happened(); i++) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.ok(happened(), 'it never came about')
}

/** The root that a resource falls under: `scheme://authority/`. */
export const rootOf = (uri: Json | undefined): string =>
  typeof uri === 'string' ? uri.replace(/^([^:]+:\/\/[^/]*).*$/, '$1/') : ''
