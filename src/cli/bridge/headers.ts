import { member } from './access.ts'

type Headers = { readonly [name: string]: string }
type Declaration = { readonly header: string; readonly path: readonly string[] }

/** Which arguments of which tools are mirrored into headers, learnt from the lists that pass by. */
export type Mirrors = {
  learn(listed: unknown): void
  headersOf(tool: string, args: unknown): Headers
}

const versionKey = 'io.modelcontextprotocol/protocolVersion'
/** RFC 9110 section 5.6.2. */
const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const mostTools = 20_000
const mostDepth = 16

/** The revision that a message says it is written in (MCP 2026-07-28 and later), or null for the era of sessions. */
export function revisionOf(message: unknown): string | null {
  const version = member(member(member(message, 'params'), '_meta'), versionKey)
  return typeof version === 'string' ? version : null
}

/** The headers that mirror a body (MCP 2026-07-28, streamable HTTP): computed here, from the very text that is sent. */
export function mirrored(message: unknown, revision: string, mirrors: Mirrors): Headers {
  const method = String(member(message, 'method'))
  const params = member(message, 'params')
  const name = nameOf(method, params)
  return {
    'mcp-protocol-version': encode(revision),
    'mcp-method': encode(method),
    ...(typeof name === 'string' ? { 'mcp-name': encode(name) } : {}),
    ...(method === 'tools/call' && typeof name === 'string'
      ? mirrors.headersOf(name, member(params, 'arguments'))
      : {}),
  }
}

function nameOf(method: string, params: unknown): unknown {
  if (method === 'tools/call' || method === 'prompts/get') return member(params, 'name')
  if (method === 'resources/read') return member(params, 'uri')
  return method.startsWith('tasks/') ? member(params, 'taskId') : undefined
}

/** Keeps the declarations of the newest list; bounded, and only those that the protocol allows. */
export function createMirrors(): Mirrors {
  const known = new Map<string, readonly Declaration[]>()
  return {
    learn(listed) {
      const tools = member(listed, 'tools')
      if (!Array.isArray(tools)) return
      for (const tool of tools) {
        const name = member(tool, 'name')
        if (typeof name !== 'string') continue
        const declared = declarationsOf(member(tool, 'inputSchema'), [])
        if (declared.length === 0) known.delete(name)
        else if (known.has(name) || known.size < mostTools) known.set(name, declared)
      }
    },
    headersOf(tool, args) {
      const headers: { [name: string]: string } = {}
      for (const { header, path } of known.get(tool) ?? []) {
        const value = path.reduce(member, args)
        const text = textOf(value)
        if (text !== null) headers[`mcp-param-${header}`] = encode(text)
      }
      return headers
    },
  }
}

/** `x-mcp-header` on a primitive that is reached through `properties` alone. */
function declarationsOf(schema: unknown, path: readonly string[]): readonly Declaration[] {
  const properties = member(schema, 'properties')
  if (typeof properties !== 'object' || properties === null || path.length >= mostDepth) return []
  return Object.entries(properties).flatMap(([name, inner]): readonly Declaration[] => {
    const at = [...path, name]
    const header = member(inner, 'x-mcp-header')
    const type = member(inner, 'type')
    if (
      typeof header === 'string' &&
      fieldName.test(header) &&
      (type === 'string' || type === 'integer' || type === 'boolean')
    ) {
      return [{ header, path: at }]
    }
    return declarationsOf(inner, at)
  })
}

function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return String(value)
  return typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : null
}

/** What is no plain field value goes as Base64 of its UTF-8, marked; so does what would look marked. */
export function encode(text: string): string {
  const plain = /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/.test(text)
  const marked = text.startsWith('=?base64?') && text.endsWith('?=')
  return plain && !marked ? text : `=?base64?${Buffer.from(text, 'utf8').toString('base64')}?=`
}
