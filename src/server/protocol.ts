import type { Era } from '../registry/tool.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'

/** The one modern revision that is spoken (MCP 2026-07-28: stateless, no handshake). */
export const modernVersion = '2026-07-28'

/** Legacy revisions, newest first: the first is offered in `initialize`, any of them is taken as the answer. */
export const legacyVersions = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'] as const

export const metaKeys = {
  version: 'io.modelcontextprotocol/protocolVersion',
  capabilities: 'io.modelcontextprotocol/clientCapabilities',
  client: 'io.modelcontextprotocol/clientInfo',
  server: 'io.modelcontextprotocol/serverInfo',
} as const

/**
 * What every server is told that we can do. Fixed, never the agent's own: a list that varied with the agent behind us
 * would look like a changed definition. No sampling and no roots: a server may not drive a model or look around.
 */
export const clientCapabilities: JsonObject = { elicitation: { form: {} } }

export const clientInfo: JsonObject = { name: 'countersign', version: '0.1.0' }

/** The `_meta` of one request, made anew: nothing of the agent's `_meta` is passed on (I8). */
export function envelope(era: Era): JsonObject {
  switch (era) {
    case 'legacy':
      return {}
    case 'modern':
      return {
        [metaKeys.version]: modernVersion,
        [metaKeys.client]: clientInfo,
        [metaKeys.capabilities]: clientCapabilities,
      }
  }
}

/** Params with our `_meta`; an empty one is left out, as legacy servers of the first revision knew none. */
export function withMeta(params: JsonObject, era: Era): JsonObject {
  const meta = envelope(era)
  return Object.keys(meta).length === 0 ? params : { ...params, _meta: meta }
}

/** The token of progress is the request's own id: unknown to the server before, and of no meaning after. */
export const withToken = (params: JsonObject, id: number | null): JsonObject =>
  id === null
    ? params
    : { ...params, _meta: { ...(isJsonObject(params._meta) ? params._meta : {}), progressToken: id } }
