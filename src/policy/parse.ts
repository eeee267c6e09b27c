import { policyToJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { DetailedError, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { anyInside, depth } from './expression.ts'
import type { Node } from './expression.ts'
import { parseMeasures, type Measure } from '../flow/measure.ts'
import { approvalUse } from './monotone.ts'
import type { ApprovalUse } from './monotone.ts'
import { readsOf } from './reads.ts'
import type { Reads } from './reads.ts'
import { entitiesNamed, scopeOf } from './scope.ts'
import type { Named, Scope } from './scope.ts'
import { placeInFile, split } from './split.ts'
import type { Problem, Statement } from './split.ts'

/** One file of policies. */
export type Source = { readonly name: string; readonly text: string }

/** One policy with all that is known of it without a call. Plain data: it crosses from the checking thread. */
export type Policy = {
  readonly id: string
  readonly effect: 'permit' | 'forbid'
  /** `@reason`: what people are told when it decides. */
  readonly reason: string | null
  readonly file: string
  readonly statement: Statement
  readonly json: PolicyJson
  readonly scope: Scope
  readonly named: readonly Named[]
  readonly reads: Reads
  readonly approval: ApprovalUse
  /** `@measures`: numbers over calls that its conditions name as `context.flow.measures.NAME`. */
  readonly measures: readonly Measure[]
}

export type Parsed = { readonly policies: readonly Policy[]; readonly problems: readonly Problem[] }

const maxPolicies = 5000
const maxText = 4 * 1024 * 1024
const maxDepth = 600

/** Reads files into policies. Problems name file, line and what to do; nothing is kept of a statement that has one. */
export function parseSources(sources: readonly Source[]): Parsed {
  const problems: Problem[] = []
  const policies: Policy[] = []
  const size = sources.reduce((sum, { text }) => sum + text.length, 0)
  if (size > maxText) return { policies, problems: [tooMuch(`${maxText} characters`)] }
  for (const source of sources) {
    const { statements, problems: found } = split(source.text)
    problems.push(...found.map((problem) => ({ file: source.name, ...problem })))
    if (policies.length + statements.length > maxPolicies)
      return { policies, problems: [tooMuch(`${maxPolicies} policies`)] }
    for (const statement of statements) {
      const read = readStatement(source.name, statement)
      if ('problem' in read) problems.push(read.problem)
      else policies.push(read.policy)
    }
  }
  return { policies, problems: [...problems, ...repeated(policies), ...twoMeanings(policies)] }
}

const tooMuch = (what: string): Problem => ({
  file: '',
  line: 1,
  column: 1,
  message: `a policy set holds at most ${what}`,
  hint: 'write fewer, more general policies: by effect or by server',
})

type Read = { readonly policy: Policy } | { readonly problem: Problem }

function readStatement(file: string, statement: Statement): Read {
  const at = (message: string, hint: string, place: { line: number; column: number } = statement): Read => ({
    problem: { file, line: place.line, column: place.column, message, hint },
  })
  const answer = policyToJson(statement.text)
  if (answer.type === 'failure') {
    const error = answer.errors[0]
    return at(
      plain(error),
      error?.help ?? 'see docs/guides/policy.md for the form of a policy',
      placeOf(statement, error),
    )
  }
  const json = answer.json
  const id = json.annotations?.['id']
  if (id === undefined)
    return at('a policy needs an id', 'put `@id("a-name")` in front of it; the log names it by that')
  if (!/^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/.test(id))
    return at(
      `the id \`${id.slice(0, 128)}\` does not fit`,
      'use 1 to 128 letters, digits, `.`, `_`, `/`, `-`',
    )
  if (json.conditions.some(({ body }) => depth(body) > maxDepth))
    return at('this policy is too deeply nested', 'split it into several')
  // The parsed form is JSON, where larger numbers would silently become others.
  if (json.conditions.some(({ body }) => anyInside(body, isInexact)))
    return at(
      'this policy holds a number that is not exact',
      'use whole numbers between -9007199254740991 and 9007199254740991',
      afterAnnotations(statement),
    )
  const approval = approvalUse(json)
  if (approval.problem !== null)
    return at(approval.problem.message, approval.problem.hint, afterAnnotations(statement))
  const measures = parseMeasures(json.annotations?.['measures'] ?? '')
  if (!measures.ok)
    return at(`@measures: ${measures.problem}`, 'see docs/guides/flow.md for the form of a measure')
  const policy: Policy = {
    id,
    effect: json.effect,
    reason: json.annotations?.['reason'] ?? null,
    file,
    statement,
    json,
    scope: scopeOf(json),
    named: entitiesNamed(json),
    reads: readsOf(json),
    approval,
    measures: measures.measures,
  }
  return { policy }
}

const isInexact = (at: Node): boolean =>
  at.op === 'value' && typeof at.value === 'number' && !Number.isSafeInteger(at.value)

function repeated(policies: readonly Policy[]): readonly Problem[] {
  const first = new Map<string, Policy>()
  return policies.flatMap((policy) => {
    const other = first.get(policy.id)
    if (other === undefined) {
      first.set(policy.id, policy)
      return []
    }
    const { line, column } = policy.statement
    const message = `the id \`${policy.id}\` is taken by ${other.file}:${other.statement.line}`
    return [{ file: policy.file, line, column, message, hint: 'give each policy an id of its own' }]
  })
}

/** A measure's name means one thing in a set: requests carry one number under it. */
function twoMeanings(policies: readonly Policy[]): readonly Problem[] {
  const first = new Map<string, { readonly meaning: string; readonly policy: Policy }>()
  return policies.flatMap((policy) =>
    policy.measures.flatMap((measure) => {
      const meaning = JSON.stringify(measure)
      const other = first.get(measure.name)
      if (other === undefined) first.set(measure.name, { meaning, policy })
      if (other === undefined || other.meaning === meaning) return []
      const { line, column } = policy.statement
      const message = `the measure \`${measure.name}\` means something else in ${other.policy.file}:${other.policy.statement.line}`
      return [{ file: policy.file, line, column, message, hint: 'give one of them another name' }]
    }),
  )
}

/** Where `permit` or `forbid` stands: a policy often has its annotations on lines of their own. */
export function afterAnnotations(statement: Statement): { line: number; column: number } {
  const found = /(?:^|[\s)])(?=(?:permit|forbid)\s*\()/.exec(statement.text)
  return found === null
    ? statement
    : placeInFile(statement, Buffer.byteLength(statement.text.slice(0, found.index + found[0].length)))
}

/** The engine's words without its own prefixes. */
export const plain = (error: DetailedError | undefined): string =>
  (error?.message ?? 'the policy could not be read')
    .replace(/^failed to parse policy from string: /, '')
    .replace(/^for policy `[^`]*`, /, '')

export function placeOf(
  statement: Statement,
  error: DetailedError | undefined,
): { line: number; column: number } {
  const start = error?.sourceLocations?.[0]?.start
  return start === undefined ? statement : placeInFile(statement, start)
}
