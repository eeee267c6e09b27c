import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { StoreRefused } from '../conflict.ts'
import type { StoreFault } from './fault.ts'
import { openFile } from './file.ts'
import type { OpenFile } from './file.ts'
import type { FromWriter, ToWriter, WriterData } from './messages.ts'
import { writeBatch } from './writer.ts'
import type { Job } from './writer.ts'

/** So many changes at most in one transaction: bounds how long the first of them waits for its answer. */
const maxBatch = 256

/** The thread that writes. It owns the file and its lock; when it ends, however it ends, both are free. */
function serve(port: MessagePort, { opening, fault }: WriterData): void {
  const file = tryOpen(port, opening)
  if (file === null) return port.close()
  let batch = 0
  const write = writeBatch(file.database, (at) => {
    if (fault !== null && fault.at === at && fault.batch === batch) strike(fault)
  })
  let closing = false
  const queue: Job[] = []
  const take = (message: ToWriter): void => {
    if (message.kind === 'close') closing = true
    else queue.push(...message.jobs)
  }
  port.on('message', (message: ToWriter) => {
    take(message)
    // Whatever arrived during the last commit shares the next one.
    for (let more = receiveMessageOnPort(port); more !== undefined; more = receiveMessageOnPort(port))
      take(more.message)
    while (queue.length > 0) {
      batch += 1
      tell(port, { kind: 'replies', ...write(queue.splice(0, maxBatch)) })
    }
    if (!closing) return
    file.close()
    port.close()
  })
  tell(port, { kind: 'ready' })
}

function tryOpen(port: MessagePort, opening: WriterData['opening']): OpenFile | null {
  try {
    return openFile(opening)
  } catch (error) {
    const problem = error instanceof StoreRefused ? error.problem : null
    tell(port, { kind: 'refused', problem, message: error instanceof Error ? error.message : String(error) })
    return null
  }
}

const tell = (port: MessagePort, message: FromWriter): void => port.postMessage(message)

function strike({ how }: StoreFault): void {
  switch (how) {
    case 'die':
      return process.exit(1)
    case 'hang':
      return void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    case 'io-error':
      throw Object.assign(new Error('disk I/O error'), { errcode: 10 })
  }
}

if (parentPort !== null) serve(parentPort, workerData)
