import { lintProfile } from '../registry/costs.ts'
import { matchProfile } from '../registry/recognise.ts'
import { packagedProfiles, profileOf } from '../registry/profiles.ts'
import { proposalFor } from '../registry/propose.ts'
import { Unsteady } from '../registry/steady.ts'
import { toCatalogue } from '../registry/define.ts'
import { serverSchema } from '../config/schema.ts'
import { profilesOf, toolsShown } from '../door/operator/registry.ts'
import type { Actor } from '../identity/actor.ts'
import type { Clock } from '../lib/clock.ts'
import type { JsonObject } from '../lib/json.ts'
import type { LiveRegistry } from '../registry/live.ts'
import type { Profile } from '../registry/profile.ts'
import type { PartResult, RegistryPart } from '../door/operator/parts.ts'
import type { ServerRecord } from '../store/ports.ts'
import type { ServersPort } from '../server/servers.ts'
import type { TaskLenders } from '../credential/lender.ts'
import type { Tool } from '../registry/tool.ts'

export type RegistryParts = {
  readonly registry: LiveRegistry
  readonly servers: Pick<ServersPort, 'catalogue'>
  readonly lenders: Pick<TaskLenders, 'lend' | 'close' | 'closeAll'>
  readonly clock: Clock
}

/** How long a listing may hold a credential. */
const listingMs = 60_000

/** `keptOut`: what the server listed that is no sound definition; nobody can call it. */
export type Relisted = { readonly problem: string | null; readonly keptOut: readonly string[] }

/** Lists a server's offer anew and lets the registry judge it. Words about the failure when it could not be listed. */
export async function relist(parts: RegistryParts, server: string): Promise<Relisted> {
  const now = parts.clock.now()
  const lease = await parts.lenders.lend({
    server,
    task: `listing ${server}`,
    call: 'listing',
    until: now + listingMs,
    now,
  })
  if ('problem' in lease) return { problem: lease.detail, keptOut: [] }
  try {
    const raw = await parts.servers.catalogue(server, { lease })
    if ('kind' in raw) return { problem: `${raw.problem}: ${raw.detail}`, keptOut: [] }
    const { catalogue, problems } = await toCatalogue(raw)
    const unsteady = await parts.registry.observe(catalogue).then(() => null, unsteadyOf)
    if (unsteady !== null) return { problem: unsteady, keptOut: [] }
    return { problem: null, keptOut: problems.map(({ at, problem }) => `${at}: ${problem}`) }
  } finally {
    await parts.lenders.close(lease)
    await parts.lenders.closeAll(`listing ${server}`)
  }
}

/** In words; what is no matter of the server's is a fault. */
const unsteadyOf = (problem: unknown): string => {
  if (problem instanceof Unsteady) return problem.message
  throw problem
}

/** Registering, showing and reviewing servers and their tools, for operators. */
export function registryPart(parts: RegistryParts): RegistryPart {
  const { registry } = parts
  const profile = (server: string) => profileOf(registry.record(server)?.config ?? {})
  const listed = async (server: string): Promise<PartResult> => {
    const { problem, keptOut } = await relist(parts, server)
    const tools = registry.tools({ server }).filter(({ state }) => state !== 'removed')
    return {
      ok: true,
      value: {
        server,
        listed: problem === null,
        problem,
        keptOut,
        tools: await toolsShown(tools, await profilesOf({ profile }, tools)),
      },
    }
  }
  return {
    servers: async () => registry.records().map((record) => shown(registry, record)),
    server: async (name) => {
      const record = registry.record(name)
      return record === null ? null : shown(registry, record)
    },
    addServer: async ({ name, config }, by) => {
      if (registry.record(name)?.state === 'active') {
        return {
          ok: false,
          problem: 'conflict',
          message: `\`${name}\` is registered already`,
          hint: `countersign server remove ${name}`,
        }
      }
      const added = await register(registry, { name, config, source: 'command' }, by)
      return added ?? listed(name)
    },
    removeServer: async (name, by) =>
      (await registry.removeServer({ name, by }))
        ? { ok: true, value: { server: name } }
        : {
            ok: false,
            problem: 'not-found',
            message: `there is no server \`${name}\``,
            hint: 'countersign server list',
          },
    refreshServer: async (name) =>
      registry.record(name)?.state === 'active'
        ? listed(name)
        : {
            ok: false,
            problem: 'not-found',
            message: `there is no server \`${name}\``,
            hint: 'countersign server list',
          },
    tools: async (filter) => registry.tools(filter),
    tool: async (id) => registry.tool(id),
    reviews: async (server) =>
      registry.record(server) === null ? null : plain(registry.exportReviewed(server)),
    profile,
    lint: (server) => lintServer(registry, server),
    diff: async (id) => {
      const diff = registry.diff(id)
      return diff === null ? null : plain(diff)
    },
    review: async ({ tool: id, digest, accept, overrides, profile: seen }, by) => {
      if (!accept) {
        const rejected = await registry.reject({ id, digest, by })
        return rejected.ok
          ? { ok: true, value: { tool: id, state: 'quarantined' } }
          : moved(rejected.problem, id)
      }
      const reviewed = await registry.review({
        id,
        digest,
        overrides,
        by,
        ...(seen === undefined ? {} : { profile: seen }),
      })
      if (reviewed.ok)
        return { ok: true, value: { tool: id, state: 'reviewed', review: plain(reviewed.review) } }
      const problem =
        reviewed.problem === 'bad-review'
          ? 'invalid'
          : reviewed.problem === 'removed'
            ? 'not-found'
            : 'conflict'
      return { ok: false, problem, message: reviewed.detail }
    },
  }
}

