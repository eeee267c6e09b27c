import { createPolicies, type LivePolicies } from '../policy/live.ts'
import { parseSources } from '../policy/parse.ts'
import { policyError, PolicyError, type LiveSet } from './policies.ts'
import type { LiveRegistry } from '../registry/live.ts'
import type { KeptChecks } from '../policy/load.ts'
import type { PolicyFile } from '../door/operator/parts.ts'

/**
 * At the first start nothing is registered yet, and policies may name tools that only a listing can show. Then nothing is
 * allowed until every server has been listed, and the set is loaded after that (`loadWaiting`).
 */
export async function startPolicies(
  registry: LiveRegistry,
  { sources, configured, kept }: Starts,
): Promise<{ readonly policies: LivePolicies; readonly waiting: boolean }> {
  const servers = [...new Set([...registry.servers(), ...configured])]
  const tools = registry.tools()
  const started = await createPolicies({ sources, tools, servers, kept })
  if (started.ok) return { policies: started.policies, waiting: false }
  const closed =
    unlistedOf(registry, servers).length > 0
      ? await createPolicies({ sources: [], tools, servers, kept })
      : started
  if (closed.ok) return { policies: closed.policies, waiting: true }
  throw policyError(started.problems)
}

type Starts = {
  readonly sources: readonly PolicyFile[]
  readonly configured: readonly string[]
  /** What was checked at an earlier start is not checked again. */
  readonly kept: KeptChecks
}

export type Waiting = {
  readonly core: {
    readonly registry: Pick<LiveRegistry, 'servers' | 'record' | 'onChange'>
    readonly policies: LivePolicies
    readonly policySet: LiveSet
  }
  /** Why servers could not be listed, by name. */
  readonly failed: { readonly [server: string]: string }
  readonly onFault: (fault: unknown) => void
}

/**
 * Loads the set that had to wait for the first listing. A server that could not be listed has no tools that anyone could
 * call: policies about its tools alone are set aside, and the others are loaded. Nothing is set aside that could be about
 * anything else, or a prohibition would be lost. Throws `PolicyError` when what is left is not sound.
 */
export async function loadWaiting(waiting: Waiting): Promise<void> {
  const { registry, policies, policySet } = waiting.core
  const whole = await policies.swap(policySet.files())
  if (whole.ok) return policySet.announce()
  const unlisted = unlistedOf(registry, registry.servers())
  const left = unlisted.length === 0 ? null : without(policySet.files(), unlisted)
  if (left === null) throw policyError(whole.problems)
  const closed = await policies.prepare([])
  const loaded = await policies.swap(left)
  if (!loaded.ok || !closed.ok)
    throw new PolicyError(`${policyError(whole.problems).message}\n${told(unlisted, waiting)}`)
  waiting.onFault(
    new PolicyError(
      `${told(unlisted, waiting)}; policies about their tools alone are set aside, and every call of them is refused until they are listed`,
    ),
  )
  const head = policySet.head()
  const stop = registry.onChange(() => {
    if (policySet.head() !== head) return stop()
    if (unlisted.every((name) => !isListed(registry, name))) return
    stop()
    // Before anyone can call what was listed now: what forbids it has to be loaded first, and nothing runs meanwhile.
    policies.install(closed.snapshot)
    loadWaiting(waiting).catch(waiting.onFault)
  })
}

const isListed = (registry: Pick<LiveRegistry, 'record'>, name: string): boolean =>
  (registry.record(name)?.view ?? null) !== null

const unlistedOf = (registry: Pick<LiveRegistry, 'record'>, servers: readonly string[]): readonly string[] =>
  servers.filter((name) => !isListed(registry, name))

/** The files without the policies whose scope names tools of these servers and nothing else; null when there are none. */
function without(files: readonly PolicyFile[], servers: readonly string[]): readonly PolicyFile[] | null {
  const { policies, problems } = parseSources(files)
  const isAside = (actions: readonly string[] | null): boolean =>
    actions !== null &&
    actions.length > 0 &&
    actions.every((id) => servers.some((name) => id.startsWith(`${name}/`)))
  const kept = policies.filter(({ scope }) => !isAside(scope.actions))
  if (problems.length > 0 || kept.length === policies.length) return null
  return files.map(({ name }) => ({
    name,
    text: kept.flatMap(({ file, statement }) => (file === name ? [statement.text] : [])).join('\n'),
  }))
}

const told = (unlisted: readonly string[], { failed }: Pick<Waiting, 'failed'>): string =>
  unlisted
    .map((name) => `server \`${name}\` could not be listed (${failed[name] ?? 'no reason was given'})`)
    .join(', ')
