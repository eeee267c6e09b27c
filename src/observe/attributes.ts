/**
 * Everything that a span may say, as data. What is not listed is secret and cannot be set: there is no way to put an
 * argument, a result, a purpose, a URI, an address of a person or a word of a server's on a span.
 *
 * `public`: anyone may read it. `internal`: names that the operator gave or reviewed, and ids; for those who run the
 * broker and whoever they send their traces to.
 */
export type Class = 'public' | 'internal'

export const attributes = {
  // MCP and GenAI conventions.
  'mcp.method.name': { class: 'public', says: 'a method of MCP; any other is `_OTHER`' },
  'mcp.protocol.version': { class: 'public', says: 'the revision that is spoken' },
  'gen_ai.operation.name': { class: 'public', says: '`execute_tool` for `tools/call`' },
  'gen_ai.tool.name': { class: 'internal', says: 'a registered tool, under the name that was called' },
  'gen_ai.prompt.name': { class: 'internal', says: 'a registered prompt, under the name that was asked for' },
  'gen_ai.agent.name': { class: 'internal', says: 'the registered name of the agent' },
  'jsonrpc.request.id': { class: 'public', says: 'only a whole number: text is for the agent to choose' },
  'rpc.response.status_code': { class: 'public', says: 'the number of a JSON-RPC error' },
  'error.type': {
    class: 'public',
    says: 'a code of `docs/reference/refusals.md`, `tool_error`, or a number',
  },
  'network.transport': { class: 'public', says: '`tcp` or `pipe`' },
  'network.protocol.name': { class: 'public', says: '`http`' },
  'network.protocol.version': { class: 'public', says: 'of HTTP' },
  'server.address': { class: 'internal', says: 'host of a server, as configured' },
  'server.port': { class: 'internal', says: 'its port' },
  // The broker's own.
  'countersign.call.id': { class: 'internal', says: 'the call, by which the log is searched' },
  'countersign.task.id': { class: 'internal', says: 'the task' },
  'countersign.server': { class: 'internal', says: 'the registered name of the server' },
  'countersign.door': { class: 'public', says: 'where the call came in' },
  'countersign.outcome': { class: 'public', says: 'what the log says of it' },
  'countersign.refusal.code': { class: 'public', says: 'why it was refused' },
  'countersign.refusal.stage': { class: 'public', says: 'where it was refused' },
  'countersign.decision': { class: 'public', says: '`allow`, `ask` or `deny`' },
  'countersign.ask.id': { class: 'internal', says: 'the question to a person that it waits for' },
  'countersign.intend.result': { class: 'public', says: 'what the commit point said' },
} as const satisfies { readonly [name: string]: { readonly class: Class; readonly says: string } }

export type AttributeName = keyof typeof attributes
export type Attributes = { readonly [Name in AttributeName]?: string | number | undefined }

/** The schema of the conventions that names are from (MCP and GenAI, in development). */
export const schemaUrl = 'https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev'

/** What the conventions offer and this program never says, with the reason. */
export const withheld: { readonly [name: string]: string } = {
  'gen_ai.tool.call.arguments': 'a payload; the log commits to it',
  'gen_ai.tool.call.result': 'a payload',
  'gen_ai.tool.description': "a server's words",
  'mcp.resource.uri': 'an argument: it names files and people',
  'mcp.session.id': 'whoever holds a token could use it',
  'client.address': 'where a person works',
  'client.port': 'goes with the address',
  'exception.message': 'may hold what the caller sent',
}

const longest = 200

/** What of the given may be said, as it may be said. Keeps what is listed, whatever the caller's types let through. */
export function allowed(given: Attributes): { readonly [name: string]: string | number } {
  const kept: { [name: string]: string | number } = {}
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === '' || !Object.hasOwn(attributes, name)) continue
    kept[name] = typeof value === 'string' ? value.slice(0, longest).toWellFormed() : value
  }
  return kept
}
