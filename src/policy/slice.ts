import { createHash } from 'node:crypto'
import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { Measure } from '../flow/measure.ts'
import type { Tool } from '../registry/tool.ts'
import { bake } from './bake.ts'
import { needsTool, verdictOn } from './check.ts'
import type { PolicySetOf } from './engine.ts'
import { flatOf, flattenPolicy } from './flat.ts'
import type { Flat } from './flat.ts'
import { comparedBy } from './ladder.ts'
import type { Compared } from './ladder.ts'
import type { Policy } from './parse.ts'
import { joinReads, readsOf, readsPath } from './reads.ts'
import { resourceValues } from './request.ts'
import { groupsOf } from './schema.ts'
import type { Reads } from './reads.ts'
import { covers } from './scope.ts'
import { inputShape } from './shape.ts'
import type { RecordShape } from './shape.ts'
import type { Problem } from './split.ts'

/** The policies that one tool's calls are put to, with all that is known of them before a call. */
export type Slice = SharedSlice & {
  readonly shape: RecordShape
  /** Policies that no longer fit the tool's definition: every call of it is denied until they do. */
  readonly problems: readonly string[]
}

/** What tools under the same policies share. */
export type SharedSlice = {
  readonly set: PolicySetOf
  readonly byId: ReadonlyMap<string, Policy>
  readonly reads: Reads
  /** How the context crosses to the engine. */
  readonly flat: Flat
  readonly targeted: boolean
  /** What its policies measure, each name once. */
  readonly measures: readonly Measure[]
  readonly approval: SliceApproval
}

/**
 * `never`: no policy looks at approvals, one evaluation settles it. `first`: nothing can be allowed without one and no
 * `forbid` is lifted by one, so the evaluation without one is known to deny. `maybe`: both have to be asked.
 */
type SliceApproval = { readonly when: 'never' | 'first' | 'maybe'; readonly compared: Compared }

export type Slices = {
  of(tool: Tool): Slice
}

/** Slices of a policy set, made when first needed. */
export function createSlices(policies: readonly Policy[], verdicts: Map<string, Problem | null>): Slices {
  // Tools are values that never change, so a slice lives exactly as long as its tool.
  const byTool = new WeakMap<Tool, Slice>()
  const shared = new Map<string, SharedSlice>()

  function share(mine: readonly Policy[], tool: Tool): SharedSlice {
    const name = createHash('sha256')
      .update(JSON.stringify([mine.map(({ id }) => id), distinction(mine, tool)]))
      .digest('base64')
    const before = shared.get(name)
    if (before !== undefined) return before
    const made = sharedSlice(mine, tool)
    if (shared.size >= maxShared) shared.clear()
    shared.set(name, made)
    return made
  }

  function of(tool: Tool): Slice {
    const before = byTool.get(tool)
    if (before !== undefined) return before
    const mine = policies.filter(({ scope }) => covers(scope, tool))
    const shape = inputShape(tool)
    const problems = mine.filter(needsTool).flatMap((policy) => {
      const problem = verdictOn(policy, tool, shape, verdicts)
      return problem === null ? [] : [`policy \`${policy.id}\` does not fit the tool: ${problem.message}`]
    })
    const slice = { ...share(mine, tool), shape, problems }
    byTool.set(tool, slice)
    return slice
  }

  return { of }
}

const maxShared = 4096

/** What the policies can tell apart of a tool; tools alike in it share a slice. */
function distinction(mine: readonly Policy[], tool: Tool): unknown {
  const { resource, ids } = joinReads(mine.map((policy) => policy.reads))
  const values = Object.entries(resourceValues(tool)).filter(
    ([name]) => resource.whole || resource.names.has(name),
  )
  return [values, ids.action || ids.resource ? [tool.id, groupsOf(tool)] : []]
}

function sharedSlice(mine: readonly Policy[], tool: Tool): SharedSlice {
  const baked = mine.map((policy) => [policy.id, bake(policy.json, tool)] as const)
  // Read from the baked policies: what was put in as a constant need not be passed.
  const reads = joinReads(baked.map(([, policy]) => readsOf(policy)))
  const flat = flatOf(
    baked.map(([, policy]) => policy),
    reads.context,
  )
  const policies: { [id: string]: PolicyJson } = Object.create(null)
  for (const [id, policy] of baked) policies[id] = flattenPolicy(policy, flat)
  return {
    set: { policies },
    byId: new Map(mine.map((policy) => [policy.id, policy])),
    reads,
    flat,
    measures: [...new Map(mine.flatMap(({ measures }) => measures).map((one) => [one.name, one])).values()],
    targeted: readsPath(reads.context, ['target']),
    approval: { when: approvalWhen(mine), compared: comparedBy(mine.map((policy) => policy.approval)) },
  }
}

function approvalWhen(mine: readonly Policy[]): SliceApproval['when'] {
  if (!mine.some(({ approval }) => approval.used)) return 'never'
  const permits = mine.filter(({ effect }) => effect === 'permit')
  const lifted = mine.some(({ effect, approval }) => effect === 'forbid' && approval.used)
  return permits.every(({ approval }) => approval.demanded) && !lifted ? 'first' : 'maybe'
}
