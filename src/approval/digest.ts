import { createHash } from 'node:crypto'
import { canonical } from '../lib/jcs.ts'
import type { JsonObject } from '../lib/json.ts'

/** Everything that an approval is for. A call that differs in any of it is another call. */
export type Approvable = {
  readonly tool: string
  /** Digest of the reviewed definition: the same name with another meaning is another tool. */
  readonly toolDigest: string
  /** Exactly as they would be sent. */
  readonly arguments: JsonObject
  readonly task: string
  readonly agent: string
  /** Version of the policy that asked. */
  readonly policy: string
}

/** `sha256:` + 64 hex over the canonical form (RFC 8785). Pure; the members are named, so none can slide into another. */
export function approvalDigest(call: Approvable): string {
  const { tool, toolDigest, arguments: args, task, agent, policy } = call
  const text = canonical({
    v: 1,
    purpose: 'countersign-approval',
    tool,
    toolDigest,
    arguments: args,
    task,
    agent,
    policy,
  })
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}

/** What people compare by eye: 12 hex characters in three groups. Names nothing to the broker. */
export const shortDigest = (digest: string): string =>
  digest
    .replace(/^sha256:/, '')
    .slice(0, 12)
    .replace(/(.{4})(?=.)/g, '$1-')
