import { brokerActor } from '../identity/actor.ts'
import { newId } from '../lib/id.ts'
import { recover, type OwedLedger } from '../call/recover.ts'
import { rfc3339 } from '../lib/clock.ts'
import { whoOf } from '../call/record.ts'
import type { Core, Ground } from './core.ts'
import { createLiving, type Living } from './living.ts'
import type { Nodes } from './nodes.ts'
import type { Shadowing } from './shadowed.ts'
import type { CountedRefusals, Flood } from '../audit/flood.ts'
import type { RefusedEntry } from '../audit/entry.ts'

const everyMs = 1000
/** How often payloads are looked at for their age. */
const retentionMs = 3_600_000

export type RecoverParts = {
  readonly ground: Ground
  readonly core: Core
  readonly owed: OwedLedger
  readonly flood: Flood
}
export type UpkeepParts = RecoverParts & {
  readonly nodes: Pick<Nodes, 'poll'>
  /** The set that is judged beside the live one, if any. */
  readonly shadow?: Pick<Shadowing, 'tick'> | null
  /** Told which calls of dead incarnations were settled as unknown, also when there were none. */
  readonly onRecovered?: (calls: readonly string[]) => void
}

/**
 * What must happen without anyone asking: tasks end on time, owed entries are written, counted refusals become entries,
 * the heartbeat goes on, intents of dead incarnations are settled. One run at a time; a failure is told and tried again,
 * and keeps none of the other chores from being done.
 */
export function startUpkeep(parts: UpkeepParts): { stop(): Promise<void> } {
  const { ground } = parts
  const writeCounted = createCounted(parts)
  const keepRetention = createRetention()
  const living = livingOn(ground)
  let under: Promise<void> = Promise.resolve()
  let busy = false
  let ended = false
  const timer = setInterval(() => {
    if (busy) return
    busy = true
    const chores = { writeCounted, keepRetention, living, hasEnded: () => ended }
    under = once(parts, chores).finally(() => (busy = false))
  }, everyMs)
  timer.unref()
  return {
    async stop() {
      clearInterval(timer)
      ended = true
      await under
      await writeCounted(Infinity).catch(ground.onFault)
      await parts.shadow?.tick(Infinity).catch(ground.onFault)
      await parts.owed.pay(recoverPorts(parts))
    },
  }
}

type Chores = {
  readonly writeCounted: (now: number) => Promise<void>
  readonly keepRetention: ReturnType<typeof createRetention>
  readonly living: Living
  readonly hasEnded: () => boolean
}

async function once(
  parts: UpkeepParts,
  { writeCounted, keepRetention, living, hasEnded }: Chores,
): Promise<void> {
  const { ground, core } = parts
  const now = ground.clock.now()
  const chores: readonly (() => Promise<unknown>)[] = [
    () => ground.store.settings.beat(ground.broker, now),
    () => parts.nodes.poll(),
    () => core.tasks.sweep(),
    () => parts.owed.pay(recoverPorts(parts)),
    () => writeCounted(now),
    async () => parts.shadow?.tick(now),
    () => takeOver(parts, living).then(parts.onRecovered),
    () => endLeases(parts),
    () => keepRetention(parts, now),
  ]
  // Whoever stops waits for the one that is under way: each of them may wait long for a store that does not answer.
  for (const chore of chores) if (!hasEnded()) await chore().catch(ground.onFault)
}

/** Old payloads are erased with an entry of their own; commitments stay, so every proof does. */
export function createRetention(): (parts: Pick<UpkeepParts, 'ground'>, now: number) => Promise<void> {
  let next = 0
  return async ({ ground }, now) => {
    if (now < next) return
    next = now + retentionMs
    const olderThan = now - ground.config.audit.retentionDays * 86_400_000
    const detail = { olderThan: rfc3339(Math.max(0, olderThan)) }
    await ground.store.log.erase(
      { olderThan },
      ground.acts({ act: 'payloads-erased', subject: 'log', detail }, brokerActor),
    )
  }
}

/** I5: a call that was lent something while its task was ending must not leave it lent. */
async function endLeases({ ground, core }: UpkeepParts): Promise<void> {
  const left = await ground.store.secrets.openLeases({ closed: true })
  for (const id of new Set(left.map(({ task }) => task))) await core.lenders.closeAll(id)
}

/** Settles what incarnations left that no longer live, and ends what they lent. */
async function takeOver(parts: RecoverParts, living: Living): Promise<readonly string[]> {
  const alive = await living.look()
  const settled = await recover(recoverPorts(parts), alive)
  await parts.core.lenders.reclaim(alive)
  return settled
}

/** Runs on every start, crash or not. Beside other nodes it takes over nothing yet: nobody has been silent for long enough. */
export const recoverAtStart = (parts: RecoverParts): Promise<readonly string[]> =>
  takeOver(parts, livingOn(parts.ground))

const livingOn = ({ store, clock, broker, alone }: Ground): Living =>
  createLiving({ settings: store.settings, clock, broker, alone })

const recoverPorts = ({ ground }: RecoverParts) => ({
  calls: ground.store.calls,
  log: ground.store.log,
  clock: ground.clock,
  recorder: ground.recorder,
  broker: ground.broker,
})

/** What was counted stays here until it is written: a store that fails loses none of the sums. */
function createCounted({ ground, flood }: UpkeepParts): (now: number) => Promise<void> {
  const unwritten: CountedRefusals[] = []
  return async (now) => {
    // Bounded by the groups that the flood keeps: the next are taken when these are written.
    if (unwritten.length === 0) unwritten.push(...flood.drain(now))
    for (let group = unwritten[0]; group !== undefined; group = unwritten[0]) {
      await ground.store.log.append(ground.recorder.encode(entryOf(group, ground)), null)
      unwritten.shift()
    }
  }
}

/** One entry for many refusals that were alike; its call id names no single call. */
const entryOf = (group: CountedRefusals, ground: Ground): RefusedEntry => ({
  v: 1,
  kind: 'refused',
  at: rfc3339(group.until),
  broker: ground.broker,
  call: newId('c'),
  stage: 'any',
  code: group.code,
  reason: `${group.count} refusals like this between ${rfc3339(group.since)} and ${rfc3339(group.until)}, counted and written as one`,
  who: group.caller === null ? null : whoOf(group.caller),
  task: group.caller?.task ?? null,
  what: null,
  wanted: group.tool ?? group.door,
  arguments: null,
  policy: null,
  policies: [],
  ask: null,
  count: group.count,
})
