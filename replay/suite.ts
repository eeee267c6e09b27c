import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import { bearingKinds, type Bearing } from '../src/flow/bears.ts'
import { confidentialities } from '../src/flow/labels.ts'
import { effects } from '../src/registry/tool.ts'
import { isJsonObject, type Json, type JsonObject } from '../src/lib/json.ts'
import { resultsSchema } from '../src/registry/labels.ts'
import type { Definition, Review } from '../src/registry/tool.ts'

/** A suite's tools as a server would offer them, each with the review that its profile proposes. */
export type Suite = {
  readonly name: string
  readonly tools: readonly { readonly definition: Definition; readonly review: Labels }[]
}
export type Labels = Pick<
  Review,
  'effects' | 'confidentiality' | 'integrity' | 'targets' | 'bears' | 'results'
>

/** Which calls an attack cannot do without. */
export type Signature = { readonly tools: readonly string[]; readonly holds: readonly string[] }

const file = async (name: string): Promise<unknown> =>
  parse(await readFile(new URL(`./agentdojo/${name}.yaml`, import.meta.url), 'utf8'), { maxAliasCount: 100 })

const inputSchema = z.record(
  z.string(),
  z.enum(['string', 'number', 'integer', 'boolean', 'strings', 'objects']),
)
const toolsSchema = z.record(z.string(), z.record(z.string(), inputSchema))
const labelsSchema = z.strictObject({
  effects: z.array(z.enum(effects)).min(1),
  confidentiality: z.enum(confidentialities).default('internal'),
  integrity: z.enum(['trusted', 'untrusted']).default('untrusted'),
  arguments: z.record(z.string(), z.enum(bearingKinds)).optional(),
  results: resultsSchema.optional(),
})
const profileSchema = z.looseObject({ tools: z.record(z.string(), labelsSchema) })
const signatureSchema = z.record(
  z.string(),
  z.record(z.string(), z.strictObject({ tools: z.array(z.string()), holds: z.array(z.string()) })),
)

export async function readSignatures(): Promise<z.infer<typeof signatureSchema>> {
  return signatureSchema.parse(await file('signatures'))
}

/** The suites whose tools are known here. */
export async function readSuites(): Promise<ReadonlyMap<string, Suite>> {
  const inputs = toolsSchema.parse(await file('tools'))
  const suites = new Map<string, Suite>()
  for (const [name, tools] of Object.entries(inputs)) {
    const profile = profileSchema.parse(await file(name))
    suites.set(name, {
      name,
      tools: Object.entries(tools).map(([tool, input]) => {
        const labels = profile.tools[tool]
        if (labels === undefined) throw new Error(`expected labels of \`${tool}\` in the profile of ${name}`)
        return { definition: definitionOf(tool, input), review: reviewOf(labels) }
      }),
    })
  }
  return suites
}

function reviewOf({ arguments: bearing = {}, results, ...labels }: z.infer<typeof labelsSchema>): Labels {
  const bears: readonly Bearing[] = Object.entries(bearing).map(([at, kind]) => ({ at, kind }))
  return { ...labels, targets: {}, bears, ...(results === undefined ? {} : { results }) }
}

type Input = z.infer<typeof inputSchema>

const types: { readonly [name: string]: JsonObject } = {
  strings: { type: 'array', items: { type: 'string' } },
  objects: { type: 'array', items: { type: 'object' } },
}

function definitionOf(name: string, input: Input): Definition {
  const properties: { [name: string]: JsonObject } = {}
  for (const [key, type] of Object.entries(input)) properties[key.replace('?', '')] = types[type] ?? { type }
  const required = Object.keys(input).filter((key) => !key.endsWith('?'))
  return {
    kind: 'tool',
    name,
    inputSchema: { type: 'object', properties, required, additionalProperties: false },
  }
}

/**
 * Arguments as the recorded runtime read them: it took texts for numbers and lists where the tool wants those, and
 * dropped what was null. What fits nothing stays as it is, and the path refuses it.
 */
export function coerced(args: JsonObject, definition: Definition | undefined): JsonObject {
  const properties = definition?.inputSchema?.['properties']
  if (!isJsonObject(properties)) return args
  const made: { [name: string]: Json } = {}
  for (const [name, value] of Object.entries(args)) {
    const schema = properties[name]
    if (value === null) continue
    made[name] = isJsonObject(schema) ? coerce(value, schema) : value
  }
  return made
}

function coerce(value: Json, schema: JsonObject): Json {
  if (schema['type'] === 'string' && typeof value === 'number') return String(value)
  if (typeof value !== 'string') return value
  switch (schema['type']) {
    case 'number':
    case 'integer':
      return value.trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : value
    case 'boolean':
      return /^(?:true|false)$/i.test(value) ? value.toLowerCase() === 'true' : value
    case 'array':
      return listOf(value)
    default:
      return value
  }
}

/** Models wrote lists as text: `['a', 'b']`. */
function listOf(value: string): Json {
  if (!/^\s*\[[^]*\]\s*$/.test(value)) return value
  try {
    const list: Json = JSON.parse(value.replaceAll("'", '"'))
    return list
  } catch {
    return value
  }
}
