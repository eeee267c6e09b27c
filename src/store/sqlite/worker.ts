import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { StoreRefused } from '../conflict.ts'
import { aiming, tellStruck } from '../fault.ts'
import type { StoreFault } from '../fault.ts'
import { maxBatch } from '../jobs.ts'
import type { Job } from '../jobs.ts'
import { openFile } from './file.ts'
import type { OpenFile } from './file.ts'
import type { FromWriter, ToWriter, WriterData } from './messages.ts'
import { writeBatch } from './writer.ts'

/** The thread that writes. It owns the file and its lock; when it ends, however it ends, both are free. */
function serve(port: MessagePort, { opening, fault }: WriterData): void {
  const file = tryOpen(port, opening)
  if (file === null) return port.close()
  const strikesIn = fault === null ? () => [] : aiming(fault)
  let coming: readonly StoreFault[] = []
  const write = writeBatch(file.database, (at) => {
    const now = coming.find((one) => one.at === at)
    // Once: a batch that is run again is not struck again.
    coming = coming.filter((one) => one !== now)
    if (now !== undefined) strike(now)
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
      const batch = queue.splice(0, maxBatch)
      coming = strikesIn(batch)
      tell(port, { kind: 'replies', ...write(batch) })
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

function strike(fault: StoreFault): void {
  tellStruck(fault)
  switch (fault.how) {
    case 'die':
      return process.exit(1)
    case 'kill':
      process.kill(process.pid, 'SIGKILL')
      // Nothing more happens here, however long the signal takes.
      return wait()
    case 'hang':
      return wait()
    case 'hold':
      // Until whoever armed it lets go.
      return void (fault.trigger && Atomics.wait(fault.trigger, 0, -1))
    case 'io-error':
      throw Object.assign(new Error('disk I/O error'), { errcode: 10 })
    case 'full':
      throw Object.assign(new Error('database or disk is full'), { errcode: 13 })
  }
}

const wait = (): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)

if (parentPort !== null) serve(parentPort, workerData)
