import { Worker } from 'node:worker_threads'
import { z } from 'zod'
import { answering, usage } from '../child.ts'
import { call, isAnswered, openWire, request, type CallAs, type Wire } from '../wire.ts'

/**
 * The load generator, a process of its own. `closed`: so many connections, each with one call after the other. `open`:
 * calls leave at a fixed rate whether or not earlier ones have come back, and times count from the moment at which a
 * call was due: a proxy that stalls cannot hide the calls that should have been made meanwhile.
 */
const asSchema = z.object({ path: z.string(), token: z.string(), tool: z.string() })
const targetSchema = z.object({ port: z.number(), as: z.array(asSchema).min(1), ms: z.number().max(120_000) })
const closedSchema = targetSchema.extend({ connections: z.number().max(1024) })
const openSchema = targetSchema.extend({ rate: z.number().max(5000) })

let lastId = Number(process.argv[2] ?? 0) * 100_000_000

const pick = (all: readonly CallAs[], index: number): CallAs =>
  all[index % all.length] ?? { path: '', token: '', tool: '' }

const openAll = (port: number, count: number): Promise<readonly Wire[]> =>
  Promise.all(Array.from({ length: count }, () => openWire(port)))

async function closed(value: unknown) {
  const { port, as, ms, connections } = closedSchema.parse(value)
  const wires = await openAll(port, connections)
  const times: number[] = []
  let failed = 0
  let firstFailure = ''
  const start = performance.now()
  const until = start + ms
  await Promise.all(
    wires.map(
      (wire, lane) =>
        new Promise<void>((resolve) => {
          const next = (): void => {
            const from = performance.now()
            if (from >= until) return resolve()
            wire.send(call(pick(as, lane), ++lastId), (answer) => {
              times.push(performance.now() - from)
              if (!isAnswered(answer)) {
                failed++
                firstFailure ||= `${answer.status} ${answer.body.slice(0, 300)}`
                if (answer.status === 0) return resolve()
              }
              next()
            })
          }
          next()
        }),
    ),
  )
  const took = performance.now() - start
  for (const wire of wires) wire.close()
  return { times, failed, firstFailure, ms: took }
}

/** Wakes this thread every `everyMs`, to a tenth of a millisecond; timers of the event loop know whole ones only. */
function ticker(everyMs: number, ticks: number, tick: (index: number, due: number) => void): Promise<void> {
  const worker = new Worker(
    `const { parentPort, workerData: { everyMs, ticks } } = require('node:worker_threads')
     const cell = new Int32Array(new SharedArrayBuffer(4))
     const start = performance.timeOrigin + performance.now() + 20
     for (let i = 0; i < ticks; i++) {
       const due = start + i * everyMs
       const left = due - performance.timeOrigin - performance.now()
       if (left > 0) Atomics.wait(cell, 0, 0, left)
       parentPort.postMessage([i, due])
     }`,
    { eval: true, workerData: { everyMs, ticks } },
  )
  const shape = z.tuple([z.number(), z.number()])
  return new Promise((resolve, reject) => {
    worker.on('message', (message) => {
      const [index, due] = shape.parse(message)
      tick(index, due - performance.timeOrigin)
    })
    worker.once('error', reject)
    worker.once('exit', () => resolve())
  })
}

/** More connections than this are never needed at rates that a broker keeps up with; calls beyond are counted as lost. */
const mostWires = 256

async function open(value: unknown) {
  const { port, as, ms, rate } = openSchema.parse(value)
  const free: Wire[] = [...(await openAll(port, 32))]
  const all = new Set(free)
  const times: number[] = []
  let [failed, lost, underWay, late] = [0, 0, 0, 0]
  let idle: () => void = () => undefined
  const fire = (wire: Wire, index: number, due: number): void => {
    underWay++
    wire.send(call(pick(as, index), ++lastId), (answer) => {
      times.push(performance.now() - due)
      if (!isAnswered(answer)) failed++
      free.push(wire)
      if (--underWay === 0) idle()
    })
  }
  const more = async (index: number, due: number): Promise<void> => {
    const opened = await openWire(port)
    all.add(opened)
    fire(opened, index, due)
  }
  await ticker(1000 / rate, Math.round((rate * ms) / 1000), (index, due) => {
    late = Math.max(late, performance.now() - due)
    const wire = free.pop()
    if (wire !== undefined) return fire(wire, index, due)
    if (all.size >= mostWires) return void (lost += 1)
    void more(index, due)
  })
  const end = Promise.withResolvers<void>()
  idle = end.resolve
  const timer = setTimeout(end.resolve, 5_000)
  if (underWay > 0) await end.promise
  clearTimeout(timer)
  for (const wire of all) wire.close()
  return { times, failed: failed + underWay, lost, lateMs: late }
}

/** Milliseconds on the one clock that all processes of the machine share. */
const monotonic = (): number => Number(process.hrtime.bigint()) / 1e6

/** Calls on a few connections until each was refused; says when the first refusal came and when the last answer left. */
async function untilRefused(value: unknown) {
  const { port, as, ms } = targetSchema.parse(value)
  const wires = await openAll(port, 8)
  const until = performance.now() + ms
  let [refused, answered] = [0, 0]
  await Promise.all(
    wires.map(async (wire, lane) => {
      for (let over = false; !over && performance.now() < until;) {
        over = await new Promise<boolean>((resolve) =>
          wire.send(call(pick(as, lane), ++lastId), (answer) => {
            const at = monotonic()
            if (isAnswered(answer)) answered = Math.max(answered, at)
            else if (refused === 0) refused = at
            resolve(!isAnswered(answer))
          }),
        )
      }
    }),
  )
  for (const wire of wires) wire.close()
  return { refused, answered }
}

/** One list request after the other, each as another caller; gives the time of each and what came. */
async function lists(value: unknown) {
  const { port, as } = targetSchema.parse(value)
  const wire = await openWire(port)
  const times: number[] = []
  let bytes = 0
  for (const one of as) {
    const from = performance.now()
    const answer = await new Promise<{ status: number; body: string }>((resolve) =>
      wire.send(request(one, { id: ++lastId, method: 'tools/list', params: '' }), resolve),
    )
    if (answer.status !== 200) throw new Error(`a list was refused: ${answer.body.slice(0, 200)}`)
    times.push(performance.now() - from)
    bytes += answer.body.length
  }
  wire.close()
  return { times, bytes }
}

answering({ closed, open, untilRefused, lists, usage })
