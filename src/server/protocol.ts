import type { Era } from '../registry/tool.ts'
import type { InputKind, Outgoing, Takes } from './answer.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'

/** The one modern revision that is spoken (MCP 2026-07-28: stateless, no handshake). */
export const modernVersion = '2026-07-28'

/** Legacy revisions, newest first: the first is offered in `initialize`, any of them is taken as the answer. */
export const legacyVersions = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'] as const

export const metaKeys = {
  version: 'io.modelcontextprotocol/protocolVersion',
  capabilities: 'io.modelcontextprotocol/clientCapabilities',
  client: 'io.modelcontextprotocol/clientInfo',
  log: 'io.modelcontextprotocol/logLevel',
  server: 'io.modelcontextprotocol/serverInfo',
  subscription: 'io.modelcontextprotocol/subscriptionId',
} as const

export const clientInfo: JsonObject = { name: 'countersign', version: '0.1.0' }

/** The capabilities of MCP that stand for what may be asked of us. */
export function capabilitiesOf(inputs: readonly InputKind[]): JsonObject {
  const modes = inputs.filter((kind) => kind === 'form' || kind === 'url')
  return {
    ...(modes.length === 0 ? {} : { elicitation: Object.fromEntries(modes.map((mode) => [mode, {}])) }),
    ...(inputs.includes('sampling') ? { sampling: {} } : {}),
    ...(inputs.includes('roots') ? { roots: {} } : {}),
  }
}

/**
 * Params of one request with our `_meta`, made anew: nothing of the agent's `_meta` is passed on (I8). Legacy servers
 * get none: they were told at the handshake. What a modern one is told varies with the agent behind us only for calls,
 * where it decides what may be asked; a list that varied with it would look like a changed definition.
 */
export function withMeta(params: JsonObject, era: Era, takes: Takes): JsonObject {
  switch (era) {
    case 'legacy':
      return params
    case 'modern':
      return {
        ...params,
        _meta: {
          [metaKeys.version]: modernVersion,
          [metaKeys.client]: clientInfo,
          [metaKeys.capabilities]: capabilitiesOf(takes.inputs),
          ...(takes.log === null ? {} : { [metaKeys.log]: takes.log }),
        },
      }
  }
}

/** Where this call stands in a trace of ours (SEP-414): in both eras, as a server that does not know the key leaves it. */
export const withTrace = (params: JsonObject, trace: Outgoing['trace']): JsonObject =>
  trace === undefined
    ? params
    : { ...params, _meta: { ...(isJsonObject(params._meta) ? params._meta : {}), ...trace } }

/** The same for HTTP: what a server is told in the message stands in the header, too. */
export const traceHeaders = ({ _meta }: JsonObject): { readonly [name: string]: string } =>
  isJsonObject(_meta) && typeof _meta['traceparent'] === 'string' ? { traceparent: _meta['traceparent'] } : {}

/** The token of progress is the request's own id: unknown to the server before, and of no meaning after. */
export const withToken = (params: JsonObject, id: number | null): JsonObject =>
  id === null
    ? params
    : { ...params, _meta: { ...(isJsonObject(params._meta) ? params._meta : {}), progressToken: id } }
