import { amountOf, byKind, keyEach, type Fact } from './fact.ts'
import { bornBy, type Bearing, type BearingKind } from './bears.ts'
import { measure, type Measure } from './measure.ts'
import { noSinks, type Sinks } from './sinks.ts'
import { PastTable } from './past.ts'
import { riskOf } from './risk.ts'
import { keyText } from './key.ts'
import { formsOf } from './normal.ts'
import { trace, worstOf, type Origin, type Traced } from './trace.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Labels } from './labels.ts'
import type { Origins } from './origins.ts'
import type { PurposeWords } from './purpose.ts'
import type { Review, Targets, Tool } from '../registry/tool.ts'

/** What a node knows of a task's data, its person's calls and tainted sinks, as of the moment at which the call was bound. */
export type Known = {
  readonly secret: Uint8Array
  /** The task's words and those above it, as far as a person vouches for them. */
  readonly purposes: readonly PurposeWords[]
  /** Where the task and those above it have met values. */
  readonly origins: readonly Origins[]
  readonly past: PastTable
  readonly sinks: Sinks
  /** Moves with every call of the person: `intend` compares it when the decision counted. */
  readonly revision: number
}

/** Nothing met, nothing done: a task that has just been opened by somebody new. */
export const knowNothing: Known = {
  secret: new Uint8Array(32),
  purposes: [],
  origins: [],
  past: new PastTable(),
  sinks: noSinks,
  revision: 0,
}

/** What the flow engine says of one call. Policies see it as `context.flow`. */
export type Flow = {
  /** The reviewer has said which arguments decide where the tool acts. */
  readonly isKnown: boolean
  readonly targets: readonly Traced[]
  /** Some argument of the tool says whom or what data goes to. */
  readonly hasDestination: boolean
  /** Why the targets could not be read, or null. Such a call is denied. */
  readonly problem: string | null
  /** Some values that the task met were not kept. */
  readonly overflowed: boolean
  /** Recipients, accounts and sites that are new, and neither named by the person nor from a directory. */
  readonly strangers: number
  readonly isFirstContact: boolean
  readonly isFirstUse: boolean
  readonly risk: number
  /** What will be remembered of the call once it is committed. */
  readonly fact: Fact
  /** A measure over the person's calls, this one included. */
  measure(of: Measure): number
}

export type Flowing = {
  readonly tool: Pick<Tool, 'id' | 'review'>
  readonly arguments: JsonObject
  readonly agent: string
  /** The task and those above it, nearest first. */
  readonly tasks: readonly string[]
  readonly labels: Labels
  readonly now: number
}

/** Pure. */
export function flowOf(call: Flowing, known: Known): Flow {
  const { tool, labels, agent, tasks, now } = call
  const effects = tool.review?.effects ?? []
  const bearings = bearingsOf(tool.review)
  const born = bornBy(bearings, call.arguments)
  const values = born.ok ? born.values : []
  const tainted = labels.integrity === 'untrusted'
  const targets = trace(values, { ...known, tainted })
  const each = keyEach(known.secret, values)
  const made: Fact = {
    at: now,
    agent,
    tasks,
    tool: tool.id,
    effects,
    keys: byKind(values, each),
    amount: amountOf(values),
    risk: 0,
  }
  const newKeys = new Set(known.past.strangers(made))
  const isFirstUse = known.past.isFirstUse(made)
  const risk = riskOf({
    effects,
    labels,
    worst: worstOf(targets.filter(({ kind }) => kind !== 'amount')),
    reads: tool.review?.confidentiality ?? 'internal',
    isFirstUse,
    isFirstContact: newKeys.size > 0,
  })
  const fact = { ...made, risk }
  return {
    isKnown: tool.review?.bears !== undefined,
    targets,
    hasDestination: bearings.some(({ kind }) => isDestination(kind)),
    problem: born.ok ? null : born.problem,
    overflowed: known.origins.some(({ overflowed }) => overflowed),
    strangers: strangersOf(targets, each, newKeys),
    isFirstContact: newKeys.size > 0,
    isFirstUse,
    risk,
    fact,
    measure: (of) => measure(of, known.past, fact),
  }
}

const vouched: readonly Origin[] = ['purpose', 'directory']

function strangersOf(
  targets: readonly Traced[],
  each: readonly (string | null)[],
  newKeys: ReadonlySet<string>,
): number {
  if (newKeys.size === 0) return 0
  return targets.filter(({ origin }, index) => {
    const key = each[index] ?? null
    return key !== null && newKeys.has(key) && !vouched.includes(origin)
  }).length
}

/** What the reviewer said, or, when nobody did, the common targets that were found by the names of arguments. */
export const bearingsOf = (review: Pick<Review, 'bears' | 'targets'> | null): readonly Bearing[] =>
  review === null ? [] : (review.bears ?? fromTargets(review.targets))

const fromTargets = (targets: Targets): readonly Bearing[] =>
  (['path', 'url', 'recipient', 'amount'] as const).flatMap((kind) => {
    const at = targets[kind]
    return at === undefined ? [] : [{ at, kind }]
  })

/** The worst origin of the call's targets, or of those of one kind; `none` without any. */
export const originOf = ({ targets }: Pick<Flow, 'targets'>, kind?: BearingKind): Origin | 'none' =>
  worstOf(targets.filter((one) => (kind === undefined ? one.kind !== 'amount' : one.kind === kind))) ?? 'none'

/**
 * The worst origin of those targets that data goes to; `nobody` when the call leaves them out, `fixed` when the tool has
 * none: then it always goes to the same place.
 */
export const destinationOf = ({
  targets,
  hasDestination,
}: Pick<Flow, 'targets' | 'hasDestination'>): Destination =>
  worstOf(targets.filter(({ kind }) => isDestination(kind))) ?? (hasDestination ? 'nobody' : 'fixed')

export type Destination = Origin | 'nobody' | 'fixed'

/** What says whom or what data goes to. */
export const isDestination = (kind: Bearing['kind']): boolean =>
  kind === 'recipient' || kind === 'account' || kind === 'url'

/** Keys of the places that a call acts on, for the ledger of tainted sinks. */
export const placesOf = (review: Review | null, args: JsonObject, secret: Uint8Array): readonly string[] => {
  const born = bornBy(bearingsOf(review), args)
  return born.ok
    ? born.values
        .filter(({ kind }) => kind === 'id' || kind === 'path' || kind === 'url')
        .flatMap(({ kind, value }) => formsOf(kind, value))
        .map((form) => keyText(secret, form))
    : []
}
