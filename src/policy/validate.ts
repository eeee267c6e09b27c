import { validate } from '@cedar-policy/cedar-wasm/nodejs'
import type { DetailedError } from '@cedar-policy/cedar-wasm/nodejs'
import type { Tool } from '../registry/tool.ts'
import { nearest } from './nearest.ts'
import { afterAnnotations, placeOf, plain } from './parse.ts'
import type { Policy } from './parse.ts'
import { below } from './reads.ts'
import type { ReadTree } from './reads.ts'
import { groupsOf, schemaOf } from './schema.ts'
import type { ActionSlice } from './schema.ts'
import { noInput, pruned, shapeKey } from './shape.ts'
import type { RecordShape } from './shape.ts'
import type { Problem } from './split.ts'

/** What a policy reads of `context.input`; null when it reads none and one validation stands for all tools. */
export const inputReads = (policy: Policy): ReadTree | null => below(policy.reads.context, ['input'])

/**
 * What a policy can tell apart of a tool, as text: tools that are the same to it share one validation. That is what
 * keeps 10,000 tools from being 10,000 validations of each policy.
 */
export function classOf(policy: Policy, tool: Tool, shape: RecordShape): string {
  const reads = inputReads(policy)
  const input = reads === null ? '' : shapeKey(pruned(shape, reads))
  if (!policy.reads.ids.action) return input
  const named = new Set(policy.named.filter(({ type }) => type === 'Action').map(({ id }) => id))
  return `${input} ${JSON.stringify([...groupsOf(tool), tool.id].filter((id) => named.has(id)).sort())}`
}

/** Validates a policy against one tool's slice of the schema (Cedar's strict mode). */
export function validateForTool(policy: Policy, tool: Tool, shape: RecordShape): Problem | null {
  const reads = inputReads(policy)
  const input = reads === null ? noInput : pruned(shape, reads)
  // Over a group, a condition that holds for none of one tool's calls is normal; over that tool alone it is a mistake.
  const alone = policy.scope.actions?.length === 1 && policy.scope.actions[0] === tool.id
  const problem = validateSlice(policy, { id: tool.id, groups: groupsOf(tool), input }, alone)
  if (problem === null || reads === null) return problem
  return {
    ...problem,
    message: `${problem.message} (for the tool \`${tool.id}\`)`,
    hint: inputHint(policy, tool, shape, reads) ?? problem.hint,
  }
}

/** Validates what a policy says besides a tool's own arguments: the same for every tool, so once. */
export function validateCommon(policy: Policy): Problem | null {
  const actions = policy.scope.actions ?? []
  const [only, ...others] = actions
  // The one action stands for itself, so that `==` in the scope holds; several become groups of a stand-in.
  const slice =
    only !== undefined && others.length === 0 ? { id: only, groups: [] } : { id: '_', groups: actions }
  return validateSlice(policy, { ...slice, input: noInput }, true)
}

function validateSlice(policy: Policy, slice: ActionSlice, mustApply: boolean): Problem | null {
  const named = policy.named
    .filter(({ type, id }) => type === 'Action' && id !== slice.id)
    .map(({ id }) => id)
  const answer = validate({
    validationSettings: { mode: 'strict' },
    schema: schemaOf(
      slice,
      named,
      policy.measures.map(({ name }) => name),
    ),
    policies: { staticPolicies: { [policy.id]: policy.statement.text } },
  })
  if (answer.type === 'failure') return problemOf(policy, answer.errors[0])
  const error = answer.validationErrors[0]?.error
  if (error !== undefined) return problemOf(policy, error)
  // A `forbid` that can never apply (a misspelt name after `has`) protects nothing and looks as if it did.
  const impossible = answer.validationWarnings.find(({ error: warning }) =>
    warning.message.includes('policy is impossible'),
  )
  if (impossible === undefined || !mustApply) return null
  return {
    file: policy.file,
    ...afterAnnotations(policy.statement),
    message: 'this policy can never apply: its conditions are always false',
    hint: 'correct the name after `has`, or take the policy away',
  }
}

function problemOf(policy: Policy, error: DetailedError | undefined): Problem {
  const hint = error?.help ?? 'see docs/reference/policy-schema.md for what policies can read'
  return { file: policy.file, ...placeOf(policy.statement, error), message: plain(error), hint }
}

/** Says why an argument cannot be read, or which ones can. */
function inputHint(policy: Policy, tool: Tool, shape: RecordShape, reads: ReadTree): string | null {
  const missing = [...reads.names.keys()].find((name) => !shape.fields.has(name))
  if (missing === undefined) return null
  const why = shape.omitted.get(missing)
  if (why !== undefined) return `policies cannot read \`${missing}\` of \`${tool.id}\`: ${why}`
  const like = nearest(missing, shape.fields.keys())
  if (like !== null) return `did you mean \`${like}\`?`
  if (policy.scope.actions?.length !== 1)
    return `not every tool in scope has \`${missing}\`: name the tools in the scope, or test \`context.input has ${missing} && …\``
  const readable = [...shape.fields.keys()].slice(0, 20).map((name) => `\`${name}\``)
  return `\`${tool.id}\` takes ${readable.join(', ') || 'no arguments that policies can read'}`
}
