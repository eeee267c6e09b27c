import { publicKeyOf, thumbprint, type PublicKey } from './key.ts'
import type { Actor, Acts } from './actor.ts'
import type { Agent, TaskTemplate } from './caller.ts'
import type { AgentStore } from '../store/ports.ts'
import type { Clock } from '../lib/clock.ts'
import type { LiveRevocations } from '../revocation/live.ts'
import type { Tasks } from '../task/tasks.ts'

export type AgentProblem = 'exists' | 'unknown' | 'bad-key' | 'taken' | 'revoked'
export type AgentResult =
  | { readonly ok: true; readonly agent: Agent }
  | { readonly ok: false; readonly problem: AgentProblem; readonly detail: string }

export type NewAgent = {
  readonly name: string
  readonly owner: string
  readonly publicKey: unknown
  readonly template: TaskTemplate
}

export type Agents = {
  get(name: string): Promise<Agent | null>
  list(): Promise<readonly Agent[]>
  add(agent: NewAgent, by: Actor): Promise<AgentResult>
  /** Replaces the key. The tasks opened with the old one end: it may have been in other hands. */
  rotate(name: string, publicKey: unknown, by: Actor): Promise<AgentResult>
  /** For good: the name stays taken. Its calls in flight are aborted, its tasks end. */
  revoke(name: string, reason: string, by: Actor): Promise<AgentResult>
}

/** Agents as registered. `isPerson` keeps the names of operators free: a task belongs to a name. */
export function createAgents(parts: {
  readonly store: AgentStore
  readonly tasks: Pick<Tasks, 'list' | 'close'>
  readonly revocations: Pick<LiveRevocations, 'revoke'>
  readonly isPerson: (name: string) => Promise<boolean>
  readonly acts: Acts
  readonly clock: Clock
}): Agents {
  const { store, acts } = parts

  const endTasks = async (agent: string, because: string, by: Actor): Promise<void> => {
    for (const task of await parts.tasks.list({ agent, state: 'open' }))
      await parts.tasks.close(task.id, because, by)
  }

  return {
    get: (name) => store.get(name),
    list: () => store.list(),
    async add({ name, owner, publicKey, template }, by) {
      if (await parts.isPerson(name)) return failed('taken', `\`${name}\` is the name of an operator`)
      const key = publicKeyOf(publicKey)
      if (key === null) return badKey
      const agent: Agent = {
        name,
        owner,
        publicKey: key,
        state: 'active',
        createdAt: parts.clock.now(),
        template,
      }
      const detail = { owner, key: thumbprint(key), tools: template.tools, environment: template.environment }
      const added = await store.add(agent, acts({ act: 'agent-added', subject: name, detail }, by))
      return added.ok ? { ok: true, agent } : failed('exists', `there is an agent \`${name}\` already`)
    },
    async rotate(name, publicKey, by) {
      const key: PublicKey | null = publicKeyOf(publicKey)
      if (key === null) return badKey
      const before = await store.get(name)
      if (before === null) return failed('unknown', `no agent \`${name}\``)
      if (before.state === 'revoked')
        return failed('revoked', `\`${name}\` is revoked; add an agent of another name`)
      const agent: Agent = { ...before, publicKey: key }
      const detail = { from: thumbprint(before.publicKey), to: thumbprint(key) }
      await store.update(agent, acts({ act: 'agent-key-rotated', subject: name, detail }, by))
      await endTasks(name, 'key-rotated', by)
      return { ok: true, agent }
    },
    async revoke(name, reason, by) {
      const before = await store.get(name)
      if (before === null) return failed('unknown', `no agent \`${name}\``)
      // First what stops calls; the rest is tidying.
      await parts.revocations.revoke({ key: `agent:${name}`, reason }, by)
      const agent: Agent = { ...before, state: 'revoked' }
      await store.update(agent, acts({ act: 'agent-revoked', subject: name, detail: { reason } }, by))
      await endTasks(name, 'agent-revoked', by)
      return { ok: true, agent }
    },
  }
}

const failed = (problem: AgentProblem, detail: string): AgentResult => ({ ok: false, problem, detail })
const badKey = failed('bad-key', 'expected a public Ed25519 or P-256 key as a JWK')
