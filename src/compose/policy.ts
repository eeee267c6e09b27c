import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadPolicies } from '../policy/load.ts'
import { readStarter } from '../policy/starter.ts'
import type { Acts } from '../identity/actor.ts'
import type { Config } from '../config/schema.ts'
import type { LivePolicies } from '../policy/live.ts'
import type { PolicyFile, PolicyPart } from '../door/operator/parts.ts'
import type { SettingStore } from '../store/ports.ts'
import type { Tool } from '../registry/tool.ts'

const setting = 'policy'

/** The policy set to start with: a folder when one is configured, else a starter. */
export async function policySources(policy: Config['policy']): Promise<readonly PolicyFile[]> {
  if (policy.dir === undefined) return readStarter(policy.starter ?? 'guarded')
  const names = (await readdir(policy.dir)).filter((name) => name.endsWith('.cedar')).sort()
  const { dir } = policy
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(join(dir, name), 'utf8') })))
}

export type PolicyParts = {
  readonly policies: LivePolicies
  readonly settings: SettingStore
  readonly acts: Acts
  readonly tools: () => readonly Tool[]
  readonly servers: () => readonly string[]
  readonly sources: readonly PolicyFile[]
}

/** Showing, checking and swapping policies. A swap is an act in the log before it is live. */
export function policyPart(parts: PolicyParts): PolicyPart {
  let files = parts.sources
  const load = (given: readonly PolicyFile[]) =>
    loadPolicies({ sources: given, tools: parts.tools(), servers: parts.servers() })
  return {
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
      const detail = { from: parts.policies.snapshot().version, to: version, files: given.map(({ name }) => name) }
      const entry = parts.acts({ act: 'policy-swapped', subject: version, detail }, by)
      await parts.settings.put(setting, { version, files: given.map((file) => ({ ...file })) }, entry)
      const swapped = await parts.policies.swap(given)
      if (!swapped.ok) return { ok: false, problem: 'conflict', message: words(swapped.problems) }
      files = given
      return { ok: true, value: { version: swapped.snapshot.version } }
    },
  }
}

const words = (problems: readonly { file: string; line: number; column: number; message: string; hint: string }[]) =>
  problems
    .slice(0, 10)
    .map(({ file, line, column, message, hint }) => `${file}:${line}:${column}: ${message}; ${hint}`)
    .join('\n')
