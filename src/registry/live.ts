import { addServer, importReviews, observeServer, rejectTool, removeServer, reviewTool } from './changes.ts'
import { checkArguments } from './arguments.ts'
import { createActs } from './acts.ts'
import { createSchemas } from './schema.ts'
import { createSteadiness } from './steady.ts'
import { drift } from './drift.ts'
import { exportReviewed } from './reviewed.ts'
import { hold, readAll } from './held.ts'
import { renderDrift } from './render.ts'
import { toolId } from './tool.ts'
import type { By } from './acts.ts'
import type { Catalogue, Tool, ToolId } from './tool.ts'
import type { Clock } from '../lib/clock.ts'
import type { Drift } from './drift.ts'
import type { Fits } from './schema.ts'
import type { Held, Stored } from './held.ts'
import type { Imported, Importing, Parts, Rejected, Rejecting, Reviewing } from './changes.ts'
import type { JsonObject } from '../lib/json.ts'
import type { ListQuery, Wanted } from './view.ts'
import type { Observed } from './observe.ts'
import type { Operation } from '../server/answer.ts'
import type { ReadsProfiles } from './profiles.ts'
import type { Recorder } from '../audit/recorder.ts'
import type { RegistryStore, ServerRecord } from '../store/ports.ts'
import type { Reviewed } from './review.ts'
import type { ReviewedFile } from './reviewed.ts'

export type RegistryOptions = {
  readonly store: RegistryStore
  readonly recorder: Pick<Recorder, 'encode'>
  readonly clock: Clock
  /** The incarnation that writes entries. */
  readonly broker: string
  /** What registry owners say of the tools of a server. */
  readonly profiles: ReadsProfiles
}

/** What doors and the path read: synchronous, from memory, one moment. */
export type RegistryReads = {
  find(wanted: Wanted): Tool | null
  validate(tool: Tool, operation: Operation, args: JsonObject): Fits
  /** Reviewed tools that the patterns cover, ordered by id. */
  list(query: ListQuery): readonly Tool[]
  /** Concrete resources under reviewed units; `patterns` are a task's, all when left out. */
  resources(server: string, patterns?: readonly string[]): readonly JsonObject[]
  /** The reviewed text, also while a newer one waits for review; null when there is none or the server withdrew it. */
  instructions(server: string): string | null
  /** Names of active servers, in order. */
  servers(): readonly string[]
  /** Removed ones too. */
  records(): readonly ServerRecord[]
  record(server: string): ServerRecord | null
  tools(filter?: { readonly server?: string; readonly state?: Tool['state'] }): readonly Tool[]
  tool(id: ToolId): Tool | null
  /** Moves with every change of what is read here. In this process only. */
  version(): number
  /** How far the store had come when what is read here was loaded; -1 when that is uncertain. */
  head(): number
  /** Told after each change; MUST NOT throw. Returns how to stop. */
  onChange(told: () => void): () => void
  /** Between the reviewed definition (or nothing) and the newest. */
  diff(id: ToolId): (Drift & { readonly lines: readonly string[] }) | null
  exportReviewed(server: string): ReviewedFile
}

/** What changes it. One after the other; durable, with its entry, before anyone sees it. */
export type RegistryWrites = {
  /** Rejects for a server that is not registered, and when the store cannot take it; changed tools are then withheld. */
  observe(catalogue: Catalogue): Promise<Observed>
  review(reviewing: Reviewing): Promise<Reviewed>
  /** Keeps a tool in quarantine; one that was reviewed goes back there and loses its review. */
  reject(rejecting: Rejecting): Promise<Rejected>
  importReviewed(importing: Importing): Promise<Imported>
  /** A name that was removed may be added again: its tombstones keep their reviews. Rejects for a name in use. */
  addServer(adding: { readonly record: ServerRecord; readonly by: By }): Promise<void>
  removeServer(removing: { readonly name: string; readonly by: By }): Promise<boolean>
  /** Reads everything again when another node changed it: call it periodically. True when something was read. */
  refresh(): Promise<boolean>
}

export type LiveRegistry = RegistryReads & RegistryWrites

/** Reads the store and puts the registry together. */
export const loadRegistry = async (options: RegistryOptions): Promise<LiveRegistry> =>
  createRegistry({ ...options, ...(await readAll(options.store)) })

/** The registry in memory, swapped whole with every change. `version` is the store's that the rest was read at. */
export function createRegistry(options: RegistryOptions & Stored): LiveRegistry {
  const held = hold(options, options.store)
  const parts: Parts = {
    held,
    acts: createActs(options),
    store: options.store,
    clock: options.clock,
    profiles: options.profiles,
    steadiness: createSteadiness(),
  }
  const inOrder = queues()
  return {
    ...readsOf(held),
    observe: (catalogue) => inOrder(catalogue.server, () => observeServer(parts, catalogue)),
    review: (reviewing) => held.inTurn(() => reviewTool(parts, reviewing)),
    reject: (rejecting) => held.inTurn(() => rejectTool(parts, rejecting)),
    importReviewed: (importing) => held.inTurn(() => importReviews(parts, importing)),
    addServer: ({ record, by }) =>
      inOrder(record.name, () => held.inTurn(() => addServer(parts, record, by))),
    removeServer: ({ name, by }) => inOrder(name, () => removeServer(parts, name, by)),
    refresh: () => held.inTurn((moved) => Promise.resolve(moved)),
  }
}

/** One after the other for each server: an older listing must not be written over a newer one. */
function queues(): <Result>(server: string, work: () => Promise<Result>) => Promise<Result> {
  const last = new Map<string, Promise<unknown>>()
  return (server, work) => {
    const before = last.get(server)
    const mine = before === undefined ? work() : before.then(work)
    const settle = (): void => {
      if (last.get(server) === done) last.delete(server)
    }
    const done: Promise<void> = mine.then(settle, settle)
    last.set(server, done)
    return mine
  }
}

function readsOf(held: Held): RegistryReads {
  const schemas = createSchemas()
  const { view } = held
  return {
    find: (wanted) => view().find(wanted),
    validate: (tool, operation, args) => checkArguments(schemas, tool, operation, args),
    list: (query) => view().list(query),
    resources: (server, patterns = ['*']) => view().resources(server, patterns),
    instructions: (server) => {
      const tool = view().tools.get(toolId(server, 'instructions', 'instructions'))
      const isOffered = view().servers.get(server)?.state === 'active' && tool?.state !== 'removed'
      return isOffered ? (tool?.pinned?.text ?? null) : null
    },
    servers: () =>
      [...view().servers.values()]
        .filter(({ state }) => state === 'active')
        .map(({ name }) => name)
        .sort(),
    records: () => [...view().servers.values()],
    record: (server) => view().servers.get(server) ?? null,
    tools: ({ server, state } = {}) =>
      [...view().tools.values()].filter(
        (tool) => (server ?? tool.server) === tool.server && (state ?? tool.state) === tool.state,
      ),
    tool: (id) => view().tools.get(id) ?? null,
    version: () => view().version,
    head: () => held.head(),
    onChange: (told) => held.onChange(told),
    diff: (id) => {
      const tool = view().tools.get(id)
      if (tool === undefined) return null
      const nothing = { kind: tool.kind, name: tool.definition.name }
      const found = drift(tool.pinned ?? nothing, tool.definition)
      return { ...found, lines: renderDrift(found) }
    },
    exportReviewed: (server) => exportReviewed(server, held.toolsOf(server)),
  }
}
