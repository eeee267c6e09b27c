import type { Review, Tool, ToolId } from '../../registry/tool.ts'
import type { ServerRecord } from '../ports.ts'
import { StoreConflict } from '../conflict.ts'
import { int, json, query, text, toJson } from '../query.ts'
import type { Verb } from '../query.ts'
import { appendAct } from './log.ts'

export function* version(): Verb<number> {
  const [row] = yield query("select value from heads where name = 'registry'")
  return row === undefined ? 0 : int(row, 'value')
}

const advance = query("update heads set value = value + 1 where name = 'registry'")

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

export function* putServer(input: { readonly server: ServerRecord; readonly entry: Uint8Array }): Verb<void> {
  const { view, ...body } = input.server
  yield query(
    `insert into servers (name, body, view) values ($1, $2, $3)
     on conflict (name) do update set body = excluded.body, view = excluded.view`,
    body.name,
    toJson(body),
    view === null ? null : toJson(view),
  )
  yield advance
  yield* appendAct(input.entry)
}

export function* putTools(input: {
  readonly tools: readonly Tool[]
  readonly entry: Uint8Array
}): Verb<void> {
  if (input.tools.length === 0) return
  for (const tool of input.tools) yield* putTool(tool)
  yield advance
  yield* appendAct(input.entry)
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
  yield advance
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
  yield advance
  yield* appendAct(input.entry)
  return { ok: true }
}
