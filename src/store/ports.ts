import type { Agent } from '../identity/caller.ts'
import type { Answer, Ask, Approvals } from '../approval/ask.ts'
import type { Budget, Task, TaskSnapshot } from '../task/task.ts'
import type { Catalogue, Effect, Review, Tool, ToolId } from '../registry/tool.ts'
import type { News } from './news.ts'
import type { Labels } from '../flow/labels.ts'
import type { Outcome, Payload } from '../audit/entry.ts'
import type { Revocation } from '../revocation/revocations.ts'
import type { JsonObject } from '../lib/json.ts'

/**
 * What the broker keeps, by aggregate. Verbs are the domain's; each verb that changes something is one transaction
 * that carries its own entry, so that nothing changes without a record. A promise resolves only when the change is
 * durable (synced). An engine MUST reject with `StoreUnavailable` when it cannot say that, and the caller fails closed.
 */
export type Store = {
  readonly tasks: TaskStore
  readonly agents: AgentStore
  readonly registry: RegistryStore
  readonly approvals: ApprovalStore
  readonly calls: CallStore
  readonly log: LogStore
  readonly revocations: RevocationStore
  readonly secrets: SecretStore
  readonly policies: PolicyStore
  readonly flow: FlowStore
  readonly settings: SettingStore
  heads(): Promise<Heads>
  /** How much is open at `now`, of every node. For those who watch; nothing is decided on it. */
  counts(now: number): Promise<Counts>
  /**
   * Told what other nodes on the same data have changed; never of this node's own changes. Returns how to stop. A store
   * for one broker never tells.
   */
  watch(told: (news: News) => void): () => void
  close(): Promise<void>
}

/** `oldestAsk`: when the oldest unanswered question was asked, in milliseconds. `unsettled`: intents without an outcome. */
export type Counts = {
  readonly tasks: number
  readonly asks: number
  readonly oldestAsk: number | null
  readonly leases: number
  readonly unsettled: number
}

/**
 * How far what every node keeps in memory has moved: counters that only grow. `intend` compares them, so that no call
 * is made on a registry, a policy set or revocations that another node has changed meanwhile.
 */
export type Heads = { readonly registry: number; readonly policies: number; readonly revocations: number }

/**
 * Canonical bytes of an entry (RFC 8785) as `audit/entry.ts` made them. The store gives it the next index, which no verb
 * tells: it is known when the change is durable, and people cite call ids.
 */
export type EntryBytes = Uint8Array

export type IntendRequest = {
  readonly call: string
  readonly chain: string
  readonly task: string
  readonly agent: string
  readonly tool: ToolId
  readonly effects: readonly Effect[]
  /** Whom it is done for: what their agents do is remembered together. */
  readonly person: string
  /** What is remembered of the call (`flow/fact.ts`), or null: a later leg is the same call. */
  readonly fact: string | null
  /** What a tainted task is about to write where others read (`flow/spill.ts`), or null. */
  readonly spilled: string | null
  /** Keyed digest of tool and arguments; equal calls have equal fingerprints (I2). */
  readonly fingerprint: string
  readonly broker: string
  readonly at: number
  readonly entry: EntryBytes
  readonly payload: Payload
  /** Revisions that the decision read; null for those it did not read. */
  readonly expect: {
    readonly labels: number | null
    readonly history: number | null
    readonly memory: number | null
    /** The person's calls so far, as `TaskSnapshot.flow.person` has them. */
    readonly person: number | null
    readonly heads: Heads
  }
  /** The ask to consume, or null. */
  readonly ask: string | null
  /** Later legs of a chain take no budget and consume no approval. */
  readonly leg: boolean
}

export type IntendResult =
  | { readonly kind: 'intended' }
  /** What the decision read has moved: decide again. */
  | { readonly kind: 'moved' }
  | { readonly kind: 'budget-spent'; readonly what: string }
  | { readonly kind: 'task-closed' }
  /** The ask was consumed, refused or has expired meanwhile. */
  | { readonly kind: 'approval-spent' }
  /** This call id has an intent already. */
  | { readonly kind: 'duplicate' }

