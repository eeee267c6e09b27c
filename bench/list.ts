import { createView } from '../src/registry/view.ts'
import { digest } from '../src/registry/define.ts'
import { createSchemas } from '../src/registry/schema.ts'
import type { Definition, Tool } from '../src/registry/tool.ts'
import type { ServerRecord } from '../src/store/ports.ts'

/**
 * How long a filtered list of 10,000 tools takes when nobody has asked for it before (DESIGN.md, Budgets: p50 under
 * 10 ms), and how long one check of usual arguments does. Prints; never fails.
 */
const servers = 50
const perServer = 200
const rounds = 60

const definitionOf = (index: number): Definition => ({
  kind: 'tool',
  name: `tool_${index}`,
  description: `Does the thing number ${index}.`,
  inputSchema: {
    type: 'object',
    properties: {
      path: { type: 'string' },
      lines: { type: 'integer', minimum: 0 },
      tags: { type: 'array', items: { type: 'string' } },
    },
    required: ['path'],
    additionalProperties: false,
  },
})

const recordOf = (name: string): ServerRecord => ({
  name,
  config: {},
  source: 'config',
  environment: 'bench',
  state: 'active',
  view: null,
})

function toolOf(server: string, index: number): Tool {
  const definition = definitionOf(index)
  const digested = digest(definition)
  const review = {
    digest: digested,
    effects: ['read'],
    environment: 'bench',
    confidentiality: 'internal',
    integrity: 'untrusted',
    targets: {},
    reviewer: 'operator',
    at: '2026-01-01T00:00:00.000Z',
  } as const
  return {
    id: `${server}/tool_${index}`,
    server,
    kind: 'tool',
    name: `tool_${index}`,
    state: 'reviewed',
    digest: digested,
    definition,
    pinned: definition,
    review,
    findings: [],
  }
}

const names = Array.from({ length: servers }, (_, index) => `server-${index}`)
const tools = new Map(
  names
    .flatMap((server) => Array.from({ length: perServer }, (_, index) => toolOf(server, index)))
    .map((tool) => [tool.id, tool]),
)
const records = new Map(names.map((name) => [name, recordOf(name)]))
const some = [...tools.keys()].filter((_, index) => index % 100 === 0)

const queries: { readonly [label: string]: readonly string[] } = {
  'everything (`*`)': ['*'],
  'ten servers (`server/*`)': names.slice(0, 10).map((name) => `${name}/*`),
  'a hundred tools by id': some,
}

const percentile = (times: readonly number[], share: number): string =>
  (times.toSorted((a, b) => a - b)[Math.floor(times.length * share)] ?? 0).toFixed(2)

for (const [label, patterns] of Object.entries(queries)) {
  const [cold, warm, cached]: readonly number[][] = [[], [], []]
  for (let round = 0; round < rounds; round++) {
    // A new view each round, as after each change of the registry: nothing in it is sorted or cached yet.
    const view = createView({ version: round, tools, servers: records, withheld: new Set() })
    const time = (into: number[] | undefined, query: readonly string[]): void => {
      const start = performance.now()
      view.list({ patterns: query, kinds: ['tool'] })
      into?.push(performance.now() - start)
    }
    time(cold, patterns)
    time(warm, [...patterns, 'another/tool'])
    time(cached, patterns)
  }
  console.log(
    `${label}: first after a change p50 ${percentile(cold ?? [], 0.5)} ms p99 ${percentile(cold ?? [], 0.99)} ms, next query p50 ${percentile(warm ?? [], 0.5)} ms, cached p50 ${percentile(cached ?? [], 0.5)} ms`,
  )
}

const schemas = createSchemas()
const schema = definitionOf(0).inputSchema ?? {}
const args = { path: '/a/b', lines: 3, tags: ['x', 'y'] }
for (let round = 0; round < 20_000; round++) schemas.check(schema, args)
const start = performance.now()
for (let round = 0; round < 50_000; round++) schemas.check(schema, args)
console.log(`one check of arguments: ${(((performance.now() - start) / 50_000) * 1000).toFixed(1)} µs`)
