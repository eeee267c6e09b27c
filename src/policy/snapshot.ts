import { createHash } from 'node:crypto'
import type { ApprovalFacts, Requirement } from '../approval/ask.ts'
import type { Tool } from '../registry/tool.ts'
import { checkTools } from './check.ts'
import type { Checked } from './check.ts'
import type { Engine, Evaluation } from './engine.ts'
import { flattenContext } from './flat.ts'
import { Unfit } from './input.ts'
import type { Judgement, PolicySnapshot, Question } from './judge.ts'
import { joinRequirements, leastThatAllows } from './ladder.ts'
import type { Policy, Source } from './parse.ts'
import { readsPath } from './reads.ts'
import { contextFor, entitiesFor } from './request.ts'
import { createSlices } from './slice.ts'
import type { Slice } from './slice.ts'
import type { Problem } from './split.ts'
import { targetsOf } from './target.ts'
import type { Target } from './target.ts'
import { vocabularyVersion } from './vocabulary.ts'

/** A snapshot with what operators' tools need of it besides judging. */
export type LoadedPolicies = PolicySnapshot & {
  readonly policies: readonly Policy[]
  /** The policies whose scope takes in a tool, by id. */
  policiesFor(tool: Tool): ReadonlyMap<string, Policy>
  /** The same policies beside other tools. Policies that do not fit a new or changed tool deny its calls and are named in `problems`. */
  withTools(tools: readonly Tool[]): {
    readonly snapshot: LoadedPolicies
    readonly problems: readonly Problem[]
  }
}

export type SnapshotParts = {
  readonly sources: readonly Source[]
  readonly checked: Checked
  readonly tools: readonly Tool[]
  readonly engine: Engine
}

/** What moves with every call, and what moves only when an outcome is unknown. */
const counts = [
  ...['calls', 'effects', 'tools', 'refused', 'inFlight'].map((name) => ['history', name]),
  ['task', 'remainingCalls'],
]
const remembered = [
  ['history', 'unknown'],
  ['history', 'repeatsUnknown'],
]

/** What moves with every call of the person. */
const added = ['measures', 'risk', 'strangers', 'firstContact', 'firstUse'].map((name) => ['flow', name])

/** Puts a checked policy set to work. */
export function createSnapshot(parts: SnapshotParts): LoadedPolicies {
  const { policies } = parts.checked
  const verdicts = new Map(parts.checked.verdicts)
  const slices = createSlices(policies, verdicts)
  return {
    version: versionOf(parts.sources, policies, parts.tools),
    policies,
    policiesFor: (tool) => slices.of(tool).byId,
    reads(tool) {
      const { context } = slices.of(tool).reads
      const readsAny = (paths: readonly (readonly string[])[]) =>
        paths.some((path) => readsPath(context, path))
      return {
        // Where a value comes from depends on whether the task has read something untrusted.
        labels: readsPath(context, ['labels']) || readsPath(context, ['flow']),
        history: readsAny(counts),
        memory: readsAny(remembered),
        person: readsAny(added),
      }
    },
    judge: (question) => judge(question, slices.of, parts.engine),
    withTools(tools) {
      // Only what changed is looked at: a registry of 10,000 tools must not stop the event loop when one of them does.
      const same = new Set(parts.tools)
      const others = tools.filter((tool) => !same.has(tool))
      const ids = new Set(others.map(({ id }) => id))
      const before = new Set(parts.tools.filter(({ id }) => ids.has(id)).map(checkedAs))
      const fresh = others.filter((tool) => !before.has(checkedAs(tool)))
      const problems = checkTools(policies, fresh, verdicts)
      return {
        snapshot: createSnapshot({ ...parts, tools, checked: { ...parts.checked, verdicts } }),
        problems,
      }
    },
  }
}

/** Tools that are equal in this get the same verdicts. */
const checkedAs = ({ id, state, review }: Tool): string =>
  `${id}\n${state}\n${review?.digest ?? ''}\n${review?.effects.join() ?? ''}`

const textsOf = (sources: readonly Source[]): readonly string[] =>
  sources.map(({ name, text }) => JSON.stringify([name, text])).toSorted()

/**
 * `sha256:` over the texts, the words' version, and the reviewed digests of the tools that policies name. A tool that
 * no policy names does not move it: that tool comes with the question, and approvals are bound to its digest anyway.
 */
function versionOf(sources: readonly Source[], policies: readonly Policy[], tools: readonly Tool[]): string {
  const named = new Set(policies.flatMap((policy) => policy.named.map(({ id }) => id)))
  const used = tools
    .filter(({ id }) => named.has(id))
    .map(({ id, review }) => JSON.stringify([id, review?.digest ?? null]))
  return digestOf([vocabularyVersion, textsOf(sources), used.toSorted()])
}

const digestOf = (value: unknown): string =>
  `sha256:${createHash('sha256').update(JSON.stringify(value)).digest('hex')}`

