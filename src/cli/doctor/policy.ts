import { bad, hintOf, ok, said, warning, type Check } from './check.ts'
import { live } from '../../store/verbs/policies.ts'
import { loadPolicies } from '../../policy/load.ts'
import { servers as registered, tools as known } from '../../store/verbs/registry.ts'
import { startingPolicy } from '../../compose/policies.ts'
import type { Config } from '../../config/schema.ts'
import type { Look } from './look.ts'

/** The set that the next start would load, checked as that start would check it. */
export async function policy(config: Config, look: Look | null): Promise<Check> {
  try {
    const kept = { live: async () => (look === null ? null : look.view(live())) }
    const { files } = await startingPolicy(config.policy, kept)
    const tools = look === null ? [] : await look.view(known())
    const records = look === null ? [] : await look.view(registered())
    const active = records.filter(({ state }) => state === 'active')
    const servers = [...new Set([...active.map(({ name }) => name), ...Object.keys(config.servers)])]
    const loaded = await loadPolicies({ sources: files, tools, servers })
    const names = files.map(({ name }) => name).join(', ')
    if (loaded.ok) return ok('policy', `${names}: ${loaded.snapshot.policies.length} policies`)
    const [first] = loaded.problems
    const detail =
      first === undefined
        ? `${names}: it does not load`
        : `${first.file}:${first.line}:${first.column}: ${first.message}`
    const hint = first?.hint ?? 'countersign policy check'
    // A policy may name tools that only the first listing shows; the broker then allows nothing until it has them.
    const unlisted = servers.some((name) => (active.find((one) => one.name === name)?.view ?? null) === null)
    return unlisted
      ? warning('policy', `${detail}; some servers have not been listed yet`, hint)
      : bad('policy', detail, hint)
  } catch (problem) {
    return bad('policy', said(problem), hintOf(problem, 'countersign policy check'))
  }
}
