import { createHash } from 'node:crypto'
import { observedCalls } from './observed.ts'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { explainPolicies } from '../policy/explain.ts'
import { loadPolicies } from '../policy/load.ts'
import { defaultStarter, readStarter } from '../policy/starter.ts'
import { suggest } from '../policy/suggest.ts'
import { z } from 'zod'
import { brokerActor, type Acts } from '../identity/actor.ts'
import type { Config } from '../config/schema.ts'
import type { LivePolicies } from '../policy/live.ts'
import type { PolicyFile, PolicyPart } from '../door/operator/parts.ts'
import type { LogStore, SettingStore } from '../store/ports.ts'
import type { Tool } from '../registry/tool.ts'

const setting = 'policy'
/** What was live last, to notice a change. */
const live = 'policy-live'

const keptSchema = z.object({
  over: z.string(),
  files: z.array(z.object({ name: z.string(), text: z.string() })),
})

/**
 * The policy set to start with: the one that was swapped in, as long as the configuration still says what it said then;
 * else what the configuration says. So a swap outlives a restart, and whoever changes the configuration gets that.
 */
export async function startingPolicy(
  policy: Config['policy'],
  settings: Pick<SettingStore, 'get'>,
): Promise<{ readonly files: readonly PolicyFile[]; readonly configured: readonly PolicyFile[] }> {
  const configured = await configuredPolicy(policy)
  const kept = keptSchema.safeParse(await settings.get(setting))
  const isKept = kept.success && kept.data.over === digestOf(configured)
  return { files: isKept ? kept.data.files : configured, configured }
}

/** A set that differs from the last one that was live leaves an entry, however it got there: an edited file is no secret. */
export async function recordLoaded(
  parts: { readonly settings: SettingStore; readonly acts: Acts },
  files: readonly PolicyFile[],
  version: string,
): Promise<void> {
  const digest = digestOf(files)
  const before = await parts.settings.get(live)
  if (before?.['digest'] === digest) return
  const detail = { version, files: files.map(({ name }) => name), before: before?.['version'] ?? null }
  const entry = parts.acts({ act: 'policy-loaded', subject: version, detail }, brokerActor)
  await parts.settings.put(live, { digest, version }, entry)
}

const digestOf = (files: readonly PolicyFile[]): string =>
  `sha256:${createHash('sha256')
    .update(JSON.stringify(files.map(({ name, text }) => [name, text])))
    .digest('hex')}`

/** A folder when one is configured, else a starter. */
async function configuredPolicy(policy: Config['policy']): Promise<readonly PolicyFile[]> {
  if (policy.dir === undefined) return readStarter(policy.starter ?? defaultStarter)
  const { dir } = policy
  const found = await readdir(dir).catch(() => null)
  if (found === null) throw new PolicyError(`the folder \`${dir}\` of \`policy.dir\` cannot be read`)
  const names = found.filter((name) => name.endsWith('.cedar')).sort()
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(join(dir, name), 'utf8') })))
}

/** A set of policies that does not load: the broker does not start with it. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError'
  readonly hint =
    'correct it, or name another set under `policy` in the configuration, which also takes the place of a swapped one'
}

export type PolicyParts = {
  readonly policies: LivePolicies
  readonly settings: SettingStore
  readonly acts: Acts
  readonly tools: () => readonly Tool[]
  readonly servers: () => readonly string[]
  readonly sources: readonly PolicyFile[]
  /** What the configuration says; a swapped set holds until that is another. */
  readonly configured: readonly PolicyFile[]
  readonly log: Pick<LogStore, 'recent' | 'payload'>
}

/** Showing, checking and swapping policies. A swap is an act in the log before it is live. */
export function policyPart(parts: PolicyParts): PolicyPart {
  let files = parts.sources
  const load = (given: readonly PolicyFile[]) =>
    loadPolicies({ sources: given, tools: parts.tools(), servers: parts.servers() })
  return {
    where: (ids) => explainPolicies(parts.policies.snapshot(), ids).map((one) => ({ ...one })),
    show: async () => ({
      version: parts.policies.snapshot().version,
      files: files.map((file) => ({ ...file })),
      policies: parts.policies.snapshot().policies.map(({ id, effect }) => ({ id, effect })),
    }),
    check: async (given) => {
      const loaded = await load(given)
      return loaded.ok
        ? { ok: true, version: loaded.snapshot.version, problems: [] }
        : { ok: false, version: null, problems: loaded.problems.map((problem) => ({ ...problem })) }
    },
    swap: async (given, by) => {
      const checked = await load(given)
      if (!checked.ok) return { ok: false, problem: 'invalid', message: words(checked.problems) }
      const { version } = checked.snapshot
      const detail = {
        from: parts.policies.snapshot().version,
        to: version,
        files: given.map(({ name }) => name),
      }
      const entry = parts.acts({ act: 'policy-swapped', subject: version, detail }, by)
      const kept = { version, over: digestOf(parts.configured), files: given.map((file) => ({ ...file })) }
      await parts.settings.put(setting, kept, entry)
      const swapped = await parts.policies.swap(given)
      if (!swapped.ok) return { ok: false, problem: 'conflict', message: words(swapped.problems) }
      files = given
      return { ok: true, value: { version: swapped.snapshot.version } }
    },
    suggestion: async () => {
      const calls = await observedCalls(parts.log)
      const { text, ...rest } = suggest({ calls, tools: parts.tools() })
      return { text, ...rest }
    },
  }
}

const words = (
  problems: readonly { file: string; line: number; column: number; message: string; hint: string }[],
) =>
  problems
    .slice(0, 10)
    .map(({ file, line, column, message, hint }) => `${file}:${line}:${column}: ${message}; ${hint}`)
    .join('\n')
