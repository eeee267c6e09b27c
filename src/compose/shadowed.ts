import { brokerActor } from '../identity/actor.ts'
import { createPolicies, type LivePolicies } from '../policy/live.ts'
import { createShadow, type Said, type Shadow, type ShadowDifference } from '../policy/shadow.ts'
import { readFolder } from './policies.ts'
import { readStarter, starters } from '../policy/starter.ts'
import { rfc3339 } from '../lib/clock.ts'
import type { Core, Ground } from './core.ts'
import type { JsonObject } from '../lib/json.ts'

/** The set of `policy.shadow` beside the live one, and its differences on their way into the log. */
export type Shadowing = Pick<Shadow, 'see'> & {
  /** Loads what could not be loaded before, and writes the differences whose window has ended. `Infinity`: all. */
  tick(now: number): Promise<void>
}

/** Null without `policy.shadow`: nothing is judged twice, and nothing is looked at. */
export function createShadowing(ground: Ground, core: Pick<Core, 'registry'>): Shadowing | null {
  const named = ground.config.policy.shadow
  if (named === undefined) return null
  const { registry } = core
  let live: LivePolicies | null = null
  let isDue = true
  let told = ''
  const unwritten: ShadowDifference[] = []
  const shadow = createShadow(() => live?.snapshot() ?? null)
  registry.onChange(() => {
    isDue = true
    live?.registryChanged(registry.tools())
  })

  /** Policies may name what only a listing shows, so a set that does not load is tried again when the registry moves. */
  async function load(): Promise<void> {
    if (live !== null || !isDue) return
    isDue = false
    const starter = starters.find((one) => one === named)
    const read = starter === undefined ? readFolder(named ?? '', 'policy.shadow') : readStarter(starter)
    const problem = await read.then(
      async (sources) => {
        const servers = [...new Set([...registry.servers(), ...Object.keys(ground.config.servers)])]
        const started = await createPolicies({ sources, tools: registry.tools(), servers })
        if (!started.ok)
          return started.problems.map(({ file, line, message }) => `${file}:${line}: ${message}`).join('; ')
        live = started.policies
        live.registryChanged(registry.tools())
        return ''
      },
      (surprise: unknown) => (surprise instanceof Error ? surprise.message : 'it cannot be read'),
    )
    const version = live === null ? '' : snapshotOf(live)
    if (problem !== '' && problem !== told)
      await tell('policy-shadow-refused', { problem: problem.slice(0, 2000) })
    if (version !== '') await tell('policy-shadow-loaded', { version })
    told = problem
  }

  const tell = (act: string, detail: JsonObject): Promise<void> =>
    ground.store.log.append(ground.acts({ act, subject: named ?? '', detail }, brokerActor), null)

  return {
    see: shadow.see,
    async tick(now) {
      if (now !== Infinity) await load()
      // What was drained stays here until it is written: a store that fails loses none of it.
      if (unwritten.length === 0) unwritten.push(...shadow.drain(now))
      for (let one = unwritten[0]; one !== undefined; one = unwritten[0]) {
        await tell('policy-shadow-differs', detailOf(one))
        unwritten.shift()
      }
    },
  }
}

const snapshotOf = (policies: LivePolicies): string => policies.snapshot().version

const detailOf = (one: ShadowDifference): JsonObject => ({
  tool: one.tool,
  policy: one.policy,
  live: said(one.live),
  shadow: one.shadow === null ? null : said(one.shadow),
  count: one.count,
  calls: one.calls,
  since: rfc3339(one.since),
  until: rfc3339(one.until),
})

const mostPolicies = 32

const said = ({ decision, policies, requirement }: Said): JsonObject => ({
  decision,
  policies: policies.slice(0, mostPolicies),
  requirement: requirement === null ? null : { ...requirement },
})
