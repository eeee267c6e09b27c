import type { ChangeInput, ChangeResult } from '../changes.ts'
import { describeError, unavailable } from '../jobs.ts'
import type { Job, Reply } from '../jobs.ts'
import type { News } from '../news.ts'
import type { Pending } from '../pending.ts'
import type { Query } from '../query.ts'
import { writeBatch } from './batch.ts'
import type { Work, Written } from './batch.ts'
import type { LockFinder } from './lines.ts'
import type { Batch, Queue } from './queue.ts'
import type { Session } from './session.ts'
import type { Frame } from './transaction.ts'

export type LaneParts = {
  readonly lanes: number
  readonly open: () => Promise<Session>
  readonly queue: Queue
  readonly pending: Pending
  readonly finder: LockFinder
  readonly frame: Omit<Frame, 'alone' | 'locks'>
  readonly tell: (news: readonly News[]) => readonly Query[]
  readonly strikes: (batch: readonly Job[]) => Work['faults']
  /** A batch that has no answer for so long is given up, and its connection with it. Milliseconds. */
  readonly answerMs: number
}

export type Lanes = {
  /** Something was put into the queue. */
  wake(): void
  /** Until nothing runs and nothing waits. */
  idle(): Promise<void>
  close(): Promise<void>
}

type Lane = { session: Session | null; busy: boolean }

/** Connections that write, each one batch after the other. A connection that is lost is opened again with the next batch. */
export function startLanes(parts: LaneParts): Lanes {
  const lanes: Lane[] = Array.from({ length: parts.lanes }, () => ({ session: null, busy: false }))
  let waiting: (() => void)[] = []
  let woken = false

  const run = async (lane: Lane, batch: Batch): Promise<void> => {
    await work(lane, parts, batch)
    lane.busy = false
    parts.queue.done(batch)
    look()
  }
  const look = (): void => {
    for (const lane of lanes) {
      const batch = lane.busy ? null : parts.queue.take(lanes.filter(({ busy }) => !busy).length)
      if (batch === null) continue
      lane.busy = true
      void run(lane, batch)
    }
    if (lanes.some(({ busy }) => busy)) return
    for (const done of waiting) done()
    waiting = []
  }
  return {
    // What is asked for in one turn shares a batch.
    wake: () => {
      if (woken) return
      woken = true
      setImmediate(() => {
        woken = false
        look()
      })
    },
    idle: () =>
      new Promise((resolve) => {
        waiting.push(resolve)
        look()
      }),
    close: async () => {
      for (const { session } of lanes) await session?.close()
    },
  }
}

/** Never rejects: every change of the batch gets its reply. */
async function work(lane: Lane, parts: LaneParts, { planned, alone }: Batch): Promise<void> {
  const jobs = planned.map(({ job }) => job)
  const locks = [...new Set(planned.flatMap((one) => one.locks))]
  const todo: Work = {
    planned,
    frame: { ...parts.frame, alone, locks },
    tell: parts.tell,
    faults: parts.strikes(jobs),
  }
  for (const reply of await replies(lane, parts, todo)) {
    const job = jobs.find(({ id }) => id === reply.id)
    if (job !== undefined) remember(parts.finder, job, reply)
    parts.pending.settle(reply)
  }
}

async function replies(lane: Lane, parts: LaneParts, todo: Work): Promise<readonly Reply[]> {
  const none = (why: string): readonly Reply[] => todo.planned.map(({ job }) => unavailable(job, why))
  const until = performance.now() + parts.answerMs
  for (let attempt = 1; ; attempt += 1) {
    let written: Written
    try {
      written = await attemptOn(lane, parts, todo)
    } catch (error) {
      return none(describeError(error))
    }
    switch (written.kind) {
      case 'done':
        return written.replies
      case 'unknown':
        return none(
          `the database did not say whether a change is durable: ${describeError(written.error)}; look before it is made again`,
        )
      case 'failed':
        return none(`the database could not make a change: ${describeError(written.error)}`)
      case 'again':
        if (attempt === 2 || performance.now() >= until)
          return none(`the database did not make a change: ${describeError(written.error)}`)
    }
  }
}

/** Rejects when there is no connection to be had. */
async function attemptOn(lane: Lane, parts: LaneParts, todo: Work): Promise<Written> {
  if (lane.session === null || lane.session.isLost()) lane.session = await parts.open()
  const { session } = lane
  session.hold(true)
  const watch = setTimeout(() => session.destroy(`no answer for ${parts.answerMs} ms`), parts.answerMs)
  try {
    const written = await writeBatch(session, todo)
    // Whatever is wrong may be wrong with this connection alone: a standby that was a primary, statements of yesterday.
    if (written.kind !== 'done') session.destroy('a batch failed on it')
    return written
  } finally {
    clearTimeout(watch)
    session.hold(false)
  }
}

/** The outcome of a call that was made here needs no question who made it. */
function remember(finder: LockFinder, { name, input }: Job, reply: Reply): void {
  if (name !== 'calls.intend' || reply.kind !== 'done') return
  const { kind } = reply.value as ChangeResult<typeof name>
  const { call, agent } = input as ChangeInput<typeof name>
  if (kind === 'intended') finder.made(call, agent)
}
