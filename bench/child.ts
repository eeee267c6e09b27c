import { fork, type ChildProcess } from 'node:child_process'
import { z } from 'zod'

/** A process of the bench: it is asked and answers, and is ended by whoever started it. */
export type Child = {
  readonly pid: number
  /** Asks and checks the answer's shape. Rejects when the process fails or has gone. */
  ask<Answer>(what: string, shape: z.ZodType<Answer>, value?: unknown): Promise<Answer>
  end(): Promise<void>
}

const replySchema = z.object({ id: z.number(), value: z.unknown(), problem: z.string().optional() })
const questionSchema = z.object({ id: z.number(), what: z.string(), value: z.unknown() })

/** So long one answer may take: everything here is bounded in time. */
const answerMs = 180_000

/** Starts a module as a process of its own and waits until it says that it is ready. */
export async function startChild(
  file: URL,
  args: readonly string[] = [],
  execArgv: readonly string[] = [],
): Promise<Child> {
  const child = fork(file, [...args], {
    execArgv: [...execArgv],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const asked = listen(child)
  let last = 0
  const ask = async <Answer>(what: string, shape: z.ZodType<Answer>, value?: unknown): Promise<Answer> => {
    const id = ++last
    const answer = asked.answer(id)
    child.send({ id, what, value: value ?? null })
    return shape.parse(await answer)
  }
  await asked.answer(0)
  return {
    pid: child.pid ?? 0,
    ask,
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      const kill = setTimeout(() => child.kill('SIGKILL'), 10_000)
      if (child.connected) child.disconnect()
      await gone
      clearTimeout(kill)
    },
  }
}

function listen(child: ChildProcess): { answer(id: number): Promise<unknown> } {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  const slot = (id: number): PromiseWithResolvers<unknown> => {
    const known = waiting.get(id) ?? Promise.withResolvers<unknown>()
    waiting.set(id, known)
    return known
  }
  child.on('message', (message) => {
    const { id, value, problem } = replySchema.parse(message)
    if (problem === undefined) slot(id).resolve(value)
    else slot(id).reject(new Error(problem))
  })
  child.once('exit', (code, signal) => {
    for (const one of waiting.values())
      one.reject(new Error(`a process of the bench ended (${code ?? signal})`))
  })
  return {
    async answer(id) {
      const { promise, reject } = slot(id)
      const timer = setTimeout(() => reject(new Error(`no answer within ${answerMs} ms`)), answerMs)
      return promise.finally(() => {
        clearTimeout(timer)
        waiting.delete(id)
      })
    },
  }
}

/** The child's side: answers by name; ends with its parent. */
export function answering(
  answers: { readonly [what: string]: (value: unknown) => unknown },
  close: () => Promise<void> | void = () => undefined,
): void {
  const say = (message: object): void => void process.send?.(message)
  process.on('message', (message) => {
    const { id, what, value } = questionSchema.parse(message)
    const answer = answers[what] ?? (() => Promise.reject(new Error(`nobody answers \`${what}\``)))
    const told = async (): Promise<unknown> => answer(value)
    told().then(
      (result) => say({ id, value: result ?? null }),
      (problem: unknown) =>
        say({ id, value: null, problem: problem instanceof Error ? problem.message : 'failed' }),
    )
  })
  process.once('disconnect', () => {
    const end = async (): Promise<void> => close()
    void end().finally(() => process.exit(0))
  })
  say({ id: 0, value: null })
}

export const usageSchema = z.object({
  /** Of all threads, user and system, in microseconds since the process began. */
  cpuUs: z.number(),
  rssMb: z.number(),
  heapMb: z.number(),
})
export type Usage = z.infer<typeof usageSchema>

const mib = 1024 * 1024

export function usage(): Usage {
  const { user, system } = process.cpuUsage()
  const { rss, heapUsed, external } = process.memoryUsage()
  return { cpuUs: user + system, rssMb: rss / mib, heapMb: (heapUsed + external) / mib }
}
