import type { JsonObject } from '../../lib/json.ts'

/** MCP 2026-07-28: the one modern revision that is spoken. */
export const modernVersions: readonly string[] = ['2026-07-28']
/** Newest first: the first is what an unknown one is answered with. */
export const legacyVersions: readonly string[] = ['2025-11-25', '2025-06-18', '2025-03-26']

/** Revisions are dates, so text order is time order. */
export const isModern = (version: string): boolean => version >= '2026-07-28'

export const keys = {
  version: 'io.modelcontextprotocol/protocolVersion',
  capabilities: 'io.modelcontextprotocol/clientCapabilities',
  client: 'io.modelcontextprotocol/clientInfo',
  log: 'io.modelcontextprotocol/logLevel',
  server: 'io.modelcontextprotocol/serverInfo',
  subscription: 'io.modelcontextprotocol/subscriptionId',
} as const

/** Codes of JSON-RPC 2.0 and MCP 2026-07-28 that the door itself gives. */
export const codes = {
  parse: -32700,
  request: -32600,
  method: -32601,
  params: -32602,
  headers: -32020,
  capability: -32021,
  version: -32022,
} as const

/** An error found before anything ran, with the HTTP status that belongs to it. */
export type Rejection = {
  readonly status: number
  readonly code: number
  readonly message: string
  readonly data?: JsonObject
}

export const badParams = (message: string, data?: JsonObject): Rejection => ({
  status: 200,
  code: codes.params,
  message,
  ...(data === undefined ? {} : { data }),
})

export type RequestId = string | number

/** Methods that are calls of the path. */
export const callMethods = ['tools/call', 'resources/read', 'prompts/get', 'completion/complete'] as const
/** In revisions with sessions a subscription is a request of its own; later it is part of `subscriptions/listen`. */
export const subscribeMethod = 'resources/subscribe'
export type CallMethod = (typeof callMethods)[number] | typeof subscribeMethod
export const isCallMethod = (method: string): method is (typeof callMethods)[number] =>
  callMethods.some((known) => known === method)

export const listMethods = [
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
] as const
export type ListMethod = (typeof listMethods)[number]
export const isListMethod = (method: string): method is ListMethod =>
  listMethods.some((known) => known === method)
