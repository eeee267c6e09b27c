import { covers } from '../task/match.ts'
import { demand, seal } from './seal.ts'
import { refuse, type Refused } from './refusal.ts'
import { toolKeys } from './keys.ts'
import type { Bound, Resolved } from './states.ts'
import type { Ports } from './ports.ts'

/**
 * Stage 3. From a wanted name to one pinned tool, its arguments checked against the schema that a person reviewed.
 * A tool that the task may not use and one that does not exist are told alike: lists do not leak, neither do refusals.
 */
export function resolve(
  ports: Pick<Ports, 'registry' | 'recorder' | 'revocations'>,
  product: Bound,
): Resolved | Refused {
  demand(product, 'bound')
  const { arrival, caller, bound } = product
  const { wanted, arguments: args } = arrival
  const known = { caller, task: bound.task.id, operation: wanted.operation, arguments: args }
  const unknown = (reason: string) => refuse('unknown-tool', 'resolve', reason, { known })

  const tool = ports.registry.find(wanted)
  if (tool === null || tool.state === 'removed')
    return unknown(`nothing registered answers for \`${wanted.server}\``)
  // Ancestors, too: a parent that was narrowed after its sub-task was opened narrows both.
  if (![bound.task, ...bound.ancestors].every(({ tools }) => covers(tools, tool.id)))
    return unknown(`\`${tool.id}\` is outside the task's tools`)

  const seen = { ...known, tool }
  // The newest definition must be the reviewed one: a digest is compared at every call, not only when lists change.
  if (tool.state === 'quarantined' || tool.review === null || tool.review.digest !== tool.digest) {
    return refuse('quarantined', 'resolve', `\`${tool.id}\` has no review for ${tool.digest}`, {
      known: seen,
    })
  }
  const revoked = ports.revocations.first(toolKeys(tool))
  if (revoked !== null) return refuse('revoked', 'resolve', `\`${revoked}\` is revoked`, { known: seen })

  const checked = ports.registry.validate(tool, wanted.operation, args)
  if (!checked.ok) {
    return refuse('bad-arguments', 'resolve', checked.problems.join('; '), {
      hint: checked.problems.join('\n'),
      known: seen,
    })
  }
  const fingerprint = ports.recorder.fingerprint(tool.id, args)
  return seal('resolved', { ...product, tool, arguments: args, fingerprint })
}
