import type { Check, Found, Status } from './suite.ts'

export type Comparison = {
  /** Scenarios without a failure or a warning. */
  readonly direct: number
  readonly through: number
  /** `scenario:check` of what succeeds directly and does not through the broker. */
  readonly lost: readonly Lost[]
  /** Succeeds directly and is not exercised through the broker: what it tests is optional. */
  readonly quiet: readonly string[]
}

export type Lost = { readonly id: string; readonly status: Status | 'MISSING'; readonly message: string }

/** The worst of an id's checks counts: an id that repeats has failed when one of them has. */
const severity: readonly Status[] = ['FAILURE', 'WARNING', 'SUCCESS', 'INFO', 'SKIPPED']

const worst = (checks: readonly Check[]): Check | undefined =>
  checks.toSorted((a, b) => severity.indexOf(a.status) - severity.indexOf(b.status))[0]

const isPassed = (checks: readonly Check[]): boolean =>
  checks.length > 0 && checks.every(({ status }) => status !== 'FAILURE' && status !== 'WARNING')

export function compare(direct: Found, through: Found): Comparison {
  const lost: Lost[] = []
  const quiet: string[] = []
  for (const [scenario, checks] of direct) {
    const others = through.get(scenario) ?? []
    for (const id of new Set(checks.map((check) => check.id))) {
      const before = worst(checks.filter((check) => check.id === id))
      const after = worst(others.filter((check) => check.id === id))
      if (before?.status !== 'SUCCESS' || after?.status === 'SUCCESS') continue
      const name = `${scenario}:${id}`
      const optional = after?.status === 'INFO' || after?.status === 'SKIPPED'
      if (optional) quiet.push(name)
      else lost.push({ id: name, status: after?.status ?? 'MISSING', message: after?.message ?? '' })
    }
  }
  const passed = (found: Found) => [...found.values()].filter(isPassed).length
  return { direct: passed(direct), through: passed(through), lost, quiet }
}

/** Failures and warnings of one run that is compared with nothing. */
export const problemsOf = (checks: readonly Check[]): readonly Lost[] =>
  checks
    .filter(({ status }) => status === 'FAILURE' || status === 'WARNING')
    .map(({ id, status, message }) => ({ id, status, message }))
