import { brief } from './bounds.ts'
import { isJsonObject } from '../lib/json.ts'
import type { Json, JsonObject } from '../lib/json.ts'

/** RFC 9110 section 5.6.2, `token`. */
const token = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/
const types = ['string', 'integer', 'boolean']

/**
 * Checks `x-mcp-header` in an input schema (MCP 2026-07-28, streamable HTTP): only on primitive properties that are
 * reached through `properties` alone, with header names that are tokens and unique without case. A tool that breaks
 * this MUST be dropped from the list, since its header could not be told apart from another's. Null when all is well.
 */
export function headerProblem(schema: JsonObject): string | null {
  const named = new Set<string>()
  const reachable = new Set<JsonObject>()
  const problem = visitProperties(schema, named, reachable)
  return problem ?? visitElsewhere(schema, reachable)
}

function visitProperties(schema: JsonObject, named: Set<string>, reachable: Set<JsonObject>): string | null {
  if (!isJsonObject(schema.properties)) return null
  for (const property of Object.values(schema.properties)) {
    if (!isJsonObject(property)) continue
    reachable.add(property)
    const header = property['x-mcp-header']
    const problem = header === undefined ? null : badHeader(header, property, named)
    if (problem !== null) return problem
    const deeper = visitProperties(property, named, reachable)
    if (deeper !== null) return deeper
  }
  return null
}

function badHeader(header: Json, property: JsonObject, named: Set<string>): string | null {
  if (typeof header !== 'string' || !token.test(header)) return 'expected `x-mcp-header` to be a header name'
  if (typeof property.type !== 'string' || !types.includes(property.type)) {
    return `\`x-mcp-header\` \`${brief(header)}\`: expected a property of type string, integer or boolean`
  }
  if (named.has(header.toLowerCase())) return `\`x-mcp-header\` \`${brief(header)}\` is used twice`
  named.add(header.toLowerCase())
  return null
}

/** A header on a property that is reached any other way (through `items`, `$ref`, `anyOf`, …). */
function visitElsewhere(
  value: Json,
  reachable: ReadonlySet<JsonObject>,
  inProperties = false,
): string | null {
  if (Array.isArray(value)) return first(value, (inner) => visitElsewhere(inner, reachable))
  if (!isJsonObject(value)) return null
  // Directly below `properties` a member is a property's name, which may be `x-mcp-header` itself.
  if (!inProperties && value['x-mcp-header'] !== undefined && !reachable.has(value)) {
    return 'expected `x-mcp-header` only on properties reached through `properties`'
  }
  return first(Object.entries(value), ([name, inner]) => {
    if (!inProperties && ['const', 'enum', 'default', 'examples'].includes(name)) return null
    return visitElsewhere(inner, reachable, !inProperties && name === 'properties')
  })
}

function first<Item>(items: readonly Item[], check: (item: Item) => string | null): string | null {
  for (const item of items) {
    const problem = check(item)
    if (problem !== null) return problem
  }
  return null
}
