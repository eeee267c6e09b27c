import type { Review, Tool, ToolId } from '../../registry/tool.ts'
import type { Change, ServerRecord } from '../ports.ts'
import { StoreConflict, StoreMoved } from '../conflict.ts'
import { json, query, text, toJson } from '../query.ts'
import type { Row, Verb } from '../query.ts'
import { advance, heads } from './heads.ts'
import { appendAct } from './log.ts'

export function* version(): Verb<number> {
  return (yield* heads()).registry
}

export function* servers(): Verb<readonly ServerRecord[]> {
  const rows = yield query('select body, view from servers order by name')
  return rows.map((row) => ({
    ...json<Omit<ServerRecord, 'view'>>(row, 'body'),
    view: row['view'] === null ? null : json<NonNullable<ServerRecord['view']>>(row, 'view'),
  }))
}

/** By id. A removed tool stays as a tombstone, so that its id is never another's. */
export function* tools(): Verb<readonly Tool[]> {
  return (yield query('select body from tools order by id')).map((row) => json<Tool>(row, 'body'))
}

export function* putServer(input: {
  readonly change: Change<ServerRecord>
  readonly entry: Uint8Array
}): Verb<void> {
  const { view, ...body } = input.change.to
  const [row] = yield query('select body from servers where name = $1', body.name)
  demandUnmoved(row, input.change.was === null ? null : bodyOf(input.change.was))
  yield query(
    `insert into servers (name, body, view) values ($1, $2, $3)
     on conflict (name) do update set body = excluded.body, view = excluded.view`,
    body.name,
    toJson(body),
    view === null ? null : toJson(view),
  )
  yield* advance('registry')
  yield* appendAct(input.entry)
}

export function* putTools(input: {
  readonly changes: readonly Change<Tool>[]
  readonly entry: Uint8Array
}): Verb<void> {
  if (input.changes.length === 0) return
  for (const { to, was } of input.changes) {
    const [row] = yield query('select body from tools where id = $1', to.id)
    demandUnmoved(row, was === null ? null : toJson(was))
    yield* putTool(to)
  }
  yield* advance('registry')
  yield* appendAct(input.entry)
}

function bodyOf(server: ServerRecord): string {
  const { view: _, ...body } = server
  return toJson(body)
}

function demandUnmoved(row: Row | undefined, was: string | null): void {
  if ((row === undefined ? null : text(row, 'body')) !== was)
    throw new StoreMoved('the registry was changed by another node meanwhile; read it again')
}

function* putTool(tool: Tool): Verb<void> {
  yield query(
    `insert into tools (id, server, state, digest, body) values ($1, $2, $3, $4, $5)
     on conflict (id) do update set state = excluded.state, digest = excluded.digest, body = excluded.body`,
    tool.id,
    tool.server,
    tool.state,
    tool.digest,
    toJson(tool),
  )
}

/** A view is no authority (concrete resources, server info), so it has no entry. An unchanged one moves nothing. */
export function* putView(input: {
  readonly server: string
  readonly view: ServerRecord['view']
}): Verb<void> {
  const [row] = yield query('select view from servers where name = $1', input.server)
  if (row === undefined) throw new StoreConflict(`expected a server that exists, got \`${input.server}\``)
  const view = input.view === null ? null : toJson(input.view)
  if (row['view'] === view) return
  yield query('update servers set view = $2 where name = $1', input.server, view)
  yield* advance('registry')
}

type Reviewed = { readonly tool: ToolId; readonly review: Review; readonly entry: Uint8Array }

/**
 * Pins the definition that the reviewer saw, and no other: a server that changed it between the showing and the
 * answer gets `digest-moved`.
 */
export function* review(
  input: Reviewed,
): Verb<{ readonly ok: true } | { readonly ok: false; readonly problem: 'unknown-tool' | 'digest-moved' }> {
  const [row] = yield query("select digest, body from tools where id = $1 and state <> 'removed'", input.tool)
  if (row === undefined) return { ok: false, problem: 'unknown-tool' }
  if (text(row, 'digest') !== input.review.digest) return { ok: false, problem: 'digest-moved' }
  const tool = json<Tool>(row, 'body')
  yield* putTool({ ...tool, state: 'reviewed', pinned: tool.definition, review: input.review })
  yield* advance('registry')
  yield* appendAct(input.entry)
  return { ok: true }
}
