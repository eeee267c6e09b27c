import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Input } from './target.ts'

/** Inputs that are worth keeping: some reach a block that no other does, some once broke something (`was-…`). */
export const corpusFolder = join(import.meta.dirname, 'corpus')

/** What a run found, for a person to look at; not part of the repository. */
export const findingsFolder = join(import.meta.dirname, 'findings')

export type Kept = { readonly name: string; readonly input: Input }

/** By name, so that every run begins alike. */
export function readCorpus(target: string, folder = corpusFolder): readonly Kept[] {
  const path = join(folder, target)
  if (!existsSync(path)) return []
  return readdirSync(path)
    .toSorted()
    .map((name) => ({ name, input: readFileSync(join(path, name)) }))
}

export const nameOf = (input: Input): string => createHash('sha256').update(input).digest('hex').slice(0, 16)

/** Replaces what was kept for its coverage. Regression cases stay whatever they reach. */
export function writeCorpus(target: string, inputs: readonly Input[], folder = corpusFolder): void {
  const path = join(folder, target)
  mkdirSync(path, { recursive: true })
  for (const name of readdirSync(path)) if (!name.startsWith('was-')) rmSync(join(path, name))
  for (const input of inputs) writeFileSync(join(path, nameOf(input)), input)
}

/** An input that broke a property, and what it broke. */
export type Finding = {
  readonly target: string
  readonly what: string
  readonly detail: string
  readonly input: Input
}

/** Writes the input and, beside it, what is wrong. Returns where. */
export function writeFinding(finding: Finding, folder = findingsFolder): string {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${finding.target}-${nameOf(finding.input)}`)
  writeFileSync(path, finding.input)
  writeFileSync(`${path}.txt`, `${finding.what}\n\n${finding.detail}\n`)
  return path
}
