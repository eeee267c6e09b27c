import { buildReview, pin } from './review.ts'
import { canonical } from '../lib/jcs.ts'
import { demandFewNames, type Steadiness } from './steady.ts'
import { proposalFor, proposed } from './propose.ts'
import { batch, writeInTurns, type Turns } from './turns.ts'
import { idOf } from './define.ts'
import { matchReviewed, parseReviewed } from './reviewed.ts'
import { inSlices } from '../lib/slices.ts'
import { observing } from './observe.ts'
import type { Acts, By } from './acts.ts'
import type { Catalogue, Tool, ToolId } from './tool.ts'
import type { Clock } from '../lib/clock.ts'
import type { Held, Written } from './held.ts'
import type { Observed } from './observe.ts'
import type { Other } from './lint.ts'
import type { Overrides, Reviewed } from './review.ts'
import type { ReadsProfiles } from './profiles.ts'
import type { RegistryStore, ServerRecord } from '../store/ports.ts'

/** What changes the registry: within turns of `held`, written with its entry, and then shown. */

export type Parts = {
  readonly held: Held
  readonly acts: Acts
  readonly store: RegistryStore
  readonly clock: Clock
  readonly profiles: ReadsProfiles
  readonly steadiness: Steadiness
}

export type Reviewing = {
  readonly id: ToolId
  readonly digest: string
  readonly overrides: Overrides
  /** Digest of the profile whose proposal the reviewer saw, null for none; left out when nothing was shown. */
  readonly profile?: string | null
  readonly by: By
}
export type Rejecting = { readonly id: ToolId; readonly digest: string; readonly by: By }
export type Rejected =
  { readonly ok: true } | { readonly ok: false; readonly problem: 'unknown-tool' | 'digest-moved' }
export type Importing = { readonly server: string; readonly text: string; readonly by: By }
export type Imported =
  | {
      readonly ok: true
      readonly pinned: readonly ToolId[]
      readonly moved: readonly ToolId[]
      readonly missing: readonly ToolId[]
    }
  | { readonly ok: false; readonly problem: string }

/** What the broker does by itself, without a person. */
const broker: By = { name: 'broker', proof: 'none' }

/** So often what was planned may have to be planned anew because others changed the same tools. */
const mostRounds = 8

/**
 * What a long listing means takes seconds to find out and to write: that is many turns, and others go on in between. A
 * short one is one turn. The registry sees to it that observations of one server come one after the other.
 */
export function observeServer(parts: Parts, catalogue: Catalogue): Promise<Observed> {
  const { held } = parts
  const most = Math.max(catalogue.definitions.length, held.toolsOf(catalogue.server).length)
  return most <= batch
    ? held.inTurn(() => observeIn((work) => work(), parts, catalogue))
    : observeIn((work) => held.inTurn(work), parts, catalogue)
}

async function observeIn(turn: Turns['turn'], parts: Parts, catalogue: Catalogue): Promise<Observed> {
  const { held } = parts
  const { server, definitions: _, ...view } = catalogue
  const record = activeRecord(held, server)
  const stands = (): boolean => {
    const now = held.server(server)
    return now?.state === 'active' && reached(now) === reached(record)
  }
  const finish = () => putView(parts, { server, view })
  for (let round = 1; round <= mostRounds && stands(); round += 1) {
    const tools = held.tools()
    const others = othersOf(tools, server)
    const current = held.toolsOf(server)
    const observed = await inSlices(observing({ current, catalogue, others }))
    const changes = observed.changed.flatMap((to, index) => {
      const act = observed.acts[index]
      return act === undefined ? [] : [{ to, was: tools.get(to.id) ?? null, act, by: broker }]
    })
    demandSteady(parts, catalogue, observed)
    if (!(await writeInTurns(parts, changes, { turn, stands, finish }))) continue
    held.release(server)
    return observed
  }
  throw new Error(`the registry of \`${server}\` moved all the time; list it again`)
}

