import { Worker } from 'node:worker_threads'
import type { ChangeName } from '../changes.ts'
import { StoreRefused } from '../conflict.ts'
import type { Job } from '../jobs.ts'
import { keepPending, sizeOf } from '../pending.ts'
import type { Limits, Pending } from '../pending.ts'
import { StoreUnavailable } from '../ports.ts'
import type { FromWriter, ToWriter, WriterData } from './messages.ts'

export type Writing = {
  write(name: ChangeName, input: object): Promise<unknown>
  close(): Promise<void>
}

/** Starts the writer's thread and resolves when the file is open, or rejects with `StoreRefused`. */
export async function startThread(data: WriterData, limits: Limits): Promise<Writing> {
  const file = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url)
  const worker = new Worker(file, { workerData: data })
  await opened(worker)
  return writing(worker, limits)
}

function opened(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once('message', (message: FromWriter) => {
      if (message.kind === 'ready') return resolve()
      if (message.kind !== 'refused')
        return reject(new StoreUnavailable('the writer spoke before it was ready'))
      reject(
        message.problem === null
          ? new StoreUnavailable(message.message)
          : new StoreRefused(message.problem, message.message),
      )
    })
    worker.once('error', (error) =>
      reject(new StoreUnavailable(`the writer of the store did not start: ${error.message}`)),
    )
    worker.once('exit', () =>
      reject(new StoreUnavailable('the writer of the store ended before it was ready')),
    )
  })
}

/**
 * The queue in front of the writer. When the writer is gone it is unknown what of the waiting changes is in the file, so
 * this process writes nothing more, and `recover` settles after the next start.
 */
function writing(worker: Worker, limits: Limits): Writing {
  const pending = keepPending(limits)
  const outbox = startOutbox(worker, pending)
  let gone: string | null = null

  const giveUp = (why: string): void => {
    gone ??= `${why}; start the broker again`
    clearInterval(watch)
    outbox.drop()
    pending.rejectAll(new StoreUnavailable(gone))
    void worker.terminate()
  }
  const watch = setInterval(
    () => {
      if (pending.oldestMs() >= limits.answerMs)
        giveUp(`the writer of the store gave no answer for ${limits.answerMs} ms`)
    },
    Math.max(10, limits.answerMs / 4),
  )
  watch.unref()

  worker.on('message', (message: FromWriter) => {
    if (message.kind !== 'replies') return
    for (const reply of message.replies) pending.settle(reply)
    if (pending.count() === 0 && gone === null) worker.unref()
    if (message.broken !== null) giveUp(message.broken)
  })
  worker.on('error', (error) => giveUp(`the writer of the store died: ${error.message}`))
  const ended = new Promise<void>((resolve) => {
    worker.on('exit', () => {
      giveUp('the writer of the store has ended')
      resolve()
    })
  })
  // Keeps no process alive by itself (a listener would); a change under way does.
  worker.unref()

  return {
    write: (name, input) => {
      if (gone !== null) return Promise.reject(new StoreUnavailable(gone))
      const size = sizeOf(input)
      const full = pending.full(name, size)
      if (full !== null) return Promise.reject(new StoreUnavailable(full))
      if (pending.count() === 0) worker.ref()
      return pending.wait(size, (id) => outbox.put({ id, name, input: portable(input) }))
    },
    close: async () => {
      if (gone === null) {
        gone = 'the store is closed'
        outbox.send()
        tell(worker, { kind: 'close' })
      }
      // Else a process with nothing else to do would leave before the file is closed.
      worker.ref()
      await ended
    },
  }
}

const tell = (worker: Worker, message: ToWriter): void => worker.postMessage(message)

/** One message for all changes of a turn of the loop: crossing costs more per message than per change. */
function startOutbox(worker: Worker, pending: Pending) {
  let unsent: Job[] = []
  const sendOne = (job: Job): void => {
    try {
      tell(worker, { kind: 'jobs', jobs: [job] })
    } catch (error) {
      pending.settle({
        id: job.id,
        kind: 'fault',
        message: error instanceof Error ? error.message : String(error),
      })
    }
  }
  const send = (): void => {
    const jobs = unsent
    unsent = []
    if (jobs.length === 0) return
    try {
      tell(worker, { kind: 'jobs', jobs })
    } catch {
      // One of them holds something that cannot cross: it alone must fail.
      for (const job of jobs) sendOne(job)
    }
  }
  return {
    send,
    drop: () => void (unsent = []),
    put: (job: Job) => {
      if (unsent.push(job) === 1) setImmediate(send)
    },
  }
}

/**
 * Bytes in arrays of exactly their size: a view into Node's shared pool would carry the whole pool across, other
 * callers' bytes included.
 */
const portable = (input: object): object => copyMembers(input, 1)

function copyMembers(of: object, depth: number): object {
  // A spread keeps the shape of the object, for which the engine has compiled what reads it next.
  const copied: { [name: string]: unknown } = { ...of }
  for (const name in copied) {
    const value = copied[name]
    if (value instanceof Uint8Array) {
      if (value.byteLength !== value.buffer.byteLength) copied[name] = new Uint8Array(value)
    } else if (depth > 0 && typeof value === 'object' && value !== null && !Array.isArray(value))
      copied[name] = copyMembers(value, depth - 1)
  }
  return copied
}
