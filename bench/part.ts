import type { Child } from './child.ts'
import type { World, WorldOptions } from './world.ts'

/** What a part measures with. The world is one for the whole run; a part that spoils it lays its own. */
export type Ground = {
  readonly world: World
  readonly load: Child
  /** A world of its own on the engine that is measured. */
  readonly lay: (options: Omit<WorldOptions, 'store'>) => Promise<World>
  readonly quick: boolean
  /** Progress, for people. */
  readonly say: (line: string) => void
}

export type Figures = { readonly [name: string]: number | string | null }

export type Part = (ground: Ground) => Promise<Figures>