export type SettleRequest = {
  readonly call: string
  readonly task: string
  readonly outcome: Outcome
  readonly at: number
  readonly entry: EntryBytes
  readonly payload: Payload | null
  /** Labels to join into the task (and its ancestors) in the same transaction. */
  readonly raise: Labels
  /** What the task has met in the result (`flow/learn.ts`), and ids of what it made while tainted. */
  readonly taught: string | null
  readonly spilled: string | null
  readonly lease: string | null
  /**
   * What stands against a late answer as this node knows it; null when it makes no difference any more. With it,
   * nothing is written when a revocation was added or the task ended meanwhile, on whatever node: `moved`.
   */
  readonly expect: { readonly revocations: number } | null
}

export type SettleResult =
  | { readonly settled: true }
  | { readonly problem: 'already-settled' | 'no-intent' }
  /** Nothing was written: `ended` is the task of the line that is closed, or null. */
  | { readonly problem: 'moved'; readonly heads: Heads; readonly ended: string | null }

export type CallStore = {
  /**
   * The commit point. One transaction: compares `expect` (labels and history revisions of the task, epoch of
   * revocations), the task and its ancestors open and unexpired at `at`, takes the budget of the task and each
   * ancestor, consumes the ask (`approved` and unexpired only), records the intent as in flight, appends the entry,
   * keeps the payload. All or nothing.
   */
  intend(request: IntendRequest): Promise<IntendResult>
  /** One transaction: outcome entry, payload, raised labels, closed lease, in-flight mark removed. Exactly one per intent: a second rejects with `already-settled`. */
  settle(request: SettleRequest): Promise<SettleResult>
  /** Intents without outcome whose `broker` is not in `living`. For `recover` only. */
  unsettled(living: readonly string[]): Promise<readonly UnsettledCall[]>
  /** Reserved text for a call that a person may still answer: what `countersign_resume` runs again. */
  hold(held: HeldCall): Promise<void>
  held(call: string): Promise<HeldCall | null>
}

export type UnsettledCall = {
  readonly call: string
  readonly task: string
  readonly tool: ToolId
  readonly effects: readonly Effect[]
  readonly broker: string
  readonly at: number
}

/** A call as it arrived, kept while its ask is open. Readable by its own task's agent only. */
export type HeldCall = {
  readonly call: string
  readonly task: string
  readonly agent: string
  readonly wanted: { readonly server: string; readonly operation: string; readonly name: string }
  readonly arguments: JsonObject
  readonly ask: string
  readonly expiresAt: number
}

export type TaskStore = {
  /**
   * Opens with the entry of the act. Starting labels: the join of the agent's open tasks and those closed since
   * `labelsSince`, and of the parent (I6). `labelsSince` null: a person attests a fresh context; only a parent's count.
   * Words of a task that an agent opened are vouched for only when its labels are trusted.
   */
  open(task: Task, labelsSince: number | null, entry: EntryBytes): Promise<void>
  get(id: string): Promise<Task | null>
  /** Null when there is no such task. Read-after-write: sees every change whose promise has resolved. */
  snapshot(id: string, now: number): Promise<TaskSnapshot | null>
  list(filter: { readonly agent?: string; readonly state?: Task['state'] }): Promise<readonly Task[]>
  /** Closes the task and its descendants; returns the ids that were open. */
  close(id: string, because: string, at: number, entry: EntryBytes): Promise<readonly string[]>
  /** Only ever narrows: the caller has checked it with `task/narrow.ts`; the store refuses a widening end or budget again. */
  narrow(
    id: string,
    to: { readonly tools: readonly string[]; readonly budget: Budget; readonly expiresAt: number },
    entry: EntryBytes,
  ): Promise<void>
  /** Tasks closed at `since` or later, newest first, at most 1,000: how a node hears of tasks that another one closed. */
  closedSince(since: number): Promise<readonly string[]>
  /** Open tasks that are past their end or idle too long at `now`. */
  due(now: number): Promise<readonly Task[]>
  /** A named person's act; the only way down (I6). */
  lowerLabels(id: string, to: Labels, entry: EntryBytes): Promise<void>
}

