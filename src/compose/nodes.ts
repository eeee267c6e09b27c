import type { ApprovalService } from '../approval/approvals.ts'
import type { CatchUp } from '../call/ports.ts'
import type { LiveRegistry } from '../registry/live.ts'
import type { LiveRevocations } from '../revocation/live.ts'
import type { LiveSet } from './policies.ts'
import type { News } from '../store/news.ts'
import type { Store } from '../store/ports.ts'
import type { Tasks } from '../task/tasks.ts'

/**
 * Several nodes on one store. What each keeps in memory is compared with the store's heads at every call (`catchUp`), so
 * a node never decides on what another has changed; news make it quick, and a poll stands behind the news, for what no
 * call would show: tasks that ended elsewhere while a call of theirs is in flight here.
 */
export type NodeParts = {
  readonly store: Pick<Store, 'heads' | 'tasks' | 'watch'>
  readonly registry: Pick<LiveRegistry, 'head' | 'refresh'>
  readonly policySet: Pick<LiveSet, 'head' | 'catchUp'>
  readonly revocations: Pick<LiveRevocations, 'epoch' | 'refresh'>
  readonly tasks: Pick<Tasks, 'endedElsewhere'>
  readonly approvals: Pick<ApprovalService, 'heard'>
  readonly now: () => number
  readonly onFault: (fault: unknown) => void
}

/** Revocations first: they only take away. Then the registry, which policies name tools of. */
export const catchUpOf =
  ({ registry, policySet, revocations }: Omit<NodeParts, 'store' | 'tasks' | 'approvals'>): CatchUp =>
  async (heads) => {
    if (revocations.epoch() < heads.revocations) await revocations.refresh()
    if (registry.head() < heads.registry) await registry.refresh()
    if (policySet.head() < heads.policies) await policySet.catchUp(heads.policies)
  }

export type Nodes = {
  /** Looks at once, whatever was told. */
  poll(): Promise<void>
  stop(): void
}

/** Tasks are looked for so far back, by the clocks of other nodes. */
const lookBackMs = 60_000

export function followNodes(parts: NodeParts): Nodes {
  const catchUp = catchUpOf(parts)
  const known = new Set<string>()

  const heads = async (): Promise<void> => catchUp(await parts.store.heads())
  const tasks = async (): Promise<void> => {
    const closed = await parts.store.tasks.closedSince(parts.now() - lookBackMs)
    const fresh = closed.filter((id) => !known.has(id))
    known.clear()
    for (const id of closed) known.add(id)
    if (fresh.length > 0) parts.tasks.endedElsewhere(fresh)
  }
  const poll = async (): Promise<void> => {
    await heads()
    await tasks()
  }
  const hear = async (news: News): Promise<void> => {
    switch (news.kind) {
      case 'heads':
        return heads()
      case 'ask':
      case 'answer':
        return parts.approvals.heard(news.kind, news.id)
      case 'tasks-closed':
        return news.ids.length === 0 ? tasks() : parts.tasks.endedElsewhere(news.ids)
      case 'missed':
        return poll()
    }
  }
  const stop = parts.store.watch((news) => void hear(news).catch(parts.onFault))
  return { poll, stop }
}
