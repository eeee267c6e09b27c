import type { Borne, BearingKind } from './bears.ts'
import { formsOf } from './normal.ts'
import { keyOf } from './key.ts'
import type { Origins, Place, Standing } from './origins.ts'
import type { PurposeWords } from './purpose.ts'

/**
 * Where a target-bearing value comes from, best first. `model`: nowhere, and the task has read nothing untrusted, so
 * the model made it by itself. `untrusted`: from an untrusted field, or from nowhere in a task that has read something
 * untrusted, since whoever wrote that can have the model encode, split or compute it.
 */
export const originNames = ['purpose', 'directory', 'trusted', 'model', 'untrusted'] as const
export type Origin = (typeof originNames)[number]

export type Traced = {
  readonly at: string
  readonly kind: BearingKind
  readonly origin: Origin
  /** It was met in more than one of these places. */
  readonly mixed: boolean
  /** The call in whose result it was first met, and that call's tool; null when it was met nowhere. */
  readonly met: Place | null
}

export type Tracing = {
  readonly secret: Uint8Array
  /** The task's and its ancestors', those that a person vouches for. */
  readonly purposes: readonly PurposeWords[]
  readonly origins: readonly Origins[]
  /** The task has read something untrusted. */
  readonly tainted: boolean
}

/** Pure. One answer for each value, in their order. */
export const trace = (values: readonly Borne[], tracing: Tracing): readonly Traced[] =>
  values.map((value) => traceOne(value, tracing))

function traceOne({ at, kind, value }: Borne, { secret, purposes, origins, tainted }: Tracing): Traced {
  const met = new Set<Standing>()
  let place: Place | null = null
  for (const form of formsOf(kind, value)) {
    const hashed = keyOf(secret, form)
    for (const index of origins) {
      const found = index.look(hashed)
      if (found === null) continue
      place ??= found.place
      for (const standing of found.standing) met.add(standing)
    }
  }
  const named = purposes.some((words) => words.names(kind, value))
  return {
    at,
    kind,
    origin: isDisguised(kind, value) ? originOf(false, new Set(), tainted) : originOf(named, met, tainted),
    mixed: met.size + (named ? 1 : 0) > 1,
    met: place,
  }
}

/** What a person cannot see in a name makes it another one for the server, who gets it as it is. In file names it is common. */
const isDisguised = (kind: BearingKind, value: string): boolean =>
  kind !== 'path' && kind !== 'command' && /\p{Cf}/u.test(value)

function originOf(named: boolean, met: ReadonlySet<Standing>, tainted: boolean): Origin {
  if (named) return 'purpose'
  if (met.has('directory')) return 'directory'
  if (met.has('trusted')) return 'trusted'
  return met.has('untrusted') || tainted ? 'untrusted' : 'model'
}

/** The worst of them, which rules go by; null when a call bears no target. */
export const worstOf = (traced: readonly Traced[]): Origin | null =>
  traced.reduce<Origin | null>(
    (worst, { origin }) =>
      worst === null || originNames.indexOf(origin) > originNames.indexOf(worst) ? origin : worst,
    null,
  )
