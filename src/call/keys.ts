import type { Caller } from '../identity/caller.ts'
import type { TaskSnapshot } from '../task/task.ts'
import type { Tool } from '../registry/tool.ts'

/** The revocation keys that a call hangs on, known bit by bit. Any of them revoked ends the call. */
export const callerKeys = (caller: Caller): readonly string[] => [
  'all',
  `${caller.kind}:${caller.name}`,
  `person:${caller.onBehalfOf}`,
  `token:${caller.tokenId}`,
]

export const taskKeys = (bound: TaskSnapshot): readonly string[] => [
  `task:${bound.task.id}`,
  ...bound.ancestors.map((ancestor) => `task:${ancestor.id}`),
]

export const toolKeys = (tool: Tool): readonly string[] => [`server:${tool.server}`, `tool:${tool.id}`]

export const secretKeys = (secrets: readonly string[]): readonly string[] =>
  secrets.map((name) => `secret:${name}`)

/** All keys of a call that has been resolved. */
export const callKeys = (call: {
  readonly caller: Caller
  readonly bound: TaskSnapshot
  readonly tool: Tool
}): readonly string[] => [...callerKeys(call.caller), ...taskKeys(call.bound), ...toolKeys(call.tool)]
