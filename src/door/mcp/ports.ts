import type { Arrival, Settled, Wanted } from '../../call/states.ts'
import type { Ask } from '../../approval/ask.ts'
import type { Caller, Credential } from '../../identity/caller.ts'
import type { Clock } from '../../lib/clock.ts'
import type { HeldCall } from '../../store/ports.ts'
import type { JsonObject } from '../../lib/json.ts'
import type { Operations } from '../../observe/operation.ts'
import type { Refused } from '../../call/refusal.ts'
import type { InputKind, Updates } from '../../server/answer.ts'
import type { Task } from '../../task/task.ts'
import type { Tool, ToolKind } from '../../registry/tool.ts'

/** All that the agents' door touches. It reaches a tool through `run` and through nothing else. */
export type DoorPorts = {
  /** The control path. */
  readonly run: (arrival: Arrival) => Promise<Settled | Refused>
  /** Who asks, for what is no call: lists, sessions, the broker's own tools. Compares revocations. */
  readonly authenticate: (credential: Credential) => Promise<Caller | Refused>
  readonly registry: Views
  readonly tasks: { get(id: string): Promise<Task | null> }
  readonly approvals: {
    get(id: string): Promise<Ask | null>
    /** Pending asks of one task, oldest first, bounded. */
    waiting(task: string): Promise<readonly Ask[]>
    onAnswer(told: (ask: string) => void): () => void
  }
  readonly calls: { held(call: string): Promise<HeldCall | null> }
  /** What comes of calls that subscribed to resources. */
  readonly updates: Updates
  /** Told of each request of a known caller for which there was no place, so that it is counted as refusals are. */
  readonly turnedAway: (caller: Caller, why: 'own' | 'all') => void
  /** Watches requests from outside. Serving is the same without. */
  readonly around?: Operations['around']
  /** Told of each session that ended, and how long it lasted in milliseconds. */
  readonly sessionEnded?: (version: string, ms: number) => void
  readonly settings: DoorSettings
  /** 32 bytes that every node shares and that survive a restart. */
  readonly sealKey: Uint8Array
  readonly clock: Clock
}

/** What the registry shows: views, not decisions. Synchronous: read from memory. */
export type Views = {
  /** Reviewed tools that the patterns cover, in a stable order. `patterns` are those of a task. */
  list(filter: {
    readonly server?: string
    readonly patterns: readonly string[]
    readonly kinds: readonly ToolKind[]
  }): readonly Tool[]
  find(wanted: Wanted): Tool | null
  /** Concrete resources as the server last listed them. Not pinned. */
  resources(server: string): readonly JsonObject[]
  /** The reviewed text, or null. */
  instructions(server: string): string | null
  servers(): readonly string[]
  /** Moves with every change. */
  version(): number
  onChange(told: () => void): () => void
}

/** Milliseconds and counts. */
export type DoorSettings = {
  /** Said in `serverInfo`. */
  readonly version: string
  readonly holdMs: number
  readonly legs: number
  readonly pollMs: number
  readonly heldAtOnce: number
  /** Requests under way: of all agents together, of one, and what an agent that has few gets even when all are taken. */
  readonly atOnce: number
  readonly atOncePerAgent: number
  readonly atOnceLeast: number
  /** How often a server may ask for more in one chain, and how long a chain may rest in between. */
  readonly rounds: number
  readonly inputMs: number
  /** What servers may ask for. Sampling and roots let a server drive a model or look around. */
  readonly inputs: readonly InputKind[]
  readonly pageSize: number
  readonly listTtlMs: number
  readonly sessionsPerAgent: number
  readonly sessions: number
  readonly sessionIdleMs: number
  readonly streams: number
  readonly streamsPerAgent: number
  /** How often the identity behind an open stream is looked at again, and a held call says that it lives. */
  readonly recheckMs: number
}

export const doorSettings: DoorSettings = {
  version: '0.1.0',
  holdMs: 45_000,
  legs: 4,
  pollMs: 5_000,
  heldAtOnce: 512,
  atOnce: 512,
  atOncePerAgent: 64,
  atOnceLeast: 4,
  rounds: 8,
  inputMs: 10 * 60_000,
  inputs: ['form'],
  pageSize: 1_000,
  listTtlMs: 5_000,
  sessionsPerAgent: 32,
  sessions: 4_096,
  sessionIdleMs: 60 * 60_000,
  streams: 1_024,
  streamsPerAgent: 16,
  recheckMs: 10_000,
}
