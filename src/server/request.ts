import { isJsonObject, type JsonObject } from '../lib/json.ts'
import type { ToolKind } from '../registry/tool.ts'
import type { Family } from './channel.ts'
import type { Outgoing, Takes } from './answer.ts'
import type { Session } from './era.ts'
import { withMeta, withTrace } from './protocol.ts'

export type WireRequest = { readonly method: string; readonly params: JsonObject }
export type RequestProblem = { readonly problem: string }

/** The list in which a definition of this kind must still stand as it was pinned. */
export function familyOf(kind: ToolKind): Family {
  switch (kind) {
    case 'tool':
      return 'tools'
    case 'prompt':
      return 'prompts'
    case 'resource':
    case 'template':
    case 'instructions':
      return 'resources'
  }
}

/**
 * The request that goes out, put together from what was judged and nothing else (I8): names come from the pinned
 * definition, arguments from the decision. `arguments` of a `read` is `{ uri }`, of a `complete`
 * `{ argument: { name, value }, context? }`; its `ref` is the definition's.
 */
export function requestOf(
  outgoing: Outgoing,
  { era, shown }: Pick<Session, 'era' | 'shown'>,
): WireRequest | RequestProblem {
  const base = baseOf(outgoing)
  if ('problem' in base) return base
  const { leg } = outgoing
  // Only the modern revision carries a later leg in the request itself; a legacy one goes on where it was parked.
  const retry: JsonObject =
    leg === null || era === 'legacy'
      ? {}
      : {
          ...(leg.requestState === null ? {} : { requestState: leg.requestState }),
          ...(Object.keys(leg.inputResponses).length === 0 ? {} : { inputResponses: leg.inputResponses }),
        }
  return {
    method: base.method,
    params: withTrace(withMeta({ ...base.params, ...retry }, era, offered(outgoing, shown)), outgoing.trace),
  }
}

/** What the client takes, of what is switched on. */
export const offered = ({ takes }: Pick<Outgoing, 'takes'>, shown: Takes): Takes => ({
  ...takes,
  inputs: takes.inputs.filter((kind) => shown.inputs.includes(kind)),
})

function baseOf({ operation, definition, arguments: args }: Outgoing): WireRequest | RequestProblem {
  const { kind, name } = definition
  switch (operation) {
    case 'call':
      if (kind !== 'tool') return { problem: `expected a tool to call, found a ${kind}` }
      return { method: 'tools/call', params: { name, arguments: args } }
    case 'get':
      if (kind !== 'prompt') return { problem: `expected a prompt to get, found a ${kind}` }
      return { method: 'prompts/get', params: { name, arguments: args } }
    case 'subscribe':
    case 'read':
      if (kind !== 'resource' && kind !== 'template')
        return { problem: `expected a resource to read, found a ${kind}` }
      if (typeof args.uri !== 'string') return { problem: 'expected `uri` among the arguments of a read' }
      return {
        method: operation === 'read' ? 'resources/read' : 'resources/subscribe',
        params: { uri: args.uri },
      }
    case 'complete': {
      if (!isJsonObject(args.argument))
        return { problem: 'expected `argument` among the arguments of a completion' }
      const context: JsonObject = isJsonObject(args.context) ? { context: args.context } : {}
      if (kind === 'prompt') {
        return {
          method: 'completion/complete',
          params: { ref: { type: 'ref/prompt', name }, argument: args.argument, ...context },
        }
      }
      if (kind !== 'template')
        return { problem: `expected a prompt or a template to complete, found a ${kind}` }
      const uri = definition.uriTemplate ?? name
      return {
        method: 'completion/complete',
        params: { ref: { type: 'ref/resource', uri }, argument: args.argument, ...context },
      }
    }
  }
}
