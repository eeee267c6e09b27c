import type { Effect } from '../registry/tool.ts'
import { rank, type Labels } from './labels.ts'
import type { Origin } from './trace.ts'

/** What a call can do harm by, before anything else is known. Points, so that a sum over a task means something. */
const byEffect: { readonly [E in Effect]: number } = {
  read: 1,
  write: 4,
  egress: 8,
  delete: 10,
  execute: 12,
  spend: 12,
}

export type Risky = {
  readonly effects: readonly Effect[]
  /** What the task has read. */
  readonly labels: Pick<Labels, 'confidentiality' | 'integrity'>
  readonly worst: Origin | null
  /** Of what the tool gives back: reading secrets is not reading the weather. */
  readonly reads: Labels['confidentiality']
  readonly isFirstUse: boolean
  readonly isFirstContact: boolean
}

/**
 * Effect × label × novelty. Calls that change nothing count by what they read; others double once the task has read
 * something untrusted, grow with how confidential it was, and grow with what is new about them. Pure.
 */
export function riskOf({ effects, labels, worst, reads, isFirstUse, isFirstContact }: Risky): number {
  const changes = effects.some((effect) => effect !== 'read')
  const base = Math.max(0, ...effects.map((effect) => byEffect[effect]))
  if (!changes) return base + rank(reads) * 2
  const tainted = labels.integrity === 'untrusted' ? 2 : 1
  const carried = effects.includes('egress') ? 1 + rank(labels.confidentiality) / 2 : 1
  const aimed = worst === 'untrusted' ? 2 : 1
  const novelty = (isFirstUse ? 2 : 0) + (isFirstContact ? 4 : 0)
  return Math.round(base * tainted * carried * aimed + novelty)
}
