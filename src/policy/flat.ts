import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { chain, node, parts } from './expression.ts'
import type { ReadTree } from './reads.ts'
import type { Values } from './request.ts'

/**
 * Each record inside a record costs the engine as much as several values: it reads the context as JSON, one guess of
 * its type after the other. So what the policies of a slice read as `context.labels.confidentiality` crosses as one
 * attribute of its own, in policies and context alike. Flat are only members of context that are read by name down to
 * what is used, nowhere as a whole and nowhere tested with `has`: there, a value that is missing is an error in either
 * form, and the same one decision follows. A property test holds this to the engine on the policies as written.
 */
export type Flat = {
  /** Members of `context` that do not cross: those whose place the flat attributes take, and any under a flat name. */
  readonly dropped: ReadonlySet<string>
  readonly leaves: readonly Leaf[]
}

type Leaf = { readonly path: readonly string[]; readonly name: string }

/** Approvals come and go between two evaluations of one call; they stay as they are. */
const kept = 'approval'

/** What can be flat for these policies, `reads` being all that they read of the context. */
export function flatOf(policies: readonly PolicyJson[], reads: ReadTree): Flat {
  const tested = new Set<string>([kept])
  for (const { conditions } of policies)
    for (const { body } of conditions) if (!testedIn(body, tested)) return nothing
  if (reads.whole) return nothing
  const found = [...reads.names].flatMap(([root, below]) => {
    const paths = tested.has(root) ? null : leavesOf(below, [root])
    return paths === null || paths.every(({ length }) => length < 2) ? [] : [{ root, paths }]
  })
  const mark = unusedMark([...reads.names.keys()])
  const leaves = found.flatMap(({ paths }) => paths).map((path, index) => ({ path, name: `${mark}${index}` }))
  return { dropped: new Set([...found.map(({ root }) => root), ...leaves.map(({ name }) => name)]), leaves }
}

const nothing: Flat = { dropped: new Set(), leaves: [] }

/** No member of context that the policies read begins so: a flat name is never taken for one that stays. */
function unusedMark(members: readonly string[]): string {
  let mark = '_'
  while (members.some((name) => name.startsWith(mark))) mark += '_'
  return mark
}

/** Collects the members of context that `has` looks at; false when that cannot be told. */
function testedIn(expression: unknown, tested: Set<string>): boolean {
  const at = node(expression)
  if (at.op === 'has') {
    const found = chain(at.left)
    if (found === null) return false
    const [root] = [...found.path, ...at.names]
    if (found.root === 'context' && root !== undefined) tested.add(root)
  }
  return at.op !== 'unknown' && parts(at).every((part) => testedIn(part, tested))
}

/** The paths at which something is used; null when a record on the way is used itself. */
function leavesOf(at: ReadTree, path: readonly string[]): readonly (readonly string[])[] | null {
  if (at.names.size === 0) return at.whole ? [path] : null
  if (at.whole) return null
  const leaves: (readonly string[])[] = []
  for (const [name, below] of at.names) {
    const deeper = leavesOf(below, [...path, name])
    if (deeper === null) return null
    leaves.push(...deeper)
  }
  return leaves
}

/** The policy with the flat names in place of the paths. */
export function flattenPolicy(policy: PolicyJson, { leaves }: Flat): PolicyJson {
  if (leaves.length === 0) return policy
  const names = new Map(leaves.map(({ path, name }) => [JSON.stringify(path), name]))
  const rename = (_: string, part: unknown): unknown => {
    if (node(part).op !== 'get') return part
    const found = chain(part)
    const name = found?.root === 'context' ? names.get(JSON.stringify(found.path)) : undefined
    return name === undefined ? part : { '.': { left: { Var: 'context' }, attr: name } }
  }
  const conditions: PolicyJson['conditions'] = JSON.parse(JSON.stringify(policy.conditions), rename)
  return { ...policy, conditions }
}

/** The context with the flat names in place of the paths; a value that is missing stays missing. */
export function flattenContext(context: Values, { dropped, leaves }: Flat): Values {
  if (leaves.length === 0) return context
  const flat: Values = {}
  for (const [name, value] of Object.entries(context)) if (!dropped.has(name)) flat[name] = value
  for (const { path, name } of leaves) {
    const value = ownAt(context, path)
    if (value !== undefined) flat[name] = value
  }
  return flat
}

function ownAt(from: Values, path: readonly string[]): Values[string] | undefined {
  let at: unknown = from
  for (const name of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined
    at = Reflect.get(at, name)
  }
  // The context was made of these values; only the way to them was typed more loosely.
  return at as Values[string]
}