function activeRecord(held: Held, server: string): ServerRecord {
  const record = held.server(server)
  if (record?.state === 'active') return record
  throw new Error(`expected a registered server, found \`${server}\`; add it first`)
}

async function putView(
  { held, store }: Parts,
  { server, view }: { readonly server: string; readonly view: NonNullable<ServerRecord['view']> },
): Promise<Omit<Written, 'tools'>> {
  const record = activeRecord(held, server)
  if (JSON.stringify(record.view) === JSON.stringify(view)) return { writes: 0 }
  await store.putView(server, view)
  return { writes: 1, servers: [{ ...record, view }] }
}

/** Fails closed: what has changed cannot be called although nothing of it is recorded. */
function demandSteady({ held, steadiness }: Parts, catalogue: Catalogue, { changed }: Observed): void {
  const { server } = catalogue
  try {
    demandFewNames(held.toolsOf(server), catalogue, (definition) => idOf(server, definition))
    steadiness.demand(server, changed.length)
  } catch (unsteady) {
    const callable = changed.filter(({ id }) => held.view().tools.get(id)?.state === 'reviewed')
    if (callable.length > 0) held.withhold(callable.map(({ id }) => id))
    throw unsteady
  }
}

export async function reviewTool(
  { held, acts, store, clock, profiles }: Parts,
  reviewing: Reviewing,
): Promise<Reviewed> {
  const { id, digest, overrides, by } = reviewing
  const tool = held.tools().get(id)
  const server = tool === undefined ? undefined : held.server(tool.server)
  if (tool === undefined || server === undefined) {
    return { ok: false, problem: 'removed', detail: `there is no tool \`${id}\`` }
  }
  const { environment } = server
  const at = clock.now()
  const read = await profiles(server.config)
  if (!read.ok) return { ok: false, problem: 'bad-review', detail: `its profile: ${read.problem}` }
  const { profile } = read
  if (reviewing.profile !== undefined && reviewing.profile !== (profile?.digest ?? null))
    return {
      ok: false,
      problem: 'digest-moved',
      detail: `the profile of \`${server.name}\` has changed since \`${id}\` was shown; look at it again`,
    }
  const proposal = profile === null ? null : proposalFor(profile, tool.definition)
  const built = buildReview({ tool, digest, overrides, proposal, reviewer: by.name, at, environment })
  if (!built.ok) return built
  const origin = {
    from: 'operator',
    profile: proposal === null ? null : profile,
    proposed: proposed(tool.definition, proposal).effects,
  } as const
  const stored = await store.review(id, built.review, acts.review(tool, built.review, by, origin))
  if (!stored.ok) {
    await held.reload()
    return {
      ok: false,
      problem: 'digest-moved',
      detail: `\`${id}\` has changed since it was shown; look at it again`,
    }
  }
  await held.accept({ writes: 1, tools: [pin(tool, built.review)] })
  return built
}

export async function rejectTool(
  { held, acts, store }: Parts,
  { id, digest, by }: Rejecting,
): Promise<Rejected> {
  const tool = held.tools().get(id)
  if (tool === undefined || tool.state === 'removed') return { ok: false, problem: 'unknown-tool' }
  if (tool.digest !== digest) return { ok: false, problem: 'digest-moved' }
  const rejected: Tool =
    tool.state === 'reviewed' ? { ...tool, state: 'quarantined', pinned: null, review: null } : tool
  const entry = acts.act({ act: 'tool-rejected', by, subject: id, detail: { digest, was: tool.state } })
  await store.putTools([{ to: rejected, was: tool }], entry)
  await held.accept({ writes: 1, tools: [rejected] })
  return { ok: true }
}

