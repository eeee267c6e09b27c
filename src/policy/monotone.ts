import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { anyInside, chain, node, parts } from './expression.ts'
import type { Node } from './expression.ts'

/**
 * How an expression moves when the approval grows (none → some, higher count, independent, stronger proof):
 * not at all, only up, only down, or either way.
 */
type Trend = 'still' | 'up' | 'down' | 'either'

export type ApprovalUse = {
  /** The policy looks at `context.approval` at all. */
  readonly used: boolean
  /** A top-level condition demands an approval: without one the policy cannot apply. */
  readonly demanded: boolean
  /** Facts of the approval that it compares. */
  readonly facts: { readonly count: boolean; readonly independent: boolean; readonly proof: boolean }
  /** Why more approval might allow less; null when it cannot. */
  readonly problem: { readonly message: string; readonly hint: string } | null
}

/**
 * Checks that more approval never allows less (DESIGN.md, "Asking, in Cedar"): the ladder finds *the least* approval
 * that allows, and the person's answer may exceed it. An attacker who could make an approval narrower than none would
 * turn a person's yes into a different policy.
 */
export function approvalUse(policy: PolicyJson): ApprovalUse {
  const conditions = policy.conditions.map((clause) => ({ kind: clause.kind, body: clause.body }))
  const used = conditions.some(({ body }) => mentions(body))
  const facts = {
    count: conditions.some(({ body }) => mentions(body, 'count')),
    independent: conditions.some(({ body }) => mentions(body, 'independent')),
    proof: conditions.some(({ body }) => mentions(body, 'proof')),
  }
  const demanded = conditions.some(({ kind, body }) => kind === 'when' && demands(body))
  return { used, demanded, facts, problem: used ? problemOf(policy) : null }
}

function problemOf(policy: PolicyJson): ApprovalUse['problem'] {
  const wanted: Trend = policy.effect === 'permit' ? 'up' : 'down'
  for (const clause of policy.conditions) {
    if (calculates(clause.body))
      return {
        message:
          'a policy that reads `context.approval` may not calculate: an overflow under an approval would deny',
        hint: 'compare with a constant instead, or put the calculation into a policy of its own that does not read `context.approval`',
      }
    const trend = clause.kind === 'when' ? trendOf(clause.body) : turned(trendOf(clause.body))
    if (trend !== 'still' && trend !== wanted)
      return {
        message:
          policy.effect === 'permit'
            ? 'by this `permit` more approval could allow less'
            : 'by this `forbid` more approval could forbid more',
        hint:
          policy.effect === 'permit'
            ? 'in a `permit` use `context has approval`, `context.approval.count >= N`, `context.approval.independent`, `context.approval.proof >= N`, never `==`, `<` or `!`'
            : 'in a `forbid` write `unless { context has approval && context.approval.count >= N }`, so that approval only ever lifts it',
      }
  }
  return null
}

/** The approval's facts that an expression names; any use of the bare `context` or of the whole approval counts. */
function mentions(expression: unknown, fact?: string): boolean {
  const at = node(expression)
  if (at.op === 'unknown') return true
  const found = at.op === 'has' ? chain(at.left) : chain(expression)
  if (found !== null) {
    const path = at.op === 'has' ? [...found.path, ...at.names] : found.path
    return found.root === 'context' && touches(path, at.op === 'has', fact)
  }
  return parts(at).some((part) => mentions(part, fact))
}

function touches(path: readonly string[], presence: boolean, fact: string | undefined): boolean {
  if (path.length === 0) return true
  if (path[0] !== 'approval') return false
  if (fact === undefined || path[1] === fact) return true
  return path.length === 1 && !presence
}

function demands(expression: unknown): boolean {
  const at = node(expression)
  if (at.op === 'binary' && at.name === '&&') return demands(at.left) || demands(at.right)
  if (at.op !== 'has') return false
  const found = chain(at.left)
  return found !== null && found.root === 'context' && [...found.path, ...at.names][0] === 'approval'
}

const calculations = new Set(['+', '-', '*', 'neg', 'offset', 'durationSince'])

const calculates = (expression: unknown): boolean =>
  anyInside(
    expression,
    (at) => (at.op === 'binary' || at.op === 'unary' || at.op === 'call') && calculations.has(at.name),
  )

function trendOf(expression: unknown): Trend {
  if (!mentions(expression)) return 'still'
  const at = node(expression)
  switch (at.op) {
    case 'has':
      return chain(at.left) === null || touchesBare(at) ? 'either' : 'up'
    case 'get':
      return isFact(expression) ? 'up' : 'either'
    case 'unary':
      return at.name === '!' ? turned(trendOf(at.arg)) : 'either'
    case 'binary':
      return trendOfBinary(at.name, at.left, at.right)
    case 'if':
      return trendOfIf(at)
    case 'var':
    case 'value':
    case 'call':
    case 'unknown':
      return 'either'
  }
}

const touchesBare = (at: Extract<Node, { op: 'has' }>): boolean => at.names.length === 0

function isFact(expression: unknown): boolean {
  const found = chain(expression)
  return found !== null && found.root === 'context' && found.path.length === 2 && found.path[0] === 'approval'
}

function trendOfBinary(name: string, left: unknown, right: unknown): Trend {
  switch (name) {
    case '&&':
    case '||':
      return both(trendOf(left), trendOf(right))
    case '>':
    case '>=':
      return both(trendOf(left), turned(trendOf(right)))
    case '<':
    case '<=':
      return both(turned(trendOf(left)), trendOf(right))
    case '==':
      return againstConstant(left, right) ?? againstConstant(right, left) ?? 'either'
    case '!=':
      return turned(againstConstant(left, right) ?? againstConstant(right, left) ?? 'either')
    default:
      return 'either'
  }
}

/** `x == true` moves as `x` does, `x == false` the other way. */
function againstConstant(expression: unknown, constant: unknown): Trend | null {
  const at = node(constant)
  if (at.op !== 'value' || typeof at.value !== 'boolean') return null
  return at.value ? trendOf(expression) : turned(trendOf(expression))
}

function trendOfIf(at: Extract<Node, { op: 'if' }>): Trend {
  const test = trendOf(at.test)
  const yes = node(at.yes)
  const no = node(at.no)
  if (test === 'still') return both(trendOf(at.yes), trendOf(at.no))
  if (no.op === 'value' && no.value === false) return both(test, trendOf(at.yes))
  if (yes.op === 'value' && yes.value === true) return both(test, trendOf(at.no))
  if (yes.op === 'value' && yes.value === false) return both(turned(test), trendOf(at.no))
  if (no.op === 'value' && no.value === true) return both(turned(test), trendOf(at.yes))
  return 'either'
}

function turned(trend: Trend): Trend {
  if (trend === 'up') return 'down'
  return trend === 'down' ? 'up' : trend
}

function both(a: Trend, b: Trend): Trend {
  if (a === 'still') return b
  return b === 'still' || a === b ? a : 'either'
}
