import { readFileSync } from 'node:fs'
import { define, digest, idOf, nameOf } from '../../src/registry/define.ts'
import type { Catalogue, Definition, Review, Tool } from '../../src/registry/tool.ts'
import type { Json, JsonObject } from '../../src/lib/json.ts'

/** What a real server listed, as it came over stdio, taken out of its pages. */
export function listingsOf(server: 'filesystem' | 'everything'): {
  tools: Json[]
  prompts: Json[]
  resources: Json[]
  templates: Json[]
  instructions?: string
} {
  const pages = JSON.parse(readFileSync(new URL(`fixtures/${server}.json`, import.meta.url), 'utf8'))
  const all = (key: string, list: string): Json[] =>
    pages[key].flatMap((page: { [name: string]: Json[] }) => page[list] ?? [])
  return {
    tools: all('tools', 'tools'),
    prompts: all('prompts', 'prompts'),
    resources: all('resources', 'resources'),
    templates: all('templates', 'resourceTemplates'),
    ...(pages.instructions === undefined ? {} : { instructions: pages.instructions }),
  }
}

export const definitionsOf = (server: 'filesystem' | 'everything'): readonly Definition[] =>
  define(listingsOf(server)).definitions

export const aDefinition = (name: string, more: Partial<Definition> = {}): Definition => ({
  kind: 'tool',
  name,
  description: `Does ${name}.`,
  inputSchema: { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] },
  ...more,
})

export const aCatalogue = (
  server: string,
  definitions: readonly Definition[],
  resources: readonly JsonObject[] = [],
): Catalogue => ({
  server,
  definitions,
  resources,
  capabilities: {},
  serverInfo: { name: server },
  era: 'modern',
  protocolVersion: '2026-07-28',
})

export const aReview = (definition: Definition, more: Partial<Review> = {}): Review => ({
  digest: digest(definition),
  effects: ['read'],
  environment: 'test',
  confidentiality: 'internal',
  integrity: 'untrusted',
  targets: {},
  reviewer: 'operator',
  at: '2026-01-01T00:00:00.000Z',
  ...more,
})

/** Reviewed, unless said otherwise. */
export const aTool = (server: string, definition: Definition, more: Partial<Tool> = {}): Tool => ({
  id: idOf(server, definition),
  server,
  kind: definition.kind,
  name: nameOf(definition),
  state: 'reviewed',
  digest: digest(definition),
  definition,
  pinned: definition,
  review: aReview(definition),
  findings: [],
  ...more,
})
