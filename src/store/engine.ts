import type { Clock } from '../lib/clock.ts'
import type { ChangeInput, ChangeName, ChangeResult } from './changes.ts'
import type { Store } from './ports.ts'
import type { Verb } from './query.ts'
import * as agents from './verbs/agents.ts'
import * as approvals from './verbs/approvals.ts'
import * as calls from './verbs/calls.ts'
import * as counts from './verbs/counts.ts'
import * as flow from './verbs/flow.ts'
import * as heads from './verbs/heads.ts'
import * as log from './verbs/log.ts'
import * as policies from './verbs/policies.ts'
import * as registry from './verbs/registry.ts'
import * as revocations from './verbs/revocations.ts'
import * as secrets from './verbs/secrets.ts'
import * as settings from './verbs/settings.ts'
import * as tasks from './verbs/tasks.ts'

/** All that an engine has to provide; `storeOn` makes a `Store` of it. The rules of a driver are in `query.ts`. */
export type Engine = {
  /** Runs a changing verb. MUST resolve only when the change is durable, else reject with `StoreUnavailable`. */
  readonly change: <Name extends ChangeName>(
    name: Name,
    input: ChangeInput<Name>,
  ) => Promise<ChangeResult<Name>>
  /** Runs a verb that only reads, on one snapshot that shows every change whose promise has resolved. */
  readonly view: <Result>(verb: Verb<Result>) => Promise<Result>
  /** See `Store.watch`. */
  readonly watch: Store['watch']
  readonly close: () => Promise<void>
}

/** A store that is only looked at. */
export type Viewing = Pick<Engine, 'view' | 'close'>

export type StoreRules = {
  /** Says what has expired in `approvals.get` and `approvals.list`; verbs that change bring their own time. */
  readonly clock: Clock
  /** How many asks of one agent may wait for an answer at once. */
  readonly pendingPerAgent: number
}

/** The domain's verbs over an engine. No logic: each line names a verb and hands it its input. */
export function storeOn(engine: Engine, rules: StoreRules): Store {
  const { change, view } = engine
  const { clock, pendingPerAgent } = rules
  return {
    ...authority(engine),
    approvals: {
      find: (digest, now) => view(approvals.find(digest, now)),
      ask: (ask) => change('approvals.ask', { ask, pendingPerAgent }),
      get: (id) => view(approvals.get(id, clock.now())),
      list: (filter) => view(approvals.list(filter, clock.now())),
      answer: (id, answer, entry) => change('approvals.answer', { id, answer, entry }),
    },
    calls: {
      intend: (request) => change('calls.intend', request),
      settle: (request) => change('calls.settle', request),
      unsettled: (living) => view(calls.unsettled(living)),
      hold: (held) => change('calls.hold', held),
      held: (call) => view(calls.held(call)),
    },
    log: {
      append: (entry, payload) => change('log.append', { entry, payload }),
      size: () => view(log.size()),
      read: (from, count) => view(log.read(from, count)),
      byCall: (call) => view(log.byCall(call)),
      recent: (filter) => view(log.recent(filter)),
      payload: (commitment) => view(log.payload(commitment)),
      erase: (what, entry) => change('log.erase', { what, entry }),
      checkpoint: () => view(log.checkpoint()),
      putCheckpoint: (checkpoint) => change('log.putCheckpoint', checkpoint),
    },
    flow: {
      since: (scopes) => view(flow.since(scopes)),
      tailOf: (scope, most) => view(flow.tailOf(scope, most)),
    },
    heads: () => view(heads.heads()),
    counts: (now) => view(counts.counts(now)),
    watch: engine.watch,
    close: engine.close,
  }
}

type Authority = 'tasks' | 'agents' | 'policies' | 'registry' | 'revocations' | 'secrets' | 'settings'

function authority({ change, view }: Engine): Pick<Store, Authority> {
  return {
    tasks: {
      open: (task, labelsSince, entry) => change('tasks.open', { task, labelsSince, entry }),
      get: (id) => view(tasks.get(id)),
      snapshot: (id) => view(tasks.snapshot(id)),
      list: (filter) => view(tasks.list(filter)),
      close: (id, because, at, entry) => change('tasks.close', { id, because, at, entry }),
      narrow: (id, to, entry) => change('tasks.narrow', { id, to, entry }),
      closedSince: (since) => view(tasks.closedSince(since)),
      due: (now) => view(tasks.due(now)),
      lowerLabels: (id, to, entry) => change('tasks.lowerLabels', { id, to, entry }),
    },
    agents: {
      add: (agent, entry) => change('agents.add', { agent, entry }),
      get: (name) => view(agents.get(name)),
      list: () => view(agents.list()),
      update: (agent, entry) => change('agents.update', { agent, entry }),
      useProof: (proof) => change('agents.useProof', proof),
    },
    registry: {
      version: () => view(registry.version()),
      servers: () => view(registry.servers()),
      tools: () => view(registry.tools()),
      putServer: (to, entry) => change('registry.putServer', { change: to, entry }),
      putTools: (to, entry) => change('registry.putTools', { changes: to, entry }),
      putView: (server, view) => change('registry.putView', { server, view }),
      review: (tool, review, entry) => change('registry.review', { tool, review, entry }),
    },
    revocations: {
      add: (revocation, entry) => change('revocations.add', { revocation, entry }),
      lift: (key, entry) => change('revocations.lift', { key, entry }),
      all: () => view(revocations.all()),
    },
    secrets: {
      put: (secret, entry) => change('secrets.put', { secret, entry }),
      get: (name) => view(secrets.get(name)),
      list: () => view(secrets.list()),
      remove: (name, entry) => change('secrets.remove', { name, entry }),
      openLease: (lease) => change('secrets.openLease', lease),
      closeLease: (id) => change('secrets.closeLease', { id }),
      openLeases: (of) => view(secrets.openLeases(of)),
    },
    policies: {
      live: () => view(policies.live()),
      put: (set, entry) => change('policies.put', { set, entry }),
    },
    settings: {
      get: (name) => view(settings.get(name)),
      put: (name, value, entry) => change('settings.put', { name, value, entry }),
      beat: (broker, at) => change('settings.beat', { broker, at }),
      beats: () => view(settings.beats()),
      living: (now, withinMs) => view(settings.living(now, withinMs)),
    },
  }
}
