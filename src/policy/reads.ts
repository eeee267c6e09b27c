import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { chain, node, parts } from './expression.ts'

/**
 * Which attributes a policy can look at, below one variable. `whole`: the value itself is used, all of it has to be
 * there. Only what is read is passed to the engine: smaller requests, and an argument that no policy names (a file's
 * whole content) is never copied over.
 */
export type ReadTree = { readonly whole: boolean; readonly names: ReadonlyMap<string, ReadTree> }

export type Reads = {
  readonly context: ReadTree
  /** Attributes of the entities. `whole` here means that all of them are needed. */
  readonly principal: ReadTree
  readonly resource: ReadTree
  /** Entities that are used as themselves (compared, tested with `in`): their ids and parents are needed. */
  readonly ids: { readonly principal: boolean; readonly action: boolean; readonly resource: boolean }
}

type Tree = { whole: boolean; names: Map<string, Tree> }
const tree = (): Tree => ({ whole: false, names: new Map() })

type Draft = {
  readonly context: Tree
  readonly principal: Tree
  readonly resource: Tree
  readonly ids: { principal: boolean; action: boolean; resource: boolean }
}

/** Reads of a policy's conditions and of its principal's scope; those of action and resource are decided beforehand. */
export function readsOf(policy: PolicyJson): Reads {
  const draft: Draft = {
    context: tree(),
    principal: tree(),
    resource: tree(),
    ids: { principal: false, action: false, resource: false },
  }
  const scope = policy.principal
  if (scope.op === '==' || scope.op === 'in' || (scope.op === 'is' && scope.in !== undefined))
    draft.ids.principal = true
  for (const clause of policy.conditions) visit(clause.body, draft)
  return draft
}

function visit(expression: unknown, draft: Draft): void {
  const at = node(expression)
  if (at.op === 'var') return note(draft, at.name, [], true)
  if (at.op === 'get') {
    const found = chain(expression)
    if (found !== null) return note(draft, found.root, found.path, true)
    // An attribute of something computed: it may be any of the entities, so everything is needed.
    everything(draft)
  }
  if (at.op === 'has') {
    const found = chain(at.left)
    if (found !== null) return note(draft, found.root, [...found.path, ...at.names], false)
    everything(draft)
  }
  if (at.op === 'unknown') everything(draft)
  for (const part of parts(at)) visit(part, draft)
}

function note(draft: Draft, root: string, path: readonly string[], whole: boolean): void {
  if (root === 'context') return mark(draft.context, path, whole)
  if (root !== 'principal' && root !== 'resource' && root !== 'action') return everything(draft)
  if (path.length === 0 || root === 'action') draft.ids[root] = true
  else mark(draft[root], path, whole)
}

function mark(at: Tree, path: readonly string[], whole: boolean): void {
  const [name, ...rest] = path
  if (name === undefined) {
    at.whole ||= whole
    return
  }
  const below = at.names.get(name) ?? tree()
  at.names.set(name, below)
  mark(below, rest, whole)
}

function everything(draft: Draft): void {
  for (const part of [draft.context, draft.principal, draft.resource]) part.whole = true
  draft.ids.principal = draft.ids.action = draft.ids.resource = true
}

/** What several policies read together. */
export function joinReads(all: readonly Reads[]): Reads {
  const joined: Draft = {
    context: tree(),
    principal: tree(),
    resource: tree(),
    ids: { principal: false, action: false, resource: false },
  }
  for (const reads of all) {
    for (const root of ['context', 'principal', 'resource'] as const) joinTree(joined[root], reads[root])
    for (const root of ['principal', 'action', 'resource'] as const) joined.ids[root] ||= reads.ids[root]
  }
  return joined
}

function joinTree(into: Tree, from: ReadTree): void {
  into.whole ||= from.whole
  for (const [name, below] of from.names) {
    const at = into.names.get(name) ?? tree()
    into.names.set(name, at)
    joinTree(at, below)
  }
}

const all: ReadTree = { whole: true, names: new Map() }

/** The part of a tree below a path; a `whole` above covers everything below it. Null when nothing of it is read. */
export function below(from: ReadTree, path: readonly string[]): ReadTree | null {
  let at = from
  for (const name of path) {
    if (at.whole) return all
    const next = at.names.get(name)
    if (next === undefined) return null
    at = next
  }
  return at
}

export const readsPath = (from: ReadTree, path: readonly string[]): boolean => below(from, path) !== null

/** The paths read, dotted, for people: `task.environment`. A `whole` variable is `*`. */
export function pathsOf(from: ReadTree, prefix: readonly string[] = []): readonly string[] {
  const deeper = [...from.names].flatMap(([name, next]) => pathsOf(next, [...prefix, name]))
  if (from.whole || (deeper.length === 0 && prefix.length > 0)) return [prefix.join('.') || '*', ...deeper]
  return deeper
}
