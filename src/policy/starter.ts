import { readFile } from 'node:fs/promises'
import type { Source } from './parse.ts'

/** The policy sets that come with the broker; `policies/NAME.cedar` each. `guarded` is what a new installation gets. */
export const starters = ['observe', 'guarded', 'guarded-one-person', 'strict'] as const
export type Starter = (typeof starters)[number]

export const defaultStarter: Starter = 'guarded'

/** Reads a starter set as a source for `loadPolicies`. Rejects when the installation is damaged. */
export async function readStarter(starter: Starter): Promise<readonly Source[]> {
  const name = `${starter}.cedar`
  const text = await readFile(packaged(name), 'utf8')
  return [{ name, text }]
}

/** `policies/` lies beside `src/` in a checkout and beside `dist/` in a package. */
function packaged(name: string): URL {
  return new URL(`../../policies/${name}`, import.meta.url)
}
