import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts'

/** `/mcp` shows every server under names that tell them apart; `/mcp/<server>` shows one under its own names. */
export type Endpoint = { readonly kind: 'all' } | { readonly kind: 'one'; readonly server: string }

export type Named = { readonly server: string; readonly name: string }

const serverName = /^[a-z0-9](?:[a-z0-9.-]|_(?!_)){0,62}$/

/** Null when the path is not one of this door. */
export function endpointOf(path: string): Endpoint | null {
  if (path === '/mcp') return { kind: 'all' }
  const server = /^\/mcp\/([^/]+)$/.exec(path)?.[1]
  return server !== undefined && serverName.test(server) && !server.endsWith('_')
    ? { kind: 'one', server }
    : null
}

/** Server names hold no `__` and end in no `_`, so the first `__` is ours. */
export const showName = (endpoint: Endpoint, { server, name }: Named): string =>
  endpoint.kind === 'one' && endpoint.server === server ? name : `${server}__${name}`

export function readName(endpoint: Endpoint, shown: string): Named | null {
  if (endpoint.kind === 'one') return { server: endpoint.server, name: shown }
  const at = shown.indexOf('__')
  const server = shown.slice(0, at)
  return at > 0 && serverName.test(server) && at + 2 < shown.length
    ? { server, name: shown.slice(at + 2) }
    : null
}

const prefix = 'countersign+'

/** `_` may stand in a server's name but not in a URI's scheme (RFC 3986 section 3.1); `+` the other way round. */
export const showUri = (endpoint: Endpoint, { server, name }: Named): string =>
  endpoint.kind === 'one' && endpoint.server === server
    ? name
    : `${prefix}${server.replaceAll('_', '+')}:${name}`

export function readUri(endpoint: Endpoint, shown: string): Named | null {
  if (endpoint.kind === 'one') return { server: endpoint.server, name: shown }
  const at = shown.indexOf(':')
  if (!shown.startsWith(prefix) || at < 0 || at + 1 >= shown.length) return null
  const server = shown.slice(prefix.length, at).replaceAll('+', '_')
  const named = { server, name: shown.slice(at + 1) }
  // Each resource has one name here, the one that was shown: a rule or a cache elsewhere may compare letters.
  return serverName.test(server) && !server.endsWith('_') && showUri(endpoint, named) === shown ? named : null
}

/**
 * Rewrites the URIs in a server's result so that a client can ask for them at this endpoint: contents of a resource,
 * links and embedded resources in content. Structured content is data and stays as it is.
 */
export function showResult(endpoint: Endpoint, server: string, result: JsonObject): JsonObject {
  if (endpoint.kind === 'one' && endpoint.server === server) return result
  const shown: { [name: string]: Json } = { ...result }
  const uri = (item: Json): Json =>
    isJsonObject(item) && typeof item['uri'] === 'string'
      ? { ...item, uri: showUri(endpoint, { server, name: item['uri'] }) }
      : item
  const block = (item: Json): Json => {
    if (!isJsonObject(item)) return item
    if (item['type'] === 'resource_link') return uri(item)
    return item['type'] === 'resource' ? { ...item, resource: uri(item['resource'] ?? null) } : item
  }
  if (Array.isArray(result['contents'])) shown['contents'] = result['contents'].map(uri)
  if (Array.isArray(result['content'])) shown['content'] = result['content'].map(block)
  if (Array.isArray(result['messages'])) {
    shown['messages'] = result['messages'].map((message: Json) =>
      isJsonObject(message) && message['content'] !== undefined
        ? { ...message, content: block(message['content']) }
        : message,
    )
  }
  return shown
}
