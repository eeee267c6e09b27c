import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { isJsonObject } from '../lib/json.ts'
import type { Tool } from '../registry/tool.ts'
import { node } from './expression.ts'
import { groupsOf } from './schema.ts'
import { uidsIn, withinSlice } from './scope.ts'
import { resourceValues } from './request.ts'

/**
 * The policy as the engine evaluates it for one tool: what its scope and conditions ask of the tool (its groups, its
 * reviewed attributes) is put in as a constant. Crossing into the engine costs more than evaluating, so what never
 * changes between two calls of a tool does not cross. A property test holds this to the engine's own answers on the
 * policies as written.
 */
export function bake(policy: PolicyJson, tool: Tool): PolicyJson {
  const open = withinSlice(policy)
  // The shape of the JSON is kept: a constant stands where an expression stood.
  const conditions: PolicyJson['conditions'] = JSON.parse(
    JSON.stringify(open.conditions),
    (_, part: unknown) => constant(part, tool),
  )
  return { ...open, conditions }
}

function constant(part: unknown, tool: Tool): unknown {
  if (!isJsonObject(part)) return part
  const at = node(part)
  if (at.op === 'get' && isVariable(at.left, 'resource')) return attribute(at.name, tool) ?? part
  if (at.op === 'has' && isVariable(at.left, 'resource') && at.names.length === 1)
    return { Value: attribute(at.names[0] ?? '', tool) !== null }
  if (at.op === 'binary' && at.name === 'in' && isVariable(at.left, 'action'))
    return membership(at.right, tool) ?? part
  return part
}

const isVariable = (expression: unknown, name: string): boolean => {
  const at = node(expression)
  return at.op === 'var' && at.name === name
}

function attribute(name: string, tool: Tool): unknown {
  const values = resourceValues(tool)
  const value = Object.hasOwn(values, name) ? values[name] : undefined
  if (value === undefined) return null
  return Array.isArray(value) ? { Set: value.map((one) => ({ Value: one })) } : { Value: value }
}

/** Null when the right side is not made of entities that are written out. */
function membership(right: unknown, tool: Tool): unknown {
  const at = node(right)
  const written = at.op === 'call' && at.name === 'Set' ? at.args.map(node) : [at]
  if (!written.every((one) => one.op === 'value' && uidsIn(one.value).length === 1)) return null
  const mine = [tool.id, ...groupsOf(tool)]
  const named = written.flatMap((one) => (one.op === 'value' ? uidsIn(one.value) : []))
  return { Value: named.some(({ type, id }) => type === 'Action' && mine.includes(id)) }
}
