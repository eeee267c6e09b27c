import type { Tool } from '../registry/tool.ts'
import { createEngine } from './engine.ts'
import { loadPolicies } from './load.ts'
import type { KeptChecks, Loaded } from './load.ts'
import type { Source } from './parse.ts'
import type { LoadedPolicies } from './snapshot.ts'
import type { Problem } from './split.ts'

/** The live policy set of a broker. */
export type LivePolicies = {
  snapshot(): LoadedPolicies
  /** Checks `sources` off the event loop. Nothing is live before `install`. */
  prepare(sources: readonly Source[]): Promise<Loaded>
  /** Makes a prepared set live, on the tools that the registry holds now. Takes effect before it returns. */
  install(prepared: LoadedPolicies): LoadedPolicies
  /** Checks `sources` off the event loop and makes them live, whole. On problems the old set stays live. */
  swap(sources: readonly Source[]): Promise<Loaded>
  /**
   * Tells what the registry holds now. Takes effect before it returns. Problems name policies that no longer fit a
   * tool; calls of that tool are denied until one of the two changes.
   */
  registryChanged(tools: readonly Tool[]): readonly Problem[]
}

export type LiveStart =
  | { readonly ok: true; readonly policies: LivePolicies }
  | { readonly ok: false; readonly problems: readonly Problem[] }

export type LiveOptions = {
  readonly sources: readonly Source[]
  readonly tools: readonly Tool[]
  /** Servers that are configured, known to policies before they have shown a tool. */
  readonly servers?: readonly string[]
  readonly kept?: KeptChecks
  /** `loadPolicies`, unless a test stands in for it. */
  readonly load?: typeof loadPolicies
}

/** Loads the first set; a broker without a sound set does not start. */
export async function createPolicies(options: LiveOptions): Promise<LiveStart> {
  const engine = createEngine()
  const load = options.load ?? loadPolicies
  const servers = options.servers ?? []
  const kept = options.kept === undefined ? {} : { kept: options.kept }
  let tools = options.tools
  const first = await load({ sources: options.sources, tools, servers, engine, ...kept })
  if (!first.ok) return first
  let live = first.snapshot

  let newest = 0
  const prepare = (sources: readonly Source[]): Promise<Loaded> =>
    load({ sources, tools, servers, engine, ...kept })

  function install(prepared: LoadedPolicies): LoadedPolicies {
    // The registry may have changed while the check ran.
    live = prepared.withTools(tools).snapshot
    return live
  }

  async function swap(sources: readonly Source[]): Promise<Loaded> {
    const mine = ++newest
    const loaded = await prepare(sources)
    if (!loaded.ok) return loaded
    if (mine !== newest) return { ok: false, problems: [overtaken] }
    return { ok: true, snapshot: install(loaded.snapshot) }
  }

  function registryChanged(now: readonly Tool[]): readonly Problem[] {
    tools = now
    const next = live.withTools(now)
    live = next.snapshot
    return next.problems
  }

  return { ok: true, policies: { snapshot: () => live, prepare, install, swap, registryChanged } }
}

const overtaken: Problem = {
  file: '',
  line: 1,
  column: 1,
  message: 'a newer set was given while this one was checked',
  hint: 'nothing to do when the newer one is meant',
}
