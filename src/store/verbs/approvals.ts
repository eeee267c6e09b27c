import { proofClasses } from '../../approval/ask.ts'
import type { Answer, Ask, ProofClass } from '../../approval/ask.ts'
import { StoreConflict } from '../conflict.ts'
import type { ApprovalStore } from '../ports.ts'
import { int, json, query, text, toJson } from '../query.ts'
import type { Param, Row, Verb } from '../query.ts'
import { appendAct } from './log.ts'

const maxListed = 1000
const maxAnswers = 64

const select =
  'select id, digest, call, task, agent, owner, tool, state, asked_at, expires_at, body, answers from asks'

/** What is kept as one JSON text: nothing looks these up. */
type Body = Pick<Ask, 'toolDigest' | 'policy' | 'requirement' | 'because' | 'arguments'>

/** An ask that was not consumed or refused in its time has expired, whether or not anything wrote that down. */
export function stateAt(state: Ask['state'], expiresAt: number, now: number): Ask['state'] {
  return expiresAt <= now && (state === 'pending' || state === 'approved') ? 'expired' : state
}

function toAsk(row: Row, now: number): Ask {
  const body = json<Body>(row, 'body')
  const expiresAt = int(row, 'expires_at')
  return {
    id: text(row, 'id'),
    digest: text(row, 'digest'),
    call: text(row, 'call'),
    task: text(row, 'task'),
    agent: text(row, 'agent'),
    owner: text(row, 'owner'),
    tool: text(row, 'tool'),
    toolDigest: body.toolDigest,
    policy: body.policy,
    requirement: body.requirement,
    because: body.because,
    arguments: body.arguments,
    askedAt: int(row, 'asked_at'),
    expiresAt,
    state: stateAt(toState(text(row, 'state')), expiresAt, now),
    answers: json<readonly Answer[]>(row, 'answers'),
  }
}

const states: readonly Ask['state'][] = ['pending', 'approved', 'refused', 'expired', 'consumed']

function toState(value: string): Ask['state'] {
  const state = states.find((one) => one === value)
  if (state === undefined) throw new TypeError(`expected the state of an ask, got \`${value}\``)
  return state
}

export function* find(digest: string, now: number): Verb<Ask | null> {
  const [row] = yield query(
    `${select} where digest = $1 and state <> 'consumed' order by asked_at desc, id desc limit 1`,
    digest,
  )
  return row === undefined ? null : toAsk(row, now)
}

/**
 * Records a question. One that is still good (waiting, approved or refused) for the very same call is given back
 * instead: two equal calls in one moment ask a person once, and asking again does not wash off a refusal.
 */
export function* ask(input: {
  readonly ask: Ask
  readonly pendingPerAgent: number
}): Verb<Awaited<ReturnType<ApprovalStore['ask']>>> {
  const asked = input.ask
  const live = yield* find(asked.digest, asked.askedAt)
  if (live !== null && live.state !== 'expired' && live.expiresAt > asked.askedAt)
    return { ok: true, ask: live }
  const pending = yield query(
    "select id from asks where agent = $1 and state = 'pending' and expires_at > $2 limit $3",
    asked.agent,
    asked.askedAt,
    input.pendingPerAgent,
  )
  if (pending.length >= input.pendingPerAgent) return { ok: false, problem: 'too-many' }
  if (asked.state !== 'pending' || asked.answers.length > 0)
    throw new StoreConflict('expected a new ask to be pending and without answers')
  const { toolDigest, policy, requirement, because } = asked
  const body: Body = { toolDigest, policy, requirement, because, arguments: asked.arguments }
  yield query(
    `insert into asks (id, digest, call, task, agent, owner, tool, state, asked_at, expires_at, body, answers)
     values ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9, $10, '[]')`,
    asked.id,
    asked.digest,
    asked.call,
    asked.task,
    asked.agent,
    asked.owner,
    asked.tool,
    asked.askedAt,
    asked.expiresAt,
    toJson(body),
  )
  return { ok: true, ask: asked }
}

export function* get(id: string, now: number): Verb<Ask | null> {
  const [row] = yield query(`${select} where id = $1`, id)
  return row === undefined ? null : toAsk(row, now)
}

/** Newest first; by the state that holds at `now`. */
export function* list(filter: Parameters<ApprovalStore['list']>[0], now: number): Verb<readonly Ask[]> {
  const params: Param[] = [Math.min(Math.max(0, filter.limit ?? 100), maxListed)]
  const where = filter.state === undefined ? '' : `where ${inState(filter.state, now, params)}`
  const rows = yield query(`${select} ${where} order by asked_at desc, id desc limit $1`, ...params)
  return rows.map((row) => toAsk(row, now))
}

function inState(state: Ask['state'], now: number, params: Param[]): string {
  if (state === 'refused' || state === 'consumed') return `state = '${state}'`
  const at = `$${params.push(now)}`
  if (state === 'expired')
    return `(state = 'expired' or (state in ('pending', 'approved') and expires_at <= ${at}))`
  return `state = '${state}' and expires_at > ${at}`
}

type Answering = { readonly id: string; readonly answer: Answer; readonly entry: Uint8Array }

export function* answer(input: Answering): Verb<Awaited<ReturnType<ApprovalStore['answer']>>> {
  const now = input.answer.at
  const before = yield* get(input.id, now)
  if (before === null) return { ok: false, problem: 'unknown' }
  if (before.state === 'expired') return { ok: false, problem: 'expired' }
  if (before.state !== 'pending') return { ok: false, problem: 'not-pending' }
  if (!adds(before.answers, input.answer)) return { ok: false, problem: 'already-answered' }
  if (before.answers.length >= maxAnswers)
    throw new StoreConflict(`expected at most ${maxAnswers} answers; ask again`)
  const answers = [...before.answers, input.answer]
  const after: Ask = { ...before, answers, state: decide(before, answers) }
  yield query(
    'update asks set state = $2, answers = $3 where id = $1',
    after.id,
    after.state,
    toJson(answers),
  )
  yield* appendAct(input.entry, { call: after.call, task: after.task, agent: after.agent })
  return { ok: true, ask: after }
}

/** A person answers once; again only to refuse after all, or to prove presence more strongly than before. */
function adds(answers: readonly Answer[], next: Answer): boolean {
  const own = answers.filter(({ by }) => by === next.by)
  return next.answer === 'refuse' || own.every(({ proof }) => strength(proof) < strength(next.proof))
}

/**
 * What the answers amount to. One `refuse` refuses. Approvals count per person, when proven at the asked class or
 * better and, where independence is asked, not by the one it is done for nor by the one who asks. Pure.
 */
export function decide(
  of: Pick<Ask, 'requirement' | 'owner' | 'agent'>,
  answers: readonly Answer[],
): 'pending' | 'approved' | 'refused' {
  if (answers.some((one) => one.answer === 'refuse')) return 'refused'
  const { count, independent, proof } = of.requirement
  const people = new Set(
    answers
      .filter((one) => strength(one.proof) >= strength(proof))
      .filter((one) => !independent || (one.by !== of.owner && one.by !== of.agent))
      .map((one) => one.by),
  )
  return people.size >= Math.max(1, count) ? 'approved' : 'pending'
}

const strength = (proof: ProofClass): number => proofClasses.indexOf(proof)
