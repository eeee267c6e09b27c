import { createHash } from 'node:crypto'
import { atOnce, inSlices, type Sliced } from '../lib/slices.ts'
import { brief, exceeds, pointer } from './bounds.ts'
import { canonical } from '../lib/jcs.ts'
import { isJsonObject } from '../lib/json.ts'
import { parseTemplate, parseUri } from './uri.ts'
import { promptFields, resourceFields, templateFields, toolFields } from './fields.ts'
import { toolId } from './tool.ts'
import type { Catalogue, Definition, ToolId } from './tool.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import type { RawCatalogue } from '../server/catalogue.ts'

/**
 * What a server listed, all pages together (already parsed as strict I-JSON): the entries of `tools/list`,
 * `prompts/list`, `resources/list`, `resources/templates/list`, and the text of `instructions`. Both eras have these
 * entries; what the modern one adds around them (`resultType`, `ttlMs`, `cacheScope`, `_meta`) is no part of a
 * definition. `RawCatalogue` has this shape.
 */
export type Listings = {
  readonly tools?: readonly Json[]
  readonly prompts?: readonly Json[]
  readonly resources?: readonly Json[]
  readonly templates?: readonly Json[]
  readonly instructions?: Json
}

/** Something that was kept out, and why. `at` is a JSON pointer into the listings. */
export type Problem = { readonly at: string; readonly problem: string }

export type Defined = {
  readonly definitions: readonly Definition[]
  readonly resources: readonly JsonObject[]
  readonly problems: readonly Problem[]
}

export const limits = {
  /** Units of all kinds, and concrete resources, each. */
  count: 10_000,
  /** All definitions of a server together. */
  totalChars: 4 * 1024 * 1024,
  problems: 100,
  unit: { depth: 48, nodes: 20_000, chars: 256 * 1024 },
} as const

/** What makes a unit the same unit when its words change: the name for tools and prompts, the URI or template otherwise. */
export function nameOf(definition: Definition): string {
  switch (definition.kind) {
    case 'tool':
    case 'prompt':
      return definition.name
    case 'template':
      return definition.uriTemplate ?? definition.name
    case 'resource':
      return definition.uri ?? definition.name
    case 'instructions':
      return 'instructions'
  }
}

export const idOf = (server: string, definition: Definition): ToolId =>
  toolId(server, definition.kind, nameOf(definition))

/** `sha256:` + 64 hex over the canonical form (RFC 8785): what a review is bound to. */
export const digest = (definition: Definition): string =>
  `sha256:${createHash('sha256')
    .update(canonical({ ...definition }))
    .digest('hex')}`

/**
 * Turns raw listings into definitions and a view of concrete resources. Never throws for what a server said: what does
 * not fit is kept out and named in `problems` (100 at most). Fields are allow-listed, so that a digest covers exactly
 * what a model or a policy could see and nothing unreviewed rides along.
 */
export const define = (listings: Listings): Defined => atOnce(defining(listings))

/** The same in steps: 10,000 definitions take longer than calls may wait. */
export function* defining(listings: Listings): Sliced<Defined> {
  const problems: Problem[] = []
  const report = (at: string, problem: string): void => {
    if (problems.length < limits.problems) problems.push({ at, problem })
  }
  const units: Unit[] = []
  function* take(key: 'tools' | 'prompts' | 'templates', build: Build): Sliced<void> {
    for (const item of items(listings[key], key, report)) {
      const built = bounded(item.value, build)
      if ('problem' in built) report(item.at, built.problem)
      else units.push({ at: item.at, definition: built })
      yield
    }
  }
  yield* take('tools', toolFields)
  yield* take('prompts', promptFields)
  yield* take('templates', templateWithUri)
  const { resources, roots } = yield* concrete(listings, report)
  for (const root of roots)
    units.push({ at: '/resources', definition: { kind: 'resource', name: root, uri: root } })
  const text = listings.instructions
  if (typeof text === 'string' && text.trim() !== '') {
    const problem = exceeds(text, limits.unit)
    if (problem === null)
      units.push({ at: '/instructions', definition: { kind: 'instructions', name: 'instructions', text } })
    else report('/instructions', problem)
  }
  return { definitions: yield* distinct(units, report), resources, problems }
}

