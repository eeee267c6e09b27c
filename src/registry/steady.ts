import type { Catalogue, Tool, ToolId } from './tool.ts'

/** Units of a server that are remembered, those that it withdrew included: twice what it may offer at once. */
export const mostUnits = 20_000
/** Changes that a server may make at once, and in the long run in a minute. Each one is a row and an entry. */
export const changesAtOnce = 20_000
export const changesPerMinute = 1_000

/** A server whose offer cannot be kept up with. What it changed is withheld until it has come to rest. */
export class Unsteady extends Error {
  override readonly name = 'Unsteady'
}

/**
 * Every change of a definition is recorded and its tool quarantined, so a server that turns its tools over and over
 * would fill log and memory. `demand` throws when it does; other servers are not affected.
 */
export type Steadiness = {
  demand(server: string, changes: number): void
}

/** Bounded by the servers that are registered. */
export function createSteadiness(monotonic: () => number = () => performance.now()): Steadiness {
  const levels = new Map<string, { readonly level: number; readonly at: number }>()
  return {
    demand(server, changes) {
      const now = monotonic()
      const before = levels.get(server) ?? { level: 0, at: now }
      const level = Math.max(0, before.level - ((now - before.at) * changesPerMinute) / 60_000) + changes
      if (changes > 0 && level > changesAtOnce)
        throw new Unsteady(`\`${server}\` changes its tools over and over; it is left alone for a while`)
      levels.set(server, { level, at: now })
    },
  }
}

/** Throws when a server has come up with so many names that remembering them all would fill the memory. */
export function demandFewNames(
  known: readonly Tool[],
  catalogue: Catalogue,
  idOf: (definition: Catalogue['definitions'][number]) => ToolId,
): void {
  const ids = new Set([...known.map(({ id }) => id), ...catalogue.definitions.map(idOf)])
  if (ids.size > mostUnits)
    throw new Unsteady(
      `\`${catalogue.server}\` has offered more than ${mostUnits} different tools; remove it`,
    )
}
