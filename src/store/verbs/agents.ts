import { createHash } from 'node:crypto'
import type { Agent } from '../../identity/caller.ts'
import { StoreConflict } from '../conflict.ts'
import { int, json, query, toJson } from '../query.ts'
import type { Verb } from '../query.ts'
import type { AgentStore } from '../ports.ts'
import { appendAct } from './log.ts'

type Acted = { readonly agent: Agent; readonly entry: Uint8Array }

/** A name is given once: a second agent of the same name would inherit the first one's tasks and grants. */
export function* add({ agent, entry }: Acted): Verb<{ readonly ok: boolean }> {
  const rows = yield query(
    'insert into agents (name, body) values ($1, $2) on conflict (name) do nothing returning name',
    agent.name,
    toJson(agent),
  )
  if (rows.length === 0) return { ok: false }
  yield* appendAct(entry, { agent: agent.name })
  return { ok: true }
}

export function* get(name: string): Verb<Agent | null> {
  const [row] = yield query('select body from agents where name = $1', name)
  return row === undefined ? null : json<Agent>(row, 'body')
}

export function* list(): Verb<readonly Agent[]> {
  return (yield query('select body from agents order by name')).map((row) => json<Agent>(row, 'body'))
}

export function* update({ agent, entry }: Acted): Verb<void> {
  const rows = yield query(
    'update agents set body = $2 where name = $1 returning name',
    agent.name,
    toJson(agent),
  )
  if (rows.length === 0)
    throw new StoreConflict(`expected an agent that exists, got \`${agent.name}\`; add it first`)
  yield* appendAct(entry, { agent: agent.name })
}

/** Unexpired proofs of one agent at once; only who holds its key can fill them. */
const mostProofs = 256

/** Kept by its digest: what an agent chose stays out of a column. */
export function* useProof(input: Parameters<AgentStore['useProof']>[0]): Verb<boolean> {
  const { agent, id, until, now } = input
  yield query('delete from proofs where agent = $1 and until < $2', agent, now)
  const [row] = yield query('select count(*) as unexpired from proofs where agent = $1', agent)
  if (row === undefined || int(row, 'unexpired') >= mostProofs) return false
  const digest = createHash('sha256').update(id).digest('hex')
  const rows = yield query(
    'insert into proofs (agent, digest, until) values ($1, $2, $3) on conflict (agent, digest) do nothing returning digest',
    agent,
    digest,
    until,
  )
  return rows.length === 1
}
