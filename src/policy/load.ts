import { fork } from 'node:child_process'
import { getCompileCacheDir } from 'node:module'
import type { Tool } from '../registry/tool.ts'
import { checkPolicies } from './check.ts'
import type { Checked } from './check.ts'
import { createEngine } from './engine.ts'
import type { Engine } from './engine.ts'
import type { Source } from './parse.ts'
import { createSnapshot } from './snapshot.ts'
import type { LoadedPolicies } from './snapshot.ts'
import type { Problem } from './split.ts'

export type CheckRequest = {
  readonly sources: readonly Source[]
  /** All that the registry holds, removed ones included: they keep policies that name them valid. */
  readonly tools: readonly Tool[]
  /** Servers that are configured but have shown no tools yet; policies may name them. */
  readonly servers?: readonly string[]
}

export type LoadRequest = CheckRequest & {
  readonly engine?: Engine
  /** Longest check in milliseconds; 60 seconds when left out. */
  readonly timeoutMs?: number
  readonly kept?: KeptChecks
}

/**
 * Sound checks of before. `find` MUST give nothing but what `keep` was given for an equal request, checked by the same
 * program, and null whenever that is not certain: its answer stands for the check.
 */
export type KeptChecks = {
  find(request: CheckRequest): Promise<Checked | null>
  keep(request: CheckRequest, checked: Checked): Promise<void>
}

export type Loaded =
  | { readonly ok: true; readonly snapshot: LoadedPolicies }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/**
 * Checks a policy set off the event loop and makes a snapshot of it. A bad set gives problems with file, line and fix,
 * and nothing else changes: the caller keeps what it has.
 */
export async function loadPolicies(request: LoadRequest): Promise<Loaded> {
  const { sources, servers = [], kept } = request
  const question: CheckRequest = { sources, tools: request.tools.map(slim), servers }
  const before = await kept?.find(question)
  if (before) return finish(request, before)
  const checked = await checkApart(question, request.timeoutMs ?? 60_000)
  if (checked.problems.length === 0) await kept?.keep(question, checked)
  return finish(request, checked)
}

/** The same on this thread: for tests, benchmarks and one-shot commands, never for a broker that serves. */
export function loadPoliciesHere(request: LoadRequest): Loaded {
  return finish(request, checkPolicies(request.sources, request.tools, request.servers))
}

function finish(request: LoadRequest, checked: Checked): Loaded {
  if (checked.problems.length > 0) return { ok: false, problems: checked.problems.toSorted(byPlace) }
  const { sources, tools } = request
  return {
    ok: true,
    snapshot: createSnapshot({ sources, checked, tools, engine: request.engine ?? createEngine() }),
  }
}

const byPlace = (a: Problem, b: Problem): number =>
  a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1

const workerFile = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url)

/** The deepest policy that the parser takes fits into this, in KiB; beyond, the process ends and the set is refused. */
const stackKiB = 3900
const heapMiB = 1024

/**
 * In a process of its own, which sees no environment and ends with its answer: a set that breaks the engine breaks it
 * there only, and what the check takes (70 MB for 100 policies, most of it the engine's compiled code) goes with it. A
 * thread would leave it with the broker for good.
 */
function checkApart(question: CheckRequest, timeoutMs: number): Promise<Checked> {
  const cache = getCompileCacheDir()
  return new Promise((resolve) => {
    const child = fork(workerFile, [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: [`--max-old-space-size=${heapMiB}`, `--stack-size=${stackKiB}`],
      env: cache === undefined ? {} : { NODE_COMPILE_CACHE: cache },
    })
    const fail = (message: string): void => done(broken(message))
    const timer = setTimeout(() => fail(`the check took longer than ${timeoutMs / 1000} seconds`), timeoutMs)
    const done = (checked: Checked): void => {
      clearTimeout(timer)
      resolve(checked)
      child.kill('SIGKILL')
    }
    // Our own program answers, in the form that it was asked in.
    child.once('message', (checked) => done(checked as Checked))
    child.once('error', () => fail('the check could not be started'))
    child.once('exit', () => fail('the policies broke the policy engine while they were checked'))
    child.send(question)
  })
}

const broken = (message: string): Checked => ({
  policies: [],
  problems: [
    {
      file: '',
      line: 1,
      column: 1,
      message,
      hint: 'take away the policies that were added last and load again',
    },
  ],
  verdicts: new Map(),
})

/** What the check needs of a tool: texts for models and past definitions stay behind. */
function slim(tool: Tool): Tool {
  if (tool.pinned === null) return { ...tool, definition: { kind: tool.kind, name: tool.name }, findings: [] }
  const { kind, name, inputSchema, arguments: args } = tool.pinned
  const pinned = {
    kind,
    name,
    ...(inputSchema === undefined ? {} : { inputSchema }),
    ...(args === undefined ? {} : { arguments: args }),
  }
  return { ...tool, definition: { kind, name }, pinned, findings: [] }
}