/** The catalogue that `observe` takes, from what a connection listed, with what was kept out of it. */
export async function toCatalogue(raw: RawCatalogue): Promise<{
  readonly catalogue: Catalogue
  readonly problems: readonly Problem[]
}> {
  const { definitions, resources, problems } = await inSlices(defining(raw))
  const { server, capabilities, serverInfo, era, protocolVersion } = raw
  return {
    catalogue: { server, definitions, resources, capabilities, serverInfo, era, protocolVersion },
    problems,
  }
}

type Unit = { readonly at: string; readonly definition: Definition }
type Report = (at: string, problem: string) => void
type Build = (item: JsonObject) => Definition | { readonly problem: string }

function* items(
  entries: readonly Json[] | undefined,
  key: string,
  report: Report,
): Generator<{ at: string; value: Json }> {
  for (const [index, value] of (entries ?? []).entries()) {
    if (index >= limits.count)
      return report(`/${key}`, `more than ${limits.count} entries; the rest was left out`)
    yield { at: pointer(`/${key}`, index), value }
  }
}

function bounded(item: Json, build: Build): Definition | { readonly problem: string } {
  if (!isJsonObject(item)) return { problem: 'expected an object' }
  const problem = exceeds(item, limits.unit)
  return problem === null ? build(item) : { problem }
}

function templateWithUri(item: JsonObject): Definition | { readonly problem: string } {
  const built = templateFields(item)
  if ('problem' in built) return built
  const parsed = parseTemplate(built.uriTemplate ?? '')
  return 'problem' in parsed ? { problem: `uriTemplate: ${parsed.problem}` } : built
}

/** Concrete resources stay a view; what is pinned is the root that they fall under (DESIGN.md, Choices). */
function* concrete(
  listings: Listings,
  report: Report,
): Sliced<{ resources: JsonObject[]; roots: ReadonlySet<string> }> {
  const resources: JsonObject[] = []
  const roots = new Set<string>()
  const seen = new Set<string>()
  for (const { at, value } of items(listings.resources, 'resources', report)) {
    yield
    const problem = isJsonObject(value) ? exceeds(value, limits.unit) : 'expected an object'
    const fields =
      problem === null && isJsonObject(value)
        ? resourceFields(value)
        : { problem: problem ?? 'expected an object' }
    if ('problem' in fields) {
      report(at, fields.problem)
      continue
    }
    const uri = parseUri(fields.uri)
    if ('problem' in uri) report(at, uri.problem)
    else if (seen.has(uri.text)) report(at, `\`${brief(uri.text)}\` is listed twice; the first was kept`)
    else {
      seen.add(uri.text)
      roots.add(uri.root)
      resources.push(fields.view)
    }
  }
  return { resources, roots }
}

/**
 * Two different definitions under one name: nobody can say which one a call would reach, so neither is kept. The same
 * one twice (a page that overlaps) is kept once.
 */
function* distinct(units: readonly Unit[], report: Report): Sliced<Definition[]> {
  const kept = new Map<string, { readonly digest: string; readonly definition: Definition; clash: boolean }>()
  let chars = 0
  for (const { at, definition } of units) {
    yield
    const id = idOf('', definition)
    const seen = kept.get(id)
    const here = digest(definition)
    if (seen !== undefined) {
      seen.clash ||= seen.digest !== here
      report(
        at,
        `\`${brief(nameOf(definition))}\` is listed twice${seen.clash ? ' with different definitions; both were left out' : ''}`,
      )
      continue
    }
    chars += canonical({ ...definition }).length
    if (kept.size >= limits.count || chars > limits.totalChars) {
      report(at, `more than ${limits.count} units or ${limits.totalChars} characters; the rest was left out`)
      break
    }
    kept.set(id, { digest: here, definition, clash: false })
  }
  return [...kept.values()].filter((unit) => !unit.clash).map((unit) => unit.definition)
}
