import type { CedarValueJson, EntityJson, EntityUidJson } from '@cedar-policy/cedar-wasm/nodejs'
import { groupsOf } from './schema.ts'
import { inputFacts } from './input.ts'
import type { ReadTree, Reads } from './reads.ts'
import { below } from './reads.ts'
import type { Tool } from '../registry/tool.ts'
import type { RecordShape } from './shape.ts'
import type { Measure } from '../flow/measure.ts'
import { contextFields, isGroup, principalFields, resourceFacts, unknownFlow } from './vocabulary.ts'
import type { Asked, Facts, Fields } from './vocabulary.ts'

/** What the engine is asked. Plain data: equal requests have equal JSON. */
export type EngineRequest = {
  readonly principal: EntityUidJson
  readonly action: EntityUidJson
  readonly resource: EntityUidJson
  readonly entities: EntityJson[]
  readonly context: Values
}

export type Values = { [name: string]: CedarValueJson }

/** Stands for an entity whose id no policy of the slice looks at. */
const anyId = '_'

/** Who asks what of which tool, cut down to what the slice's policies can look at. */
export function entitiesFor(question: Asked, reads: Reads): Omit<EngineRequest, 'context'> {
  const { caller, tool } = question
  const facts: Facts = { question, target: {}, approval: null }
  const principal = {
    type: caller.kind === 'agent' ? 'Agent' : 'Person',
    id: reads.ids.principal ? caller.name : anyId,
  }
  const action = { type: 'Action', id: reads.ids.action ? tool.id : anyId }
  const resource = { type: 'Tool', id: reads.ids.resource ? tool.id : anyId }
  const entities: EntityJson[] = []
  const owner =
    caller.kind === 'agent' && reads.ids.principal ? [{ type: 'Person', id: caller.onBehalfOf }] : []
  const about = values(principalFields, reads.principal, facts)
  if (owner.length > 0 || Object.keys(about).length > 0)
    entities.push({ uid: principal, attrs: about, parents: owner })
  const server = reads.ids.resource ? [{ type: 'Server', id: tool.server }] : []
  const attrs = pick(tool, reads.resource)
  if (server.length > 0 || Object.keys(attrs).length > 0)
    entities.push({ uid: resource, attrs, parents: server })
  if (reads.ids.action)
    entities.push({ uid: action, attrs: {}, parents: groupsOf(tool).map((id) => ({ type: 'Action', id })) })
  return { principal, action, resource, entities }
}

/** Everything that policies can read of a reviewed tool. */
export function resourceValues(tool: Tool): Values {
  const found: Values = {}
  for (const [name, of] of Object.entries(resourceFacts)) {
    const value = of(tool)
    if (value !== undefined) found[name] = value
  }
  return found
}

/** `context` without `approval`; throws `Unfit` when an argument that is read has no faithful form. */
export function contextFor(
  facts: Facts,
  reads: ReadTree,
  { shape, measures }: { readonly shape: RecordShape; readonly measures: readonly Measure[] },
): Values {
  const context = values(contextFields, reads, facts)
  const measured = below(reads, ['flow', 'measures'])
  const flow = context['flow']
  if (measured !== null && measures.length > 0 && typeof flow === 'object' && !Array.isArray(flow))
    context['flow'] = { ...flow, measures: measuredFor(facts, measured, measures) }
  const input = below(reads, ['input'])
  if (input !== null) context['input'] = inputFacts(facts.question.arguments, shape, input)
  return context
}

const measuredFor = ({ question }: Facts, reads: ReadTree, measures: readonly Measure[]): Values =>
  Object.fromEntries(
    measures
      .filter(({ name }) => reads.whole || reads.names.has(name))
      .map((measure) => [measure.name, (question.flow ?? unknownFlow).measure(measure)]),
  )

function values(fields: Fields, reads: ReadTree, facts: Facts): Values {
  const found: Values = {}
  for (const name of reads.whole ? Object.keys(fields) : reads.names.keys()) {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined
    const next = reads.whole ? reads : reads.names.get(name)
    if (field === undefined || next === undefined) continue
    const value = isGroup(field) ? group(field, next, facts) : field.of(facts)
    if (value !== undefined) found[name] = value
  }
  return found
}

function pick(tool: Tool, reads: ReadTree): Values {
  if (!reads.whole && reads.names.size === 0) return {}
  return Object.fromEntries(
    Object.entries(resourceValues(tool)).filter(([name]) => reads.whole || reads.names.has(name)),
  )
}

function group(
  of: { readonly present?: (facts: Facts) => boolean; readonly fields: Fields },
  reads: ReadTree,
  facts: Facts,
): Values | undefined {
  if (of.present !== undefined && !of.present(facts)) return undefined
  return values(of.fields, reads, facts)
}
