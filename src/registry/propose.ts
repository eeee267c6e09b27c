import { findTargets } from './targets.ts'
import { infer } from './effects.ts'
import { known, type Profile, type ProfileTool } from './profile.ts'
import { looking, takes } from './places.ts'
import type { Bearing } from '../flow/bears.ts'
import type { Definition, Targets } from './tool.ts'
import type { Overrides } from './review.ts'

/**
 * What a profile would have a reviewer confirm of this definition; null when it does not know the tool. It only takes
 * the place of what is inferred: a person reviews. Pure.
 */
export function proposalFor(profile: Profile, definition: Definition): Overrides | null {
  if (definition.kind !== 'tool') return null
  const tool = known(profile, definition.name)
  if (tool === null) return null
  const bears = bearsFor(tool, definition)
  return {
    ...(tool.effects === null ? {} : { effects: tool.effects }),
    ...(tool.confidentiality === null ? {} : { confidentiality: tool.confidentiality }),
    ...(tool.integrity === null ? {} : { integrity: tool.integrity }),
    ...(bears === null ? {} : { bears, targets: targetsFor(bears, definition) }),
    ...(tool.results === null ? {} : { results: tool.results }),
  }
}

/**
 * The bearings that the definition has, and what looks like one and is not spoken of: a `bcc` that came with a newer
 * version must not be the way around the profile. Null, which asks at every write, when the profile named some and the
 * definition has none of them: it speaks of another tool then.
 */
export function bearsFor(tool: ProfileTool, definition: Definition): readonly Bearing[] | null {
  if (tool.bears === null) return null
  const there = tool.bears.filter(({ at }) => takes(definition, at))
  if (tool.bears.length > 0 && there.length === 0 && hasArguments(definition)) return null
  return [...there, ...unspoken(tool, definition)].slice(0, 64)
}

/** Arguments that look as if they decided where a call acts and of which the profile says nothing. */
export const unspoken = (tool: ProfileTool, definition: Definition): readonly Bearing[] =>
  looking(definition).filter(
    ({ at }) =>
      !tool.bearNothing.some((one) => covers(one, at)) && !tool.bears?.some((one) => covers(one.at, at)),
  )

/** Bearings of a profile that the definition does not take. */
export const gone = (tool: ProfileTool, definition: Definition): readonly Bearing[] =>
  (tool.bears ?? []).filter(({ at }) => !takes(definition, at))

const hasArguments = (definition: Definition): boolean =>
  Object.keys(definition.inputSchema?.properties ?? {}).length > 0

/** `/files` speaks of `/files/0` and `/files/*` too, `/a/*` of `/a/b`. */
function covers(wide: string, at: string): boolean {
  const [own, other] = [wide.split('/'), at.split('/')]
  if (own.length > other.length) return false
  return own.every((part, index) => part === '*' || part === other[index])
}

/** The common targets: what is found by name, and where nothing is found the first bearing of that kind. */
function targetsFor(bears: readonly Bearing[], definition: Definition): Targets {
  const { targets } = findTargets(definition)
  const first = (kind: 'path' | 'url' | 'recipient' | 'amount'): Targets => {
    const found = bears.find(
      (one) => one.kind === kind && !one.at.includes('*') && isSingle(definition, one.at),
    )
    return found === undefined || targets[kind] !== undefined ? {} : { [kind]: found.at }
  }
  return { ...targets, ...first('path'), ...first('url'), ...first('recipient'), ...first('amount') }
}

/** A common target is one value: a list of them is not. */
const isSingle = (definition: Definition, at: string): boolean => !takes(definition, `${at}/*`)

/** What a review takes where nobody decides otherwise, and whose word that is. */
export type Proposed = Required<Pick<Overrides, 'effects' | 'confidentiality' | 'integrity' | 'targets'>> &
  Pick<Overrides, 'bears' | 'results'>

export function proposed(definition: Definition, proposal: Overrides | null): Proposed {
  const { effects, confidentiality, integrity, targets } = infer(definition)
  const { environment: _, ...said } = proposal ?? {}
  return { effects, confidentiality, integrity, targets, ...said }
}
