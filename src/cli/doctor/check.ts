/** One thing that was looked at. `hint` is something to paste or to do; empty when all is well. */
export type Check = {
  readonly what: string
  readonly state: 'ok' | 'warning' | 'bad'
  readonly detail: string
  readonly hint: string
}

/** What stops calls, or soon will, is `bad`; what an operator should know of is a `warning`. */
export const ok = (what: string, detail: string): Check => ({ what, state: 'ok', detail, hint: '' })
export const warning = (what: string, detail: string, hint: string): Check => ({
  what,
  state: 'warning',
  detail,
  hint,
})
export const bad = (what: string, detail: string, hint: string): Check => ({
  what,
  state: 'bad',
  detail,
  hint,
})

/** A surprise in words: a code of the system when there is one. No check ends the others. */
export function said(problem: unknown): string {
  if (!(problem instanceof Error)) return 'a fault'
  const code = 'code' in problem && typeof problem.code === 'string' ? problem.code : null
  return code === null || problem.message.includes(code)
    ? problem.message.slice(0, 300)
    : `${problem.message.slice(0, 300)} (${code})`
}

export const hintOf = (problem: unknown, otherwise: string): string =>
  problem instanceof Error && 'hint' in problem && typeof problem.hint === 'string' ? problem.hint : otherwise

/** `work`, or a rejection after `ms`: nothing that is looked at may hold the doctor. */
export async function within<Result>(ms: number, work: Promise<Result>): Promise<Result> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${ms / 1000} s`)), ms)
  return Promise.race([work, late.promise]).finally(() => clearTimeout(timer))
}
