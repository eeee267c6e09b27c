import type { Seen, ToolName } from './upstream.ts'
import type { Told } from './agent.ts'

/** What those around the broker know, whatever it says of itself: agents, a person, servers. Keys name calls. */
export type Truth = {
  /** Keys that agents sent, and under which task. */
  readonly sent: Map<string, { readonly task: string; readonly tool: ToolName }>
  /** What agents were told, in order. */
  readonly told: { readonly key: string; readonly told: Told }[]
  /** Keys of requests that were not answered yet, and how many of each. */
  readonly underway: Map<string, number>
  /** Tasks that were granted: the parent, and how many calls it may make, or null. */
  readonly tasks: Map<string, { readonly parent: string | null; readonly calls: number | null }>
  /** How often a person approved a key, or tried to: what became of an answer that broke off is not known. */
  readonly approved: Map<string, number>
}

export const noTruth = (): Truth => ({
  sent: new Map(),
  told: [],
  underway: new Map(),
  tasks: new Map(),
  approved: new Map(),
})

/** Makes a request of the call with this key, and notes what was told of it. */
export async function hear(truth: Truth, key: string, request: () => Promise<Told>): Promise<Told> {
  const { underway } = truth
  underway.set(key, (underway.get(key) ?? 0) + 1)
  const told = await request()
  const left = (underway.get(key) ?? 1) - 1
  if (left > 0) underway.set(key, left)
  else underway.delete(key)
  truth.told.push({ key, told })
  return told
}

/** What is known at this moment, whatever happens next. */
export const known = (truth: Truth): Truth => ({
  sent: new Map(truth.sent),
  told: [...truth.told],
  underway: new Map(truth.underway),
  tasks: new Map(truth.tasks),
  approved: new Map(truth.approved),
})

/** An intent as the log has it, with the key of its arguments. */
export type Intended = {
  readonly call: string
  readonly key: string
  readonly tool: string
  readonly task: string
  readonly outcome: string | null
}

export type Judged = {
  /** Requests that a server saw and that no intent stands for. */
  readonly unrecorded: number
  /** Intents without outcome. */
  readonly unsettled: number
  /** Calls beyond what a budget or the approvals of a person allowed, counted at the servers. */
  readonly doubleSpent: number
  /** What agents were told and is not so. */
  readonly dishonest: readonly string[]
}

/** Compares what happened outside with what the log says. Pure. */
export function judge(truth: Truth, seen: Seen, intents: readonly Intended[]): Judged {
  const byKey = Map.groupBy(intents, ({ key }) => key)
  const arrived = Object.entries(seen)
  return {
    unrecorded: sum(arrived, ([key, times]) => times - (byKey.get(key)?.length ?? 0)),
    unsettled: intents.filter(({ outcome }) => outcome === null).length,
    doubleSpent: beyondBudgets(truth, seen) + beyondApprovals(truth, seen),
    dishonest: [...dishonest(truth, intents), ...sentAfterAll(truth, seen, byKey)],
  }
}

/** Only what is over counts: one call too few does not make up for one too many. */
const sum = <T>(of: Iterable<T>, over: (one: T) => number): number => {
  let all = 0
  for (const one of of) all += Math.max(0, over(one))
  return all
}

function beyondBudgets({ sent, tasks }: Truth, seen: Seen): number {
  const made = new Map<string, number>()
  for (const [key, times] of Object.entries(seen))
    for (let task = sent.get(key)?.task ?? null; task !== null; task = tasks.get(task)?.parent ?? null)
      made.set(task, (made.get(task) ?? 0) + times)
  return sum(tasks, ([task, { calls }]) => (calls === null ? 0 : (made.get(task) ?? 0) - calls))
}

/** `write` is never made without a person's answer, and one answer makes it once. */
function beyondApprovals({ sent, approved }: Truth, seen: Seen): number {
  const writes = Object.entries(seen).filter(([key]) => sent.get(key)?.tool === 'write')
  return sum(writes, ([key, times]) => times - (approved.get(key) ?? 0))
}

/** After these the call was made, or may have been; while it waits, another request may make it. */
const open: ReadonlySet<string> = new Set([
  'unknown',
  'withheld',
  'made-before',
  'already-made',
  'approval-required',
])

/** What was told of each call that was answered whole: whoever heard nothing once cannot say what came of it. */
function dishonest({ told, underway }: Truth, intents: readonly Intended[]): readonly string[] {
  const outcomes = new Map(intents.map(({ call, outcome }) => [call, outcome]))
  const lost = new Set(told.flatMap(({ key, told: one }) => (one.kind === 'lost' ? [key] : [])))
  const done = new Set(told.flatMap(({ told: one }) => (one.kind === 'done' ? [one.call] : [])))
  return told.flatMap(({ key, told: one }) => {
    if (one.kind !== 'done' && one.kind !== 'refused') return []
    const outcome = outcomes.get(one.call) ?? null
    if (one.kind === 'done')
      return outcome === 'ok' ? [] : [`\`${one.call}\` was told as done, and its outcome is ${outcome}`]
    if (open.has(one.code) || done.has(one.call) || lost.has(key) || underway.has(key)) return []
    return outcome === 'ok' || outcome === 'failed'
      ? [`\`${one.call}\` was refused as ${one.code}, and its outcome is ${outcome}`]
      : []
  })
}

/** A key that was only ever refused cannot have arrived, unless a connection broke or the outcome is not known. */
function sentAfterAll(
  { told, underway }: Truth,
  seen: Seen,
  byKey: ReadonlyMap<string, readonly Intended[]>,
): readonly string[] {
  const words = Map.groupBy(told, ({ key }) => key)
  return [...words].flatMap(([key, all]) => {
    const refused =
      !underway.has(key) &&
      all.every(
        ({ told: one }) =>
          one.kind === 'refused' && (one.code === 'approval-required' || !open.has(one.code)),
      )
    const resumed = (byKey.get(key) ?? []).some(({ outcome }) => outcome === 'ok')
    return refused && !resumed && (seen[key] ?? 0) > 0 ? [`\`${key}\` arrived and was told as refused`] : []
  })
}
