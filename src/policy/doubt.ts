import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { approvalUse } from './monotone.ts'
import { chain, node, parts } from './expression.ts'
import { readsOf } from './reads.ts'
import type { Policy } from './parse.ts'

/** Whether a path below a variable (`context`, `principal`) is known to whoever asks. */
export type Knows = (root: string, path: readonly string[]) => boolean

/** A policy as far as it can be told, and what of it cannot. */
export type Doubted = { readonly policy: Policy; readonly unknown: readonly string[] }

/**
 * Resolves every condition that depends on something unknown the way that allows more: in a `permit` it may hold, in a
 * `forbid` it may not. Whatever the policies as written allow for some value of it, these allow. Null: a `forbid` that
 * may not apply at all.
 */
export function doubt(policy: Policy, knows: Knows): Doubted | null {
  const unknown = new Set<string>()
  const applies = policy.effect === 'permit'
  const scoped = policy.json.principal.op !== 'All' && policy.json.principal.op !== 'is'
  if (scoped) {
    unknown.add('principal')
    if (!applies) return null
  }
  const conditions = policy.json.conditions.map(({ kind, body }) => ({
    kind,
    body: resolved(body, kind === 'when' ? applies : !applies, { knows, unknown }),
  }))
  // The shape of the JSON is kept: a constant stands where an expression stood.
  const json: PolicyJson = JSON.parse(
    JSON.stringify({
      ...policy.json,
      ...(scoped ? { principal: { op: 'All' } } : {}),
      conditions,
    }),
  )
  return {
    policy:
      unknown.size === 0 ? policy : { ...policy, json, reads: readsOf(json), approval: approvalUse(json) },
    unknown: [...unknown].toSorted(),
  }
}

type Doubting = { readonly knows: Knows; readonly unknown: Set<string> }

/** The expression with `to` in place of each smallest part that is true or false and depends on something unknown. */
function resolved(expression: unknown, to: boolean, doubting: Doubting): unknown {
  const found = unknownIn(expression, doubting.knows)
  if (found.length === 0) return expression
  const at = node(expression)
  if (at.op === 'binary' && (at.name === '&&' || at.name === '||'))
    return {
      [at.name]: { left: resolved(at.left, to, doubting), right: resolved(at.right, to, doubting) },
    }
  if (at.op === 'unary' && at.name === '!') return { '!': { arg: resolved(at.arg, !to, doubting) } }
  for (const path of found) doubting.unknown.add(path)
  return { Value: to }
}

/** Paths that an expression reads and nobody knows. */
function unknownIn(expression: unknown, knows: Knows): readonly string[] {
  const at = node(expression)
  if (at.op === 'unknown') return ['an expression that is not understood']
  const found = at.op === 'has' ? chain(at.left) : chain(expression)
  if (found !== null) {
    const path = at.op === 'has' ? [...found.path, ...at.names] : found.path
    return knows(found.root, path) ? [] : [[found.root, ...path].join('.')]
  }
  return parts(at).flatMap((part) => unknownIn(part, knows))
}