export type AgentStore = {
  add(agent: Agent, entry: EntryBytes): Promise<{ readonly ok: boolean }>
  get(name: string): Promise<Agent | null>
  list(): Promise<readonly Agent[]>
  update(agent: Agent, entry: EntryBytes): Promise<void>
  /**
   * True the first time that `agent` uses the proof `id`, on whatever node and across restarts; false later, and when it
   * has too many unexpired ones to tell. `until` is when the proof itself expires, in milliseconds.
   */
  useProof(proof: {
    readonly agent: string
    readonly id: string
    readonly until: number
    readonly now: number
  }): Promise<boolean>
}

/** A server as registered: how to reach it, never its secrets. */
export type ServerRecord = {
  readonly name: string
  /** Validated by `config/schema.ts` (`ServerConfig`). */
  readonly config: JsonObject
  readonly source: 'config' | 'command' | 'adopted'
  readonly environment: string
  readonly state: 'active' | 'removed'
  /** The last catalogue's view parts: concrete resources, capabilities, serverInfo, era, protocol version. */
  readonly view: Omit<Catalogue, 'definitions' | 'server'> | null
}

/** A row and what it takes the place of: two nodes that change the same one must not undo each other's change. */
export type Change<Row> = { readonly to: Row; readonly was: Row | null }

export type RegistryStore = {
  /** Moves with every change; lists are cached by it. */
  version(): Promise<number>
  servers(): Promise<readonly ServerRecord[]>
  tools(): Promise<readonly Tool[]>
  /** `was` is the record that the change was made from, null for a new one. Rejects with `StoreMoved` when another stands there. */
  putServer(change: Change<ServerRecord>, entry: EntryBytes): Promise<void>
  /** Writes what changed, with the act's entry, in one transaction. Rejects with `StoreMoved` like `putServer`. */
  putTools(changes: readonly Change<Tool>[], entry: EntryBytes): Promise<void>
  putView(server: string, view: ServerRecord['view']): Promise<void>
  review(
    tool: ToolId,
    review: Review,
    entry: EntryBytes,
  ): Promise<
    { readonly ok: true } | { readonly ok: false; readonly problem: 'unknown-tool' | 'digest-moved' }
  >
}

export type ApprovalStore = Approvals & {
  list(filter: { readonly state?: Ask['state']; readonly limit?: number }): Promise<readonly Ask[]>
  /**
   * Adds an answer. The engine decides the new state in the same transaction: any `refuse` refuses; enough approvals
   * by distinct people at the asked proof class (and independence) approve. Answers to anything but a pending,
   * unexpired ask are refused.
   */
  answer(
    id: string,
    answer: Answer,
    entry: EntryBytes,
  ): Promise<
    | { readonly ok: true; readonly ask: Ask }
    | { readonly ok: false; readonly problem: 'unknown' | 'not-pending' | 'expired' | 'already-answered' }
  >
}

/**
 * Three kinds of short rows that are only ever added: what a task has met (`task:ID`), what the agents of a person have
 * done (`person:NAME`), what tainted tasks have written (`sinks`). Each scope is numbered from 0 without gaps, so that a
 * node that keeps them in memory fetches what is new and nothing else. Each heartbeat (`settings.beat`) throws away what
 * no decision looks at any more.
 */
export type FlowStore = {
  /** Rows from `from` on, of each scope at most 1,000, in order. Rows older than `notBefore` are left out. */
  since(scopes: readonly FlowScope[]): Promise<readonly FlowRow[]>
  /** The number of the first of the last `most` rows. */
  tailOf(scope: string, most: number): Promise<number>
}

export type FlowScope = { readonly scope: string; readonly from: number; readonly notBefore: number }
export type FlowRow = {
  readonly scope: string
  readonly seq: number
  readonly call: string
  readonly at: number
  readonly body: string
}

