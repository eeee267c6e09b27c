import { effects } from '../registry/tool.ts'
import { within } from './match.ts'
import type { Budget, Task, Usage } from './task.ts'

/** The part of a task that says what may be done with it. */
export type Scope = Pick<
  Task,
  'agent' | 'owner' | 'environment' | 'tools' | 'budget' | 'expiresAt' | 'idleMs'
> & { readonly purposeClass: string }

export const scopeOf = (task: Task): Scope => ({ ...task, purposeClass: task.purpose.class })

/**
 * Why `inner` may do something that `outer` may not, or null when it only narrows. Pure, reflexive and transitive: a
 * chain of sub-tasks can never win back what one of them gave up. `outer.budget` is what remains (see `remaining`).
 */
export function widens(inner: Scope, outer: Scope): string | null {
  if (inner.agent !== outer.agent) return 'a sub-task belongs to the same agent'
  if (inner.owner !== outer.owner) return 'a sub-task is done for the same person'
  if (inner.environment !== outer.environment) return `the environment stays \`${outer.environment}\``
  if (inner.purposeClass !== outer.purposeClass) return `the purpose stays \`${outer.purposeClass}\``
  if (!within(inner.tools, outer.tools)) return `tools beyond ${listed(outer.tools)}`
  if (inner.expiresAt > outer.expiresAt) return `an end after ${new Date(outer.expiresAt).toISOString()}`
  if (outer.idleMs > 0 && (inner.idleMs === 0 || inner.idleMs > outer.idleMs))
    return `an idle limit above ${outer.idleMs} ms`
  return widensBudget(inner.budget, outer.budget)
}

/** Why `inner` could use up more than `outer`, or null. A limit may be added, never left out. */
export function widensBudget(inner: Budget, outer: Budget): string | null {
  if (!atMost(inner.calls, outer.calls)) return `more than ${outer.calls} calls`
  const effect = effects.find((name) => !atMost(inner.effects?.[name], outer.effects?.[name]))
  return effect === undefined ? null : `more than ${outer.effects?.[effect]} calls that ${effect}`
}

const atMost = (inner: number | undefined, outer: number | undefined): boolean =>
  outer === undefined || (inner !== undefined && inner <= outer)

/** What is left of a budget. Never below zero. */
export function remaining(budget: Budget, used: Usage): Budget {
  return budgetOf(
    left(budget.calls, used.calls),
    effects.flatMap((name) => {
      const rest = left(budget.effects?.[name], used.effects[name] ?? 0)
      return rest === undefined ? [] : [[name, rest] as const]
    }),
  )
}

/** The tighter of two budgets, limit by limit: a sub-task that asks for none gets its parent's. */
export function tighter(a: Budget, b: Budget): Budget {
  return budgetOf(
    least(a.calls, b.calls),
    effects.flatMap((name) => {
      const limit = least(a.effects?.[name], b.effects?.[name])
      return limit === undefined ? [] : [[name, limit] as const]
    }),
  )
}

const left = (limit: number | undefined, used: number): number | undefined =>
  limit === undefined ? undefined : Math.max(0, limit - used)

const least = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)

const budgetOf = (calls: number | undefined, limits: readonly (readonly [string, number])[]): Budget => ({
  ...(calls === undefined ? {} : { calls }),
  ...(limits.length === 0 ? {} : { effects: Object.fromEntries(limits) }),
})

const listed = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ')