/** What the profile of a server leaves unsaid; which packaged one would fit, when its configuration names none. */
async function lintServer(registry: LiveRegistry, server: string): Promise<JsonObject | null> {
  const record = registry.record(server)
  if (record === null) return null
  const offered = registry.tools({ server }).filter(({ state }) => state !== 'removed')
  const definitions = offered.map(({ definition }) => definition)
  const read = await profileOf(record.config)
  const profile = read.ok ? read.profile : null
  const calls = record.view?.serverInfo.name
  const seen = { config: record.config, calls: typeof calls === 'string' ? calls : null, definitions }
  const fits = profile === null ? matchProfile(await packagedProfiles(), seen) : null
  return plain({
    server,
    profile: profile?.name ?? null,
    digest: profile?.digest ?? null,
    problem: read.ok ? null : read.problem,
    suggested:
      fits === null ? null : { name: fits.profile.name, by: fits.by, known: fits.known, of: fits.of },
    source: record.source,
    findings: lintProfile(profile, definitions),
    behind: profile === null ? [] : behind(offered, profile),
  })
}

/** Reviewed tools of which the profile says what their review does not: it never reviews by itself. */
const behind = (tools: readonly Tool[], profile: Profile): readonly string[] =>
  tools.flatMap(({ id, state, review, definition }) => {
    const proposal = proposalFor(profile, definition)
    const lacks = review?.bears === undefined && proposal?.bears !== undefined
    return state === 'reviewed' &&
      (lacks || (review?.results === undefined && proposal?.results !== undefined))
      ? [id]
      : []
  })

/** Registers a server from its configuration; null when done. */
export async function register(
  registry: LiveRegistry,
  server: { readonly name: string; readonly config: JsonObject; readonly source: ServerRecord['source'] },
  by: Actor,
): Promise<Extract<PartResult, { ok: false }> | null> {
  const parsed = serverSchema.safeParse(server.config)
  if (!parsed.success) {
    return {
      ok: false,
      problem: 'invalid',
      message: parsed.error.issues.map(({ message }) => message).join('; '),
    }
  }
  const record: ServerRecord = {
    name: server.name,
    config: plain(parsed.data),
    source: server.source,
    environment: parsed.data.environment,
    state: 'active',
    view: null,
  }
  await registry.addServer({ record, by })
  return null
}

const moved = (problem: 'unknown-tool' | 'digest-moved', id: string): PartResult =>
  problem === 'unknown-tool'
    ? { ok: false, problem: 'not-found', message: `there is no tool \`${id}\`` }
    : {
        ok: false,
        problem: 'conflict',
        message: `\`${id}\` has changed since it was shown; look at it again`,
      }

function shown(registry: LiveRegistry, record: ServerRecord): JsonObject {
  const tools = registry.tools({ server: record.name })
  const count = (state: string) => tools.filter((tool) => tool.state === state).length
  return {
    ...plain(record),
    tools: { reviewed: count('reviewed'), quarantined: count('quarantined'), removed: count('removed') },
  }
}

/** A plain copy without undefined members. */
export const plain = (value: object): JsonObject => JSON.parse(JSON.stringify(value))
