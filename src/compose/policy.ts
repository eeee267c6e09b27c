import { observedCalls } from './observed.ts'
import { explainPolicies } from '../policy/explain.ts'
import { loadPolicies } from '../policy/load.ts'
import { suggest } from '../policy/suggest.ts'
import type { LivePolicies } from '../policy/live.ts'
import type { LiveSet } from './policies.ts'
import type { LogStore } from '../store/ports.ts'
import type { PolicyPart } from '../door/operator/parts.ts'
import type { Problem } from '../policy/split.ts'
import type { Tool } from '../registry/tool.ts'

export type PolicyParts = {
  readonly policies: LivePolicies
  readonly policySet: LiveSet
  readonly tools: () => readonly Tool[]
  readonly servers: () => readonly string[]
  readonly log: Pick<LogStore, 'recent' | 'payload'>
}

/** Showing, checking and swapping policies. A swap is an act in the log before it is live. */
export function policyPart(parts: PolicyParts): PolicyPart {
  const { policies, policySet } = parts
  return {
    where: (ids) => explainPolicies(policies.snapshot(), ids).map((one) => ({ ...one })),
    show: async () => ({
      version: policies.snapshot().version,
      files: policySet.files().map((file) => ({ ...file })),
      policies: policies.snapshot().policies.map(({ id, effect }) => ({ id, effect })),
    }),
    check: async (given) => {
      const loaded = await loadPolicies({ sources: given, tools: parts.tools(), servers: parts.servers() })
      return loaded.ok
        ? { ok: true, version: loaded.snapshot.version, problems: [] }
        : { ok: false, version: null, problems: loaded.problems.map((problem) => ({ ...problem })) }
    },
    swap: async (given, by) => {
      const swapped = await policySet.swap(given, by)
      return swapped.ok
        ? { ok: true, value: { version: swapped.snapshot.version } }
        : { ok: false, problem: 'invalid', message: words(swapped.problems) }
    },
    suggestion: async () => {
      const calls = await observedCalls(parts.log)
      const { text, ...rest } = suggest({ calls, tools: parts.tools() })
      return { text, ...rest }
    },
  }
}

const words = (problems: readonly Problem[]) =>
  problems
    .slice(0, 10)
    .map(({ file, line, column, message, hint }) => `${file}:${line}:${column}: ${message}; ${hint}`)
    .join('\n')
