import { problemsOf, type Lost } from './compare.ts'
import { requirementsOf, revisions, runClientScenario, type Revision } from './suite.ts'
import { resolve } from 'node:path'

/** The suite's client scenarios with the broker as the client. */
export type AsClient = {
  readonly passed: number
  readonly failed: readonly (Lost & { readonly scenario: string; readonly revision: Revision })[]
  /** Those that do not concern a broker, by the reason. */
  readonly unconcerned: { readonly [reason: string]: readonly string[] }
}

const oauth =
  'OAuth: the broker lends credentials from its own store and follows no server to an authorization server'

/** Why a scenario does not concern the broker's face to servers; null when it does. */
const unconcerned = (scenario: string): string | null => (scenario.startsWith('auth/') ? oauth : null)

const driver = `"${process.execPath}" "${resolve(import.meta.dirname, 'client.ts')}"`

export async function runAsClient(told: (line: string) => void): Promise<AsClient> {
  const failed: AsClient['failed'][number][] = []
  const left: { [reason: string]: string[] } = {}
  let passed = 0
  for (const revision of revisions) {
    const { client, unscored } = await requirementsOf(revision)
    const beside = unscored.filter(({ leg }) => leg === 'client').map(({ scenario }) => scenario)
    for (const scenario of [...client, ...beside]) {
      const reason = unconcerned(scenario)
      if (reason !== null) {
        ;(left[reason] ??= []).push(`${revision} ${scenario}`)
        continue
      }
      told(`client scenario ${scenario} (${revision})`)
      const checks = await runClientScenario(driver, scenario, revision)
      const problems = problemsOf(checks)
      if (checks.length > 0 && problems.length === 0) passed += 1
      else if (checks.length === 0)
        failed.push({ scenario, revision, id: scenario, status: 'MISSING', message: '' })
      failed.push(...problems.map((problem) => ({ ...problem, scenario, revision })))
    }
  }
  return { passed, failed, unconcerned: left }
}