export type StoredEntry = { readonly index: number; readonly leaf: Uint8Array; readonly bytes: Uint8Array }

export type LogStore = {
  append(entry: EntryBytes, payload: Payload | null): Promise<void>
  size(): Promise<number>
  /** Entries `[from, from + count)` that exist; at most 1,024 at a time. */
  read(from: number, count: number): Promise<readonly StoredEntry[]>
  /** Everything about one call, in order. */
  byCall(call: string): Promise<readonly StoredEntry[]>
  /** Newest first. */
  recent(filter: {
    readonly limit: number
    readonly before?: number
    readonly task?: string
    readonly agent?: string
    readonly kind?: string
  }): Promise<readonly StoredEntry[]>
  payload(commitment: string): Promise<Payload | null>
  /** Deletes salt and bytes; the commitment stays in the log. Returns how many were erased. */
  erase(
    what: { readonly commitment: string } | { readonly olderThan: number },
    entry: EntryBytes,
  ): Promise<number>
  /** The newest signed checkpoint text, or null. Never smaller than one before. */
  checkpoint(): Promise<{ readonly size: number; readonly text: string } | null>
  putCheckpoint(checkpoint: {
    readonly size: number
    readonly text: string
  }): Promise<{ readonly ok: boolean }>
}

export type RevocationStore = {
  /** Adds a revocation with its act; returns the new epoch. */
  add(revocation: Revocation, entry: EntryBytes): Promise<number>
  /** Lifts one (a person's act). */
  lift(key: string, entry: EntryBytes): Promise<number>
  all(): Promise<{ readonly epoch: number; readonly revocations: readonly Revocation[] }>
}

/** Sealed bytes only: the store never sees a secret. */
export type SecretStore = {
  put(
    secret: { readonly name: string; readonly sealed: Uint8Array; readonly at: number },
    entry: EntryBytes,
  ): Promise<void>
  get(
    name: string,
  ): Promise<{ readonly name: string; readonly sealed: Uint8Array; readonly at: number } | null>
  list(): Promise<readonly { readonly name: string; readonly at: number }[]>
  remove(name: string, entry: EntryBytes): Promise<boolean>
  openLease(lease: {
    readonly id: string
    readonly task: string
    readonly call: string
    readonly server: string
    readonly secrets: readonly string[]
    readonly at: number
    readonly until: number
  }): Promise<void>
  closeLease(id: string, at: number): Promise<void>
  /** Of one task, or of tasks that are closed: nobody reads all of ten thousand to end one. All when left out. */
  openLeases(of?: { readonly task: string } | { readonly closed: true }): Promise<
    readonly {
      readonly id: string
      readonly task: string
      readonly server: string
      readonly secrets: readonly string[]
      /** The incarnation that it was lent by; null when its call has no intent. */
      readonly broker: string | null
    }[]
  >
}

/** The policy set that is live, for every node: files, and the digest of the configuration that it was put over. */
export type PolicySet = {
  readonly version: string
  readonly over: string
  readonly files: readonly { readonly name: string; readonly text: string }[]
}

export type PolicyStore = {
  /** Null before the first set was put. */
  live(): Promise<{ readonly head: number; readonly set: PolicySet } | null>
  /** Makes a set live, with its act; returns the new head. */
  put(set: PolicySet, entry: EntryBytes): Promise<number>
}

/** Small named values: operators' passphrase verifiers, digests of keys, the incarnations that live. */
export type SettingStore = {
  get(name: string): Promise<JsonObject | null>
  put(name: string, value: JsonObject, entry: EntryBytes | null): Promise<void>
  /** This incarnation's heartbeat; `living` gives those seen within `withinMs`. */
  beat(broker: string, at: number): Promise<void>
  living(now: number, withinMs: number): Promise<readonly string[]>
  /** Every incarnation that is remembered, with its last heartbeat by its own clock. */
  beats(): Promise<readonly { readonly broker: string; readonly at: number }[]>
}

/** The store cannot say that a change is durable. Nothing may go on as if it were. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable'
}
