import type { Labels } from '../flow/labels.ts'
import type { Heads } from '../store/ports.ts'
import type { Effect } from '../registry/tool.ts'

/** What a task may use up. A missing member is no limit of its own (a parent's limit still holds). */
export type Budget = {
  readonly calls?: number
  readonly effects?: { readonly [E in Effect]?: number }
}

/** What a task has used, counted at the commit point (`intend`) only. */
export type Usage = {
  readonly calls: number
  readonly effects: { readonly [E in Effect]?: number }
}

export const noUsage: Usage = { calls: 0, effects: {} }

/** The broker-issued unit of authority. */
export type Task = {
  /** `t_` + 22 base62 characters. */
  readonly id: string
  readonly parent: string | null
  readonly agent: string
  /** The person it is done for. */
  readonly owner: string
  readonly purpose: Purpose
  readonly environment: string
  /** Patterns over tool ids: exact, `server/*` or `*`. */
  readonly tools: readonly string[]
  readonly budget: Budget
  readonly openedAt: number
  readonly expiresAt: number
  /** Milliseconds without a call after which the task is closed; 0 means no limit. */
  readonly idleMs: number
  readonly state: 'open' | 'closed'
  readonly closedAt: number | null
  readonly closedBecause: string | null
  /** What the task was bound to when opened; a change ends it (`context-changed`). Values are digests or versions. */
  readonly context: { readonly [name: string]: string }
}

export type Purpose = {
  /** A registered class that policy can judge. */
  readonly class: string
  /** The person's own words; data for people, never an authority. */
  readonly words: string
  /** A person said them, or an agent that had read nothing untrusted: targets that they name are the person's. */
  readonly vouched?: boolean
}

/** What `bind` reads: the task with everything of it that a decision may look at, at one moment. */
export type TaskSnapshot = {
  readonly task: Task
  /** The task's ancestors, nearest first: their budgets and ends hold too. */
  readonly ancestors: readonly Task[]
  readonly labels: Labels
  readonly usage: Usage
  /** Usage of each ancestor, same order as `ancestors`. */
  readonly ancestorUsage: readonly Usage[]
  readonly history: History
  readonly lastCallAt: number
  /**
   * Move when labels move, when counts (history and usage, its ancestors' too) do, and when what the agent remembers of
   * unknown outcomes does. `intend` compares those that the decision read.
   */
  readonly labelsRevision: number
  readonly historyRevision: number
  readonly memoryRevision: number
  /** How many rows there are of what the task, each above it, its person and tainted writers have left (`FlowStore`). */
  readonly flow: FlowHeads
  /** How far registry, policies and revocations have moved, on whatever node: what is kept in memory must have come as far. */
  readonly heads: Heads
}

export type FlowHeads = {
  readonly task: number
  /** In the order of `ancestors`. */
  readonly above: readonly number[]
  readonly person: number
  readonly sinks: number
}

/** What the task did so far, in the form that policies read. */
export type History = {
  /** Tool ids called so far, sorted, distinct. */
  readonly tools: readonly string[]
  /** Calls whose outcome was refused by policy or a person. */
  readonly refused: number
  /** Calls in flight now (intent without outcome). */
  readonly inFlight: number
  /** Fingerprints of calls whose outcome is unknown (I2): the same write sent again asks. */
  readonly unknown: readonly string[]
}
