import type { ChangeInput, ChangeName, ChangeResult } from '../changes.ts'
import type { StoreFault } from '../fault.ts'
import { failed, start } from '../jobs.ts'
import type { Job, Reply } from '../jobs.ts'
import { newsOf } from '../news.ts'
import type { News } from '../news.ts'
import { query } from '../query.ts'
import type { Append, Keep, Query } from '../query.ts'
import { NotReached, concern } from './errors.ts'
import { insertEntries, insertPayloads, noLater } from './later.ts'
import type { Later } from './later.ts'
import { pipeOf } from './pipe.ts'
import type { Pipe } from './pipe.ts'
import type { Planned } from './queue.ts'
import type { Session } from './session.ts'
import { Stopped, begin, commit, run } from './transaction.ts'
import type { Frame } from './transaction.ts'

export type Written =
  | { readonly kind: 'done'; readonly replies: readonly Reply[] }
  /** Nothing was changed. `again`: another attempt may fare better. */
  | { readonly kind: 'again' | 'failed'; readonly error: unknown }
  /** COMMIT was sent and its answer never came. */
  | { readonly kind: 'unknown'; readonly error: unknown }

export type Work = {
  readonly planned: readonly Planned[]
  readonly frame: Frame
  readonly tell: (news: readonly News[]) => readonly Query[]
  /** Resolves unless a test says otherwise. */
  readonly faults: (at: StoreFault['at'], session: Session) => Promise<void>
}

/** Group commit in one transaction: see `jobs.ts`. */
export async function writeBatch(session: Session, work: Work): Promise<Written> {
  try {
    return (await together(session, work)) ?? (await apart(session, work))
  } catch (error) {
    await undo(session)
    return { kind: concern(error) === 'again' ? 'again' : 'failed', error }
  }
}

type Ran = { readonly job: Job; readonly value: unknown; readonly later: Later }

/** Null when one change threw something of its own: all of it is undone. */
async function together(session: Session, work: Work): Promise<Written | null> {
  const pipe = pipeOf(session)
  begin(pipe, work.frame)
  const ran = await inChains(pipe, work)
  if ('error' in ran) {
    const error = pipe.failure()?.error ?? ran.error
    if (concern(error) !== 'one') throw error
    await undo(session)
    return null
  }
  const written = await finish(session, pipe, work, ran)
  return written.kind === 'failed' && concern(written.error) === 'one' ? null : written
}

/**
 * Changes that share a lock run one after the other, in order. All others run side by side, as they would in
 * transactions of their own: so many agents cost as many round trips as one.
 */
async function inChains(
  pipe: Pipe,
  { planned, frame }: Work,
): Promise<readonly Ran[] | { readonly error: unknown }> {
  const tails = new Map<string, Promise<Ran>>()
  let thrown: { readonly error: unknown } | null = null
  const runOne = async ({ job }: Planned, before: readonly Promise<Ran>[]): Promise<Ran> => {
    const later = noLater()
    try {
      await Promise.all(before)
      const running = { pipe, stopped: () => thrown !== null, put: putter(pipe, frame, later) }
      return { job, value: await run(running, start(job)), later }
    } catch (error) {
      if (!(error instanceof Stopped)) thrown ??= { error }
      return { job, value: null, later }
    }
  }
  const all = planned.map((one) => {
    const running = runOne(
      one,
      one.locks.flatMap((lock) => tails.get(lock) ?? []),
    )
    for (const lock of one.locks) tails.set(lock, running)
    return running
  })
  const ran = await Promise.all(all)
  return thrown ?? pipe.failure() ?? ran
}

/** Whoever is alone gives an entry its index at once, and may look at the size of the log. */
const putter =
  (pipe: Pipe, { alone }: Frame, later: Later) =>
  (step: Append | Keep): void => {
    if ('append' in step) {
      if (alone) for (const one of insertEntries([step.append])) pipe.tell(one)
      else later.entries.push(step.append)
    } else if (alone) for (const one of insertPayloads([step.keep])) pipe.tell(one)
    else later.payloads.push(step.keep)
  }

/** Each behind a savepoint, so that it fails alone. */
async function apart(session: Session, work: Work): Promise<Written> {
  const pipe = pipeOf(session)
  begin(pipe, work.frame)
  await pipe.answered()
  const ran: Ran[] = []
  const refused: Reply[] = []
  for (const { job } of work.planned) {
    const later = noLater()
    pipe.tell(query('savepoint one'))
    try {
      const running = { pipe, stopped: () => false, put: putter(pipe, work.frame, later) }
      const value = await run(running, start(job))
      await pipe.answered()
      ran.push({ job, value, later })
    } catch (thrown) {
      const error = pipe.failure()?.error ?? thrown
      if (concern(error) !== 'one') throw error
      await pipe.settle()
      pipe.forgive()
      pipe.tell(query('rollback to one'))
      refused.push(failed(job, error))
    }
    pipe.tell(query('release one'))
  }
  const written = await finish(session, pipe, work, ran)
  return written.kind === 'done' ? { ...written, replies: [...written.replies, ...refused] } : written
}

async function finish(session: Session, pipe: Pipe, work: Work, ran: readonly Ran[]): Promise<Written> {
  const news = ran.flatMap(({ job, value }) => newsOfJob(job, value))
  await work.faults('before-commit', session)
  let struck = Promise.resolve()
  const committed = await commit(pipe, work.frame, {
    later: {
      entries: ran.flatMap(({ later }) => later.entries),
      payloads: ran.flatMap(({ later }) => later.payloads),
    },
    news: work.tell(news),
    sent: () => {
      struck = work.faults('commit', session)
      struck.catch(() => undefined)
    },
  })
  if (committed.kind === 'unknown') return committed
  if (committed.kind === 'not') {
    await undo(session)
    return { kind: concern(committed.error) === 'again' ? 'again' : 'failed', error: committed.error }
  }
  try {
    await struck
    await work.faults('after-commit', session)
  } catch (error) {
    return { kind: 'unknown', error }
  }
  return { kind: 'done', replies: ran.map(({ job, value }): Reply => ({ id: job.id, kind: 'done', value })) }
}

/** Name, input and result come from one verb; the way to the engine loses that. */
function newsOfJob({ name, input }: Job, value: unknown): readonly News[] {
  const news = newsOf(name, input as ChangeInput<ChangeName>, value as ChangeResult<ChangeName>)
  return news === null ? [] : [news]
}

/** The server may have undone it already, or be gone. */
async function undo(session: Session): Promise<void> {
  try {
    await session.send(query('rollback'))
  } catch (error) {
    // It waited behind a statement that was refused only now; what comes next leaves on its own.
    if (error instanceof NotReached) return undo(session)
    session.destroy('it could not undo a transaction')
  }
}
