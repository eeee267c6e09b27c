import { effects as allEffects } from './tool.ts'
import { infer } from './effects.ts'
import { rfc3339 } from '../lib/clock.ts'
import type { Review, Tool } from './tool.ts'

/** What an operator decides otherwise than was proposed. */
export type Overrides = Partial<
  Pick<Review, 'effects' | 'environment' | 'confidentiality' | 'integrity' | 'targets' | 'bears' | 'results'>
>

export type ReviewRequest = {
  readonly tool: Tool
  /** The digest that the reviewer looked at. */
  readonly digest: string
  readonly reviewer: string
  /** Milliseconds since the epoch. */
  readonly at: number
  /** The server's environment, unless overridden. */
  readonly environment: string
  readonly overrides: Overrides
  /** What a profile says of it, in place of what is inferred; `overrides` win over both. */
  readonly proposal?: Overrides | null
}

export type Reviewed =
  | { readonly ok: true; readonly review: Review }
  | {
      readonly ok: false
      readonly problem: 'digest-moved' | 'removed' | 'bad-review'
      readonly detail: string
    }

/**
 * Builds a review from what was inferred, what a profile says, and what the operator decided otherwise. Refuses when the tool is no longer
 * what the reviewer looked at (incident 11: a changed definition rides on an old approval). Pure.
 */
export function buildReview(request: ReviewRequest): Reviewed {
  const { tool, digest, reviewer, at, environment } = request
  if (tool.state === 'removed') {
    return {
      ok: false,
      problem: 'removed',
      detail: `\`${tool.id}\` is no longer offered; there is nothing to review`,
    }
  }
  if (tool.digest !== digest) {
    return {
      ok: false,
      problem: 'digest-moved',
      detail: `\`${tool.id}\` has changed since it was shown; look at it again`,
    }
  }
  const overrides: Overrides = { ...request.proposal, ...request.overrides }
  const wrong = badOverride(overrides)
  if (wrong !== null) return { ok: false, problem: 'bad-review', detail: wrong }
  const inferred = infer(tool.definition)
  const decided = new Set(overrides.effects ?? inferred.effects)
  return {
    ok: true,
    review: {
      digest,
      effects: allEffects.filter((effect) => decided.has(effect)),
      environment: overrides.environment ?? environment,
      confidentiality: overrides.confidentiality ?? inferred.confidentiality,
      integrity: overrides.integrity ?? inferred.integrity,
      targets: overrides.targets ?? inferred.targets,
      ...(overrides.bears === undefined ? {} : { bears: overrides.bears }),
      ...(overrides.results === undefined ? {} : { results: overrides.results }),
      reviewer,
      at: rfc3339(at),
    },
  }
}

function badOverride({ effects, environment, targets }: Overrides): string | null {
  if (effects !== undefined && effects.length === 0)
    return 'expected at least one effect; every tool at least reads'
  if (environment === '') return 'expected the name of an environment'
  for (const [kind, at] of Object.entries(targets ?? {})) {
    if (!isPointer(at))
      return `target \`${kind}\`: expected a JSON pointer into the arguments, such as \`/path\``
  }
  return null
}

/** RFC 6901, and not the whole document. */
export const isPointer = (text: string): boolean =>
  /^(?:\/(?:[^~/]|~[01])*)+$/.test(text) && text.length <= 512

/** The tool as it is once the review is durable. */
export const pin = (tool: Tool, review: Review): Tool => ({
  ...tool,
  state: 'reviewed',
  pinned: tool.definition,
  review,
})