function judge(question: Question, sliceOf: (tool: Tool) => Slice, engine: Engine): Judgement {
  try {
    if (question.tool.review === null || question.tool.pinned === null)
      return faulted([`the tool \`${question.tool.id}\` has not been reviewed`])
    const slice = sliceOf(question.tool)
    if (slice.problems.length > 0) return faulted(slice.problems)
    const targeted = slice.targeted ? targetsOf(question.tool.review.targets, question.arguments) : noTargets
    if (!targeted.ok) return faulted([targeted.problem])
    return targeted.targets
      .map((target) => judgeTarget({ question, slice, engine, target }))
      .reduce(strictest)
  } catch (fault) {
    // A message of the engine could hold a value of an argument; ours do not.
    return faulted([fault instanceof Unfit ? fault.message : 'the policy engine failed'])
  }
}

const noTargets = { ok: true, targets: [{}] } as const

type Case = {
  readonly question: Question
  readonly slice: Slice
  readonly engine: Engine
  readonly target: Target
}

function judgeTarget(of: Case): Judgement {
  const { question, slice } = of
  const evaluate = evaluator(of)
  if (question.approval !== null) return settled(of, evaluate(question.approval))
  const { when, compared } = slice.approval
  if (when === 'never') return settled(of, evaluate(null))
  const without = when === 'first' ? null : evaluate(null)
  if (without !== null && (without.allowed || without.errors.length > 0)) return settled(of, without)
  let last = without
  const requirement = leastThatAllows(compared, (facts) => {
    last = evaluate(facts)
    return allows(last)
  })
  if (requirement === null) return settled(of, last)
  return asked(of, requirement, [without, evaluate(requirement)])
}

const allows = (evaluation: Evaluation): boolean => evaluation.allowed && evaluation.errors.length === 0

/** Everything but the approval is put together once, however many rungs are tried. */
function evaluator({
  question,
  slice,
  engine,
  target,
}: Case): (approval: ApprovalFacts | null) => Evaluation {
  const entities = entitiesFor(question, slice.reads)
  const nested = contextFor({ question, target, approval: null }, slice.reads.context, slice)
  const base = flattenContext(nested, slice.flat)
  return (approval) => {
    const context =
      approval === null ? base : { ...base, ...approvalOf({ question, target, approval }, slice) }
    return engine.evaluate(slice.set, { ...entities, context })
  }
}

function approvalOf(facts: Parameters<typeof contextFor>[0], slice: Slice): ReturnType<typeof contextFor> {
  const reads = slice.reads.context.names.get('approval')
  if (reads === undefined) return {}
  return contextFor(facts, { whole: false, names: new Map([['approval', reads]]) }, slice)
}

function settled(of: Case, evaluation: Evaluation | null): Judgement {
  if (evaluation === null) return faulted(['the policy engine was not asked'])
  if (evaluation.errors.length > 0) return faulted(evaluation.errors)
  const because = reasons(of.slice, evaluation.policies)
  const decision = evaluation.allowed ? 'allow' : 'deny'
  if (because.length > 0)
    return { decision, policies: evaluation.policies, requirement: null, because, errors: [] }
  const lacking = of.question.approval === null ? '' : ' with the approval that was given'
  const nothing = `no policy allows \`${of.question.tool.id}\` here${lacking}`
  return { decision, policies: evaluation.policies, requirement: null, because: [nothing], errors: [] }
}

/** What forbade it without an approval, and what permits it with one: both are why a person is asked. */
function asked(of: Case, requirement: Requirement, evaluations: readonly (Evaluation | null)[]): Judgement {
  const policies = [...new Set(evaluations.flatMap((evaluation) => evaluation?.policies ?? []))].toSorted()
  const lifted = evaluations[0]?.policies ?? []
  return {
    decision: 'ask',
    policies,
    requirement,
    because: reasons(of.slice, lifted.length > 0 ? lifted : policies),
    errors: [],
  }
}

const reasons = (slice: Slice, policies: readonly string[]): readonly string[] => [
  ...new Set(policies.map((id) => slice.byId.get(id)?.reason ?? `policy \`${id}\``)),
]

const faulted = (errors: readonly string[]): Judgement => ({
  decision: 'deny',
  policies: [],
  requirement: null,
  because: ['the policies could not be evaluated for this call, so it is denied'],
  errors: [...new Set(errors)].toSorted(),
})

/** A call on several targets needs what each of them needs. */
function strictest(a: Judgement, b: Judgement): Judgement {
  if (a.errors.length > 0 || b.errors.length > 0) return faulted([...a.errors, ...b.errors])
  if (a.decision !== b.decision) return severity[a.decision] > severity[b.decision] ? a : b
  const policies = [...new Set([...a.policies, ...b.policies])].toSorted()
  const because = [...new Set([...a.because, ...b.because])]
  const requirement =
    a.requirement === null || b.requirement === null ? null : joinRequirements(a.requirement, b.requirement)
  return { decision: a.decision, policies, requirement, because, errors: [] }
}

const severity = { allow: 0, ask: 1, deny: 2 } as const
