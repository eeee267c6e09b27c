import { canonical } from '../lib/jcs.ts'
import { createAgentKey, loadAgentKey } from '../identity/key.ts'
import { PrivateFileError } from '../identity/private.ts'
import { plain, register, relist } from './registry.ts'
import { profileOf } from '../registry/profiles.ts'
import { readFile } from 'node:fs/promises'
import type { Config } from '../config/schema.ts'
import { plainTemplate, type Core, type Ground } from './core.ts'
import type { TaskTemplate } from '../identity/caller.ts'

export type Configured = {
  readonly ground: Ground
  readonly core: Core
  readonly agents: Config['agents']
  readonly servers: Config['servers']
}

const byConfig = { name: 'configuration', proof: 'file' }

/**
 * Brings the registry to what the configuration file names: servers, their reviewed definitions, agents with keys. Lists
 * every active server once; the problems come back by name and stop nothing else.
 */
export async function registerConfigured(parts: Configured): Promise<{ readonly [server: string]: string }> {
  const { registry } = parts.core
  for (const [name, config] of Object.entries(parts.servers)) await bringIn(parts, name, plain(config))
  for (const [name, config] of Object.entries(parts.agents)) await bringAgent(parts, name, config)
  const problems: { [server: string]: string } = {}
  await Promise.all(
    registry.servers().map(async (server) => {
      const { problem } = await relist({ ...parts.core, clock: parts.ground.clock }, server)
      const imported = problem ?? (await badProfile(parts, server)) ?? (await importReviews(parts, server))
      if (imported !== null) problems[server] = imported
    }),
  )
  return problems
}

async function bringIn({ core }: Configured, name: string, config: ReturnType<typeof plain>): Promise<void> {
  const known = core.registry.record(name)
  if (known?.state === 'active') {
    if (canonical(known.config) === canonical(config)) return
    await core.registry.removeServer({ name, by: byConfig })
  }
  const failed = await register(core.registry, { name, config, source: 'config' }, byConfig)
  if (failed !== null) throw new Error(`server \`${name}\`: ${failed.message}`)
}

/** Said at start and not only when somebody reviews. */
async function badProfile({ core }: Configured, server: string): Promise<string | null> {
  const read = await profileOf(core.registry.record(server)?.config ?? {})
  return read.ok ? null : `its profile: ${read.problem}`
}

/** Reviews that a person made elsewhere and keeps in a file: only exactly those definitions are pinned. */
async function importReviews({ core, servers }: Configured, server: string): Promise<string | null> {
  const file = servers[server]?.reviewed
  if (file === undefined) return null
  const text = await readFile(file, 'utf8').catch(() => null)
  if (text === null) return `its reviews \`${file}\` cannot be read`
  const imported = await core.registry.importReviewed({ server, text, by: byConfig })
  if (!imported.ok) return `its reviews \`${file}\`: ${imported.problem}`
  return null
}

async function bringAgent(
  { core, ground }: Configured,
  name: string,
  config: Config['agents'][string],
): Promise<void> {
  if ((await core.agents.get(name)) !== null) return
  const key = await createAgentKey(ground.home, name).catch((problem: unknown) => {
    if (problem instanceof PrivateFileError) return loadAgentKey(ground.home, name)
    throw problem
  })
  const template: TaskTemplate = {
    ...plainTemplate(ground.config),
    purposeClass: config.task.purpose,
    environment: config.task.environment ?? ground.config.environment,
    tools: config.task.tools,
    budget: plainBudget(config.task.budget),
    lifetimeMs: Math.round(config.task.lifetimeMinutes * 60_000),
    idleMs: Math.round(config.task.idleMinutes * 60_000),
  }
  const owner = config.owner ?? ground.operator
  const added = await core.agents.add({ name, owner, publicKey: key.publicKey, template }, byConfig)
  if (!added.ok) throw new Error(`agent \`${name}\`: ${added.detail}`)
}

/** Without members that are undefined: a budget says what is limited and nothing else. */
function plainBudget(budget: Config['agents'][string]['task']['budget']): TaskTemplate['budget'] {
  const effects = Object.fromEntries(
    Object.entries(budget.effects ?? {}).filter(([, most]) => most !== undefined),
  )
  return {
    ...(budget.calls === undefined ? {} : { calls: budget.calls }),
    ...(budget.effects === undefined ? {} : { effects }),
  }
}
