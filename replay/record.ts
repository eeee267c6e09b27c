import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { isJsonObject, type Json, type JsonObject } from '../src/lib/json.ts'

/** One recorded run: what the person said, and what was called with which result, in order. */
export type Trace = {
  /** Path of its file below the folder of runs, without `.json`. */
  readonly name: string
  readonly suite: string
  readonly pipeline: string
  readonly userTask: string
  readonly injectionTask: string | null
  readonly pool: 'attack' | 'benign' | 'resisted' | 'other'
  readonly purpose: string
  readonly steps: readonly Step[]
}

export type Step = {
  readonly tool: string
  readonly arguments: JsonObject
  /** The result as text, and whether it was an error. */
  readonly result: string
  readonly isError: boolean
  /** A transform says that the attack cannot do without it. */
  readonly needed?: boolean
}

const blocks = z.union([
  z.string(),
  z.array(z.looseObject({ content: z.string().optional(), text: z.string().optional() })),
  z.null(),
])
const callSchema = z.looseObject({ function: z.string(), args: z.record(z.string(), z.unknown()) })
const messageSchema = z.looseObject({
  role: z.string(),
  content: blocks.optional(),
  tool_calls: z.array(callSchema).nullish(),
  tool_call: callSchema.nullish(),
  error: z.string().nullish(),
})
const runSchema = z.looseObject({
  suite_name: z.string(),
  pipeline_name: z.string(),
  user_task_id: z.string(),
  injection_task_id: z.string().nullable(),
  attack_type: z.string().nullish(),
  messages: z.array(messageSchema),
  error: z.string().nullish(),
  utility: z.boolean(),
  security: z.boolean(),
})

/** Files of runs below a folder, in the order of their names. */
export async function findRuns(folder: string): Promise<readonly string[]> {
  const all = await readdir(folder, { recursive: true })
  return all.filter((name) => name.endsWith('.json')).sort()
}

/** Reads a run in AgentDojo's layout. Throws when it has another shape. */
export async function readRun(folder: string, name: string): Promise<Trace> {
  const run = runSchema.parse(JSON.parse(await readFile(join(folder, name), 'utf8')))
  const words = run.messages.find(({ role }) => role === 'user')
  return {
    name: name.replace(/\.json$/, ''),
    suite: run.suite_name,
    pipeline: run.pipeline_name,
    userTask: run.user_task_id,
    injectionTask: run.injection_task_id,
    pool: poolOf(run),
    purpose: textOf(words?.content ?? ''),
    steps: stepsOf(run.messages),
  }
}

/**
 * `security` is true for every run without an injection, and for attacked runs that broke off: only attacked runs
 * without an error count as attacks that succeeded.
 */
function poolOf(run: z.infer<typeof runSchema>): Trace['pool'] {
  const attacked = run.injection_task_id !== null && (run.attack_type ?? 'none') !== 'none'
  if ((run.error ?? null) !== null) return 'other'
  if (!attacked) return run.utility ? 'benign' : 'other'
  if (run.security) return 'attack'
  return run.utility ? 'resisted' : 'other'
}

/** Results stand in messages of their own, each with the call that it answers. A call without a result was never made. */
function stepsOf(messages: readonly z.infer<typeof messageSchema>[]): readonly Step[] {
  return messages.flatMap(({ role, tool_call: call, content, error }) =>
    role === 'tool' && call !== undefined && call !== null
      ? [
          {
            tool: call.function,
            arguments: plain(call.args),
            result: (error ?? '') === '' ? textOf(content ?? '') : (error ?? ''),
            isError: (error ?? '') !== '',
          },
        ]
      : [],
  )
}

const textOf = (content: z.infer<typeof blocks>): string =>
  typeof content === 'string'
    ? content
    : (content ?? []).map(({ content: inner, text }) => inner ?? text ?? '').join('\n')

const plain = (value: unknown): JsonObject => {
  const json: Json = JSON.parse(JSON.stringify(value ?? {}))
  return isJsonObject(json) ? json : {}
}
