import { isJsonObject, valueAt, type Json, type JsonObject } from '../lib/json.ts'

/** One `x-mcp-header` of a tool's input schema: the argument at `path` is mirrored as `Mcp-Param-{name}`. */
export type Mirrored = { readonly path: readonly string[]; readonly name: string }

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const types: ReadonlySet<Json> = new Set(['string', 'integer', 'boolean'])
/** Deeper than any definition that the registry keeps: what is kept must be judged, not passed over. */
const maxDepth = 64
const maxNodes = 20_000

/**
 * The mirrored arguments that a schema declares (MCP 2026-07-28, streamable HTTP, custom headers from tool
 * parameters). `null`: a declaration is invalid, and with it the tool: a header that means one thing to a gateway
 * in between and another to the server would let the body say what the header denies.
 */
export function mirroredArguments(schema: JsonObject): readonly Mirrored[] | null {
  const found: Mirrored[] = []
  const names = new Set<string>()
  let nodes = 0

  const valid = (node: Json, path: readonly string[], reachable: boolean, depth: number): boolean => {
    if (++nodes > maxNodes || depth > maxDepth) return false
    if (Array.isArray(node)) return node.every((item) => valid(item, path, false, depth + 1))
    if (!isJsonObject(node)) return true
    const name = node['x-mcp-header']
    if (name !== undefined && !take(node, name, reachable ? path : [])) return false
    return Object.entries(node).every(([key, child]) => {
      if (literals.has(key)) return true
      if (key !== 'properties' || !isJsonObject(child)) return valid(child, path, false, depth + 1)
      return Object.entries(child).every(([property, sub]) =>
        valid(sub, [...path, property], reachable, depth + 1),
      )
    })
  }
  const take = (node: JsonObject, name: Json, path: readonly string[]): boolean => {
    if (path.length === 0 || typeof name !== 'string' || !token.test(name)) return false
    if (node.type === undefined || !types.has(node.type) || names.has(name.toLowerCase())) return false
    names.add(name.toLowerCase())
    found.push({ path, name })
    return true
  }
  return valid(schema, [], true, 0) ? found : null
}

/** What a schema mirrors; see `mirroredArguments`. */
export type Mirrors = (schema: JsonObject) => readonly Mirrored[] | null

/** Finds it out once for as long as the schema lives: pinned definitions are never changed in place. */
export function createMirrors(): Mirrors {
  const known = new WeakMap<JsonObject, { readonly found: readonly Mirrored[] | null }>()
  return (schema) => {
    const before = known.get(schema)
    if (before !== undefined) return before.found
    const found = mirroredArguments(schema)
    known.set(schema, { found })
    return found
  }
}

/** Keywords that hold values, not schemas: an `x-mcp-header` inside is data. */
const literals: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples', 'x-mcp-header'])

/** `Mcp-Name` and `Mcp-Param-*` of one modern request, computed from the body that is sent. */
export function mirrorHeaders(
  method: string,
  params: JsonObject,
  mirroring: { readonly schema: JsonObject | undefined; readonly mirrors: Mirrors },
): { readonly [name: string]: string } {
  const headers: { [name: string]: string } = { 'Mcp-Method': method }
  const name = method === 'resources/read' ? params.uri : namedMethods.has(method) ? params.name : undefined
  if (typeof name === 'string') headers['Mcp-Name'] = encode(name)
  const { schema, mirrors } = mirroring
  if (method !== 'tools/call' || schema === undefined || !isJsonObject(params.arguments)) return headers
  for (const { path, name: header } of mirrors(schema) ?? []) {
    const text = primitive(valueAt(params.arguments, path))
    if (text !== null) headers[`Mcp-Param-${header}`] = encode(text)
  }
  return headers
}

const namedMethods: ReadonlySet<string> = new Set(['tools/call', 'prompts/get'])

/** The text of a value that a header may mirror: string, boolean or safe integer; null for every other. */
export function primitive(value: Json | undefined): string | null {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return value ? 'true' : 'false'
  return typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : null
}

const plain = /^[\t\x20-\x7e]+$/
const sentinel = /^=\?base64\?.*\?=$/s

/** A header value as the revision writes it: plain where that is safe, else UTF-8 in its Base64 sentinel. */
export function encode(text: string): string {
  if (plain.test(text) && text === text.trim() && !sentinel.test(text)) return text
  return `=?base64?${Buffer.from(text, 'utf8').toString('base64')}?=`
}
