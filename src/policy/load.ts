import { Worker } from 'node:worker_threads'
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
}

export type Loaded =
  | { readonly ok: true; readonly snapshot: LoadedPolicies }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/**
 * Checks a policy set off the event loop and makes a snapshot of it. A bad set gives problems with file, line and fix,
 * and nothing else changes: the caller keeps what it has.
 */
export async function loadPolicies(request: LoadRequest): Promise<Loaded> {
  const checked = await checkInThread(request, request.timeoutMs ?? 60_000)
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

function checkInThread(request: LoadRequest, timeoutMs: number): Promise<Checked> {
  const tools = request.tools.map(slim)
  const workerData: CheckRequest = { sources: request.sources, tools, servers: request.servers ?? [] }
  return new Promise((resolve) => {
    const worker = new Worker(workerFile, {
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: 1024, stackSizeMb: 4 },
    })
    const fail = (message: string): void => done(broken(message))
    const timer = setTimeout(() => fail(`the check took longer than ${timeoutMs / 1000} seconds`), timeoutMs)
    const done = (checked: Checked): void => {
      clearTimeout(timer)
      resolve(checked)
      void worker.terminate()
    }
    worker.once('message', (checked: Checked) => done(checked))
    worker.once('error', () => fail('the policies broke the policy engine while they were checked'))
    worker.once('exit', () => fail('the check ended without an answer'))
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
