import { effects } from '../registry/tool.ts'
import type { Tool, ToolKind } from '../registry/tool.ts'
import { nearest } from './nearest.ts'
import { parseSources } from './parse.ts'
import type { Policy, Source } from './parse.ts'
import { covers, written } from './scope.ts'
import type { Named } from './scope.ts'
import { inputShape } from './shape.ts'
import type { RecordShape } from './shape.ts'
import { placeInFile } from './split.ts'
import type { Problem } from './split.ts'
import { classOf, inputReads, validateCommon, validateForTool } from './validate.ts'

/** Policies and, for each class of tools that a policy can tell apart, what is wrong with it there. */
export type Checked = {
  readonly policies: readonly Policy[]
  readonly problems: readonly Problem[]
  readonly verdicts: Verdicts
}

/** By `verdictKey`; null when the policy is valid for that class. */
export type Verdicts = ReadonlyMap<string, Problem | null>

export const verdictKey = (policy: Policy, tool: Tool, shape: RecordShape): string =>
  `${policy.id}\n${classOf(policy, tool, shape)}`

/**
 * Reads and validates a policy set against the tools of the registry. Takes from milliseconds to seconds and runs the
 * engine's parser on text from a file: call it off the event loop (`load.ts`).
 */
export function checkPolicies(
  sources: readonly Source[],
  tools: readonly Tool[],
  servers: readonly string[] = [],
): Checked {
  const { policies, problems: unread } = parseSources(sources)
  const known = knownNames(tools, servers)
  const strange = new Map(
    policies.flatMap((policy) => unknownName(policy, known).map((problem) => [policy, problem] as const)),
  )
  const problems = [...unread, ...strange.values()]
  const sound = policies.filter((policy) => !strange.has(policy))
  const verdicts = new Map<string, Problem | null>()
  for (const policy of sound) if (!needsTool(policy)) keep(problems, validateCommon(policy))
  const found = checkTools(sound.filter(needsTool), tools, verdicts)
  return { policies, problems: [...problems, ...found], verdicts }
}

/** Validates every class that the tools make and that is not in `verdicts` yet; adds to it. One problem a policy. */
export function checkTools(
  policies: readonly Policy[],
  tools: readonly Tool[],
  verdicts: Map<string, Problem | null>,
): readonly Problem[] {
  const problems = new Map<string, Problem>()
  for (const tool of tools) {
    if (tool.pinned === null || tool.review === null || tool.state === 'removed') continue
    const mine = policies.filter((policy) => needsTool(policy) && covers(policy.scope, tool))
    if (mine.length === 0) continue
    const shape = inputShape(tool)
    for (const policy of mine) {
      const problem = verdictOn(policy, tool, shape, verdicts)
      if (problem !== null && !problems.has(policy.id)) problems.set(policy.id, problem)
    }
  }
  return [...problems.values()]
}

/** The verdict on a policy for a tool, from what is known or by validating now (about a millisecond, once a class). */
export function verdictOn(
  policy: Policy,
  tool: Tool,
  shape: RecordShape,
  verdicts: Map<string, Problem | null>,
): Problem | null {
  const key = verdictKey(policy, tool, shape)
  const before = verdicts.get(key)
  if (before !== undefined) return before
  const verdict = validateForTool(policy, tool, shape)
  verdicts.set(key, verdict)
  return verdict
}

/** A policy that reads arguments, or asks in its conditions what the action is, can differ from tool to tool. */
export const needsTool = (policy: Policy): boolean => inputReads(policy) !== null || policy.reads.ids.action

function keep(problems: Problem[], problem: Problem | null): void {
  if (problem !== null) problems.push(problem)
}

type Known = { readonly [type: string]: ReadonlySet<string> }

const kinds: readonly ToolKind[] = ['tool', 'prompt', 'resource', 'template', 'instructions']

/** Removed tools stay known: a policy that names one stays valid (a tombstone keeps the name taken). */
function knownNames(tools: readonly Tool[], configured: readonly string[]): Known {
  const ids = tools.map(({ id }) => id)
  const servers = [...new Set([...configured, ...tools.map(({ server }) => server)])]
  const groups = [
    ...servers.map((name) => `server:${name}`),
    ...effects.map((effect) => `effect:${effect}`),
    ...kinds.map((kind) => `kind:${kind}`),
  ]
  return { Action: new Set([...ids, ...groups]), Tool: new Set(ids), Server: new Set(servers) }
}

function unknownName(policy: Policy, known: Known): readonly Problem[] {
  const strange = policy.named.find(
    (named) => Object.hasOwn(known, named.type) && known[named.type]?.has(named.id) === false,
  )
  if (strange === undefined) return []
  const before = policy.statement.text.split(JSON.stringify(strange.id))[0] ?? ''
  const { line, column } = placeInFile(policy.statement, Buffer.byteLength(before))
  return [
    {
      file: policy.file,
      line,
      column,
      message: `the policy names \`${written(strange)}\`, which is not registered`,
      hint: hintFor(strange, known),
    },
  ]
}

function hintFor(strange: Named, known: Known): string {
  const like = nearest(strange.id, known[strange.type] ?? [])
  if (like !== null) return `did you mean \`${written({ type: strange.type, id: like })}\`?`
  return 'register the server first (`countersign server add`), or correct the name; groups are `server:NAME`, `effect:EFFECT`, `kind:KIND`'
}