export async function importReviews(parts: Parts, { server, text, by }: Importing): Promise<Imported> {
  const { held, acts, store } = parts
  const parsed = parseReviewed(text)
  if (!parsed.ok) return parsed
  if (parsed.file.server !== server) {
    return {
      ok: false,
      problem: `expected reviews of \`${server}\`, found those of \`${parsed.file.server}\``,
    }
  }
  const { fresh, moved, missing } = matchReviewed(parsed.file, held.toolsOf(server))
  for (const { tool, review } of fresh) {
    const stored = await store.review(
      tool.id,
      review,
      acts.review(tool, review, by, { from: 'file', profile: null }),
    )
    if (stored.ok) continue
    await held.reload()
    return { ok: false, problem: `\`${tool.id}\` changed meanwhile; import the file again` }
  }
  if (fresh.length > 0) {
    await held.accept({ writes: fresh.length, tools: fresh.map(({ tool, review }) => pin(tool, review)) })
  }
  return { ok: true, pinned: fresh.map(({ tool }) => tool.id), moved, missing }
}

export async function addServer(parts: Parts, record: ServerRecord, by: By): Promise<void> {
  const { held, acts, store } = parts
  const before = held.server(record.name)
  if (before?.state === 'active') {
    throw new Error(`expected a new name, found \`${record.name}\`, which is registered; remove it first`)
  }
  // Before the server is there: if the process died in between, reviews would hold for a program nobody looked at.
  if (before !== undefined && reached(before) !== reached(record))
    await withdrawReviews(parts, record.name, by)
  await store.putServer({ to: record, was: before ?? null }, acts.server('server-added', record, by))
  await held.accept({ writes: 1, servers: [record] })
}

/**
 * Another program or address under a known name is another server, whatever definitions it offers (incident 11: the
 * command of an approved entry is exchanged). Its tools are reviewed anew.
 */
async function withdrawReviews({ held, acts, store }: Parts, server: string, by: By): Promise<void> {
  const tools = held.toolsOf(server).filter((tool) => tool.review !== null)
  for (const tool of tools) {
    const detail = { because: 'its server is another now', digest: tool.review?.digest ?? null }
    const entry = acts.act({ act: 'review-withdrawn', by, subject: tool.id, detail })
    const bare: Tool = { ...tool, pinned: null, review: null }
    await store.putTools([{ to: bare, was: tool }], entry)
    await held.accept({ writes: 1, tools: [bare] })
  }
}

/** What decides who answers: not how long it may take, nor with what credential it is asked. */
const reached = ({ config, environment }: ServerRecord): string => {
  const { command = null, args = null, cwd = null, env = null, url = null } = config
  return canonical({ command, args, cwd, env, url, environment })
}

/** False when there is no such server. Its tools leave tombstones with their reviews. */
export async function removeServer(parts: Parts, name: string, by: By): Promise<boolean> {
  const { held } = parts
  if (!(await held.inTurn(() => putRemoved(parts, name, by)))) return false
  // From here on nothing of it is found, whatever happens to the tombstones.
  const detail = { because: 'its server was removed' }
  const gone = held.toolsOf(name).filter((tool) => tool.state !== 'removed')
  await writeInTurns(
    parts,
    gone.map((was) => ({
      to: { ...was, state: 'removed' },
      was,
      act: { act: 'tool-removed', subject: was.id, detail },
      by,
    })),
    {
      turn: (work) => held.inTurn(work),
      stands: () => held.server(name)?.state === 'removed',
      finish: async () => ({ writes: 0 }),
    },
  )
  return true
}

async function putRemoved({ held, acts, store }: Parts, name: string, by: By): Promise<boolean> {
  const record = held.server(name)
  if (record?.state !== 'active') return false
  const removed: ServerRecord = { ...record, state: 'removed', view: null }
  await store.putServer({ to: removed, was: record }, acts.server('server-removed', record, by))
  await held.accept({ writes: 1, servers: [removed] })
  return true
}

const othersOf = (tools: ReadonlyMap<ToolId, Tool>, server: string): readonly Other[] =>
  [...tools.values()]
    .filter((tool) => tool.server !== server && tool.kind === 'tool' && tool.state !== 'removed')
    .map(({ server: other, name }) => ({ server: other, name }))
