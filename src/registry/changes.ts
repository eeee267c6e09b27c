import { buildReview, pin } from './review.ts'
import { canonical } from '../lib/jcs.ts'
import { matchReviewed, parseReviewed } from './reviewed.ts'
import { observe } from './observe.ts'
import type { Acts, By } from './acts.ts'
import type { Catalogue, Tool, ToolId } from './tool.ts'
import type { Clock } from '../lib/clock.ts'
import type { Held } from './held.ts'
import type { Observed, ToolAct } from './observe.ts'
import type { Other } from './lint.ts'
import type { Overrides, Reviewed } from './review.ts'
import { StoreMoved } from '../store/conflict.ts'
import type { Change, RegistryStore, ServerRecord } from '../store/ports.ts'

/** What changes the registry. Each function runs within a turn of `held`, writes with its entry, and then shows it. */

export type Parts = {
  readonly held: Held
  readonly acts: Acts
  readonly store: RegistryStore
  readonly clock: Clock
}

export type Reviewing = {
  readonly id: ToolId
  readonly digest: string
  readonly overrides: Overrides
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

/** Entries are written together up to this many: the engine commits them as a group. */
const batch = 64
/** What the broker does by itself, without a person. */
const broker: By = { name: 'broker', proof: 'none' }

export async function observeServer(parts: Parts, catalogue: Catalogue): Promise<Observed> {
  const { held, store } = parts
  const { server, definitions: _, ...view } = catalogue
  const record = held.server(server)
  if (record?.state !== 'active') {
    throw new Error(`expected a registered server, found \`${server}\`; add it first`)
  }
  const others = othersOf(held.tools(), server)
  const observed = observe({ current: held.toolsOf(server), catalogue, others })
  const changes = observed.changed.flatMap((tool, index) => {
    const act = observed.acts[index]
    return act === undefined ? [] : [{ to: tool, was: held.tools().get(tool.id) ?? null, act, by: broker }]
  })
  await writeTools(parts, changes)
  const moved = JSON.stringify(record.view) !== JSON.stringify(view)
  if (moved) await store.putView(server, view)
  if (moved || changes.length > 0) {
    const writes = changes.length + (moved ? 1 : 0)
    await held.accept({ writes, tools: observed.changed, servers: [{ ...record, view }] })
  }
  held.release(server)
  return observed
}

export async function reviewTool(
  { held, acts, store, clock }: Parts,
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
  const built = buildReview({ tool, digest, overrides, reviewer: by.name, at, environment })
  if (!built.ok) return built
  const stored = await store.review(id, built.review, acts.review(tool, built.review, by))
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
    const stored = await store.review(tool.id, review, acts.review(tool, review, by, 'file'))
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
  const { held, acts, store } = parts
  const record = held.server(name)
  if (record?.state !== 'active') return false
  const removed: ServerRecord = { ...record, state: 'removed', view: null }
  await store.putServer({ to: removed, was: record }, acts.server('server-removed', record, by))
  // From here on nothing of it is found, whatever happens to the tombstones.
  await held.accept({ writes: 1, servers: [removed] })
  const gone = held.toolsOf(name).filter((tool) => tool.state !== 'removed')
  const removedOf = (was: Tool): Tool => ({ ...was, state: 'removed' })
  const tools = gone.map(removedOf)
  const detail = { because: 'its server was removed' }
  await writeTools(
    parts,
    gone.map((was) => ({
      to: removedOf(was),
      was,
      act: { act: 'tool-removed', subject: was.id, detail },
      by,
    })),
  )
  if (tools.length > 0) await held.accept({ writes: tools.length, tools })
  return true
}

type ToolChange = Change<Tool> & { readonly act: ToolAct; readonly by: By }

/**
 * One entry for each tool. When one cannot be written, nobody can say which were; all of them are withheld at once,
 * since the server may already serve the new definitions.
 */
async function writeTools({ held, acts, store }: Parts, changes: readonly ToolChange[]): Promise<void> {
  try {
    for (let at = 0; at < changes.length; at += batch) {
      const some = changes.slice(at, at + batch)
      await Promise.all(some.map(({ to, was, act, by }) => store.putTools([{ to, was }], acts.tool(act, by))))
    }
  } catch (cause) {
    if (!(cause instanceof StoreMoved)) held.withhold(changes.map(({ to }) => to.id))
    throw cause
  }
}

const othersOf = (tools: ReadonlyMap<ToolId, Tool>, server: string): readonly Other[] =>
  [...tools.values()]
    .filter((tool) => tool.server !== server && tool.kind === 'tool' && tool.state !== 'removed')
    .map(({ server: other, name }) => ({ server: other, name }))
