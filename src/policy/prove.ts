import { bearingsOf, isDestination } from '../flow/flow.ts'
import { checkPolicies } from './check.ts'
import { createEngine } from './engine.ts'
import { createSnapshot, type LoadedPolicies } from './snapshot.ts'
import { doubt, type Knows } from './doubt.ts'
import { judge } from '../call/judge.ts'
import { posed, type Choice } from './pose.ts'
import { outcomesOf, startState, stateKey, type Carries, type State } from './abstract.ts'
import { rank, type Confidentiality } from '../flow/labels.ts'
import type { BearingKind } from '../flow/bears.ts'
import type { Origin } from '../flow/trace.ts'
import type { Problem } from './split.ts'
import type { Source } from './parse.ts'
import type { Tool } from '../registry/tool.ts'

/** Whom data must not reach: anybody at all, whoever neither the person nor a directory names, or whoever is new besides. */
export const recipients = ['unnamed', 'stranger', 'any'] as const
export type Recipient = (typeof recipients)[number]

export type ProofRequest = {
  readonly sources: readonly Source[]
  readonly tools: readonly Tool[]
  readonly servers?: readonly string[]
  /** A tool's results, or all of at least so high a label. */
  readonly from: { readonly tool: string } | { readonly label: Confidentiality }
  /** One tool, or all that send something out. */
  readonly to: { readonly tool: string } | 'egress'
  readonly recipient: Recipient
  /** The broker's and the task's. */
  readonly environment: string
  readonly taskEnvironment: string
  readonly clearance: Confidentiality
  readonly mostStates?: number
}

export type ChainStep = {
  readonly tool: string
  /** What has to be so for the call to pass without a question. */
  readonly assumes: readonly string[]
  /** Read by policies for this tool and not known here: taken for whatever allows the call. */
  readonly doubts: readonly string[]
  /** What the task has read afterwards. */
  readonly labels: { readonly confidentiality: Confidentiality; readonly untrusted: boolean }
}

export type Proof = {
  /** The shortest chain, or null: there is none if `complete`. */
  readonly chain: readonly ChainStep[] | null
  readonly complete: boolean
  readonly states: number
  /** Questions put to the judge. */
  readonly decisions: number
  readonly tools: number
  /** What policies read that is not represented, each with the policies that read it. */
  readonly unknown: { readonly [path: string]: readonly string[] }
}

export type Proved =
  { readonly ok: true; readonly proof: Proof } | { readonly ok: false; readonly problems: readonly Problem[] }

/** What the search stands for, for people. */
export const covers: readonly string[] = [
  'a task that starts clean and may use every reviewed tool, in any order and as often as it likes; the model does what an attacker wants',
  'every label of results that the reviews allow, every origin of targets that the task can have, strangers and first uses or not',
  'a value that the model writes, with a tool that writes or executes, where a directory of the same server is read later',
]
export const doesNotCover: readonly string[] = [
  'other tasks and agents, approvals of people (they end a chain), time, and tools without a review',
  'what a server does besides what its review says; secret-shaped values, which raise labels further',
  'argument values that policies compare, counts and ceilings: each is taken for whatever allows the call',
]

type Answered = { readonly any: Choice | null; readonly goal: Choice | null }
type Reached = { readonly state: State; readonly from: Reached | null; readonly step: ChainStep | null }

const plainStates = 100_000

/**
 * Searches, breadth first, for the shortest sequence of calls that needs no approval and carries data from a source to a
 * sink. Each decision is the judge's own, on the policies as far as they can be told (`doubt.ts`); so what it does not
 * find there is not within `covers`.
 */
export function prove(request: ProofRequest): Proved {
  const { sources, tools, servers } = request
  const checked = checkPolicies(sources, tools, servers)
  if (checked.problems.length > 0) return { ok: false, problems: checked.problems }
  const reviewed = tools.filter(
    ({ state, review, kind }) => state === 'reviewed' && review !== null && kind !== 'instructions',
  )
  const tracked = trackedIn(sources, reviewed)
  const knows = knowsOf(reviewed, tracked)
  const doubted = checked.policies.map((policy) => ({ id: policy.id, found: doubt(policy, knows) }))
  const policies = doubted.flatMap(({ found }) => (found === null ? [] : [found.policy]))
  const unknown: { [path: string]: string[] } = {}
  for (const { id, found } of doubted)
    for (const path of found?.unknown ?? ['principal']) (unknown[path] ??= []).push(id)
  const snapshot = createSnapshot({
    sources,
    checked: { policies, problems: [], verdicts: new Map() },
    tools: reviewed,
    engine: createEngine(),
  })
  return { ok: true, proof: { ...search(request, { reviewed, tracked, snapshot, unknown }), unknown } }
}

type Parts = {
  readonly reviewed: readonly Tool[]
  /** Tools that policies name in texts: whether they were called is part of the state. */
  readonly tracked: readonly string[] | null
  readonly snapshot: LoadedPolicies
  readonly unknown: { readonly [path: string]: readonly string[] }
}

function search(request: ProofRequest, parts: Parts): Omit<Proof, 'unknown'> {
  const { reviewed } = parts
  const asked = asker(request, parts)
  const most = request.mostStates ?? plainStates
  const seen = new Set<string>([stateKey(startState)])
  let front: Reached[] = [{ state: startState, from: null, step: null }]
  const carries = carriesOf(request)
  const done = (chain: Reached | null, complete: boolean) => ({
    chain: chain === null ? null : stepsOf(chain),
    complete,
    states: seen.size,
    decisions: asked.decisions(),
    tools: reviewed.length,
  })
  while (front.length > 0) {
    const next: Reached[] = []
    for (const from of front) {
      for (const tool of reviewed) {
        const { any, goal } = asked.ask(from.state, tool)
        if (goal !== null)
          return done(
            { state: from.state, from, step: stepOf(parts, { tool, choice: goal, state: from.state }) },
            true,
          )
        if (any === null) continue
        for (const state of outcomesOf(from.state, tool, {
          ...request,
          carries,
          tracked: parts.tracked ?? [],
        })) {
          const key = stateKey(state)
          if (seen.has(key)) continue
          if (seen.size >= most) return done(null, false)
          seen.add(key)
          next.push({ state, from, step: stepOf(parts, { tool, choice: any, state }) })
        }
      }
    }
    front = next
  }
  return done(null, true)
}

const carriesOf =
  ({ from }: ProofRequest): Carries =>
  (tool, confidentiality) =>
    'tool' in from ? tool.id === from.tool : rank(confidentiality) >= rank(from.label)

function stepsOf(last: Reached): readonly ChainStep[] {
  const steps: ChainStep[] = []
  for (let at: Reached | null = last; at !== null; at = at.from) if (at.step !== null) steps.unshift(at.step)
  return steps
}

/** Puts representative questions to the judge, each once for what can be told apart. */
function asker(request: ProofRequest, parts: Parts) {
  const known = new Map<string, Answered>()
  let decisions = 0
  const isSink = (tool: Tool): boolean =>
    request.to === 'egress' ? (tool.review?.effects.includes('egress') ?? false) : tool.id === request.to.tool
  const ask = (state: State, tool: Tool): Answered => {
    const seeks = state.carried && isSink(tool)
    const key = `${tool.id} ${stateKey(state)}`
    const before = known.get(key)
    if (before !== undefined) return before
    let any: Choice | null = null
    let goal: Choice | null = null
    for (const choice of choicesOf(state, tool)) {
      const reaches = seeks && isGoal({ request, state, tool, choice })
      if (any !== null && !reaches) continue
      decisions += 1
      if (!mayPass(request, parts, { state, tool, choice })) continue
      any ??= choice
      if (reaches) goal = choice
      if (goal !== null || !seeks) break
    }
    const answered = { any, goal }
    known.set(key, answered)
    return answered
  }
  return { ask, decisions: () => decisions }
}

type Asking = { readonly state: State; readonly tool: Tool; readonly choice: Choice }

function isGoal({ request, state, tool, choice }: Asking & { readonly request: ProofRequest }): boolean {
  // A call that leaves out whom it is for carries nothing anywhere.
  const addressed = bearingsOf(tool.review).some(({ kind }) => isDestination(kind))
  if (addressed && !choice.origins.some(([kind]) => contacts.includes(kind))) return false
  if (request.recipient === 'any') return true
  const unnamed =
    tool.review?.bears === undefined ||
    choice.origins.some(
      ([kind, origin]) =>
        kind !== 'amount' && (origin === 'directory' ? state.planted : origin !== 'purpose'),
    )
  return unnamed && (request.recipient === 'unnamed' || choice.strangers > 0)
}

const contacts: readonly BearingKind[] = ['recipient', 'account', 'url']
const mostChoices = 20_000

/** Every combination of origins that the task can have for the kinds of targets of a tool, most harmless first. */
function* choicesOf(state: State, tool: Tool): Generator<Choice> {
  const kinds = [...new Set(bearingsOf(tool.review).map(({ kind }) => (kind === 'links' ? 'url' : kind)))]
  const origins = available(state)
  const each = origins.length + 1
  const count = Math.min(mostChoices, each ** kinds.length)
  for (let n = 0; n < count; n += 1) {
    let rest = n
    const chosen: (readonly [BearingKind, Origin])[] = []
    for (const kind of kinds) {
      const origin = origins[(rest % each) - 1]
      rest = Math.floor(rest / each)
      if (origin !== undefined) chosen.push([kind, origin])
    }
    const reached = chosen.filter(([kind]) => contacts.includes(kind))
    const strange = reached.some(([, origin]) => origin !== 'purpose' && origin !== 'directory')
    for (const firstUse of [false, true]) {
      yield { origins: chosen, strangers: 0, firstContact: false, firstUse }
      if (reached.length > 0) yield { origins: chosen, strangers: 0, firstContact: true, firstUse }
      if (!strange) continue
      for (const strangers of [1, 256]) yield { origins: chosen, strangers, firstContact: true, firstUse }
    }
  }
}

const available = ({ untrusted, directory, trusted }: State): readonly Origin[] => [
  'purpose',
  ...(directory ? (['directory'] as const) : []),
  ...(trusted ? (['trusted'] as const) : []),
  untrusted ? 'untrusted' : 'model',
]

/** What cannot be evaluated may be allowed: an error here can come of a condition that was resolved. */
function mayPass(request: ProofRequest, { snapshot }: Parts, { state, tool, choice }: Asking): boolean {
  const question = posed({ state, tool, choice, environment: request.taskEnvironment })
  const judgement = judge(snapshot, question, request.environment, null)
  return judgement.decision === 'allow' || judgement.errors.length > 0
}

function stepOf({ snapshot, unknown }: Parts, { state, tool, choice }: Asking): ChainStep {
  const mine = snapshot.policiesFor(tool)
  const doubts = Object.entries(unknown).flatMap(([path, ids]) =>
    ids.some((id) => mine.has(id)) ? [path] : [],
  )
  const { origins, strangers, firstUse } = choice
  return {
    tool: tool.id,
    assumes: [
      ...origins.map(([kind, origin]) => `${kind} ${said[origin]}`),
      ...(strangers > 0 ? ['somebody whom this person’s agents have not reached in 31 days'] : []),
      ...(firstUse ? ['the agent has not used this tool in 31 days'] : []),
    ],
    doubts,
    labels: { confidentiality: state.confidentiality, untrusted: state.untrusted },
  }
}

const said: { readonly [O in Origin]: string } = {
  purpose: 'named by the person',
  directory: 'from a directory',
  trusted: 'from a trusted field',
  model: 'made by the model',
  untrusted: 'untrusted',
}

const mostTracked = 10

/** Tools whose ids stand as texts in policies; null when there are too many of them to tell apart. */
function trackedIn(sources: readonly Source[], tools: readonly Tool[]): readonly string[] | null {
  const found = tools.filter(({ id }) => sources.some(({ text }) => text.includes(JSON.stringify(id))))
  return found.length > mostTracked ? null : found.map(({ id }) => id)
}

const represented: readonly (readonly string[])[] = [
  ['labels', 'confidentiality'],
  ['labels', 'confidentialityName'],
  ['labels', 'untrusted'],
  ['flow', 'known'],
  ['flow', 'origin'],
  ['flow', 'destination'],
  ['flow', 'by'],
  ['flow', 'strangers'],
  ['flow', 'firstContact'],
  ['flow', 'firstUse'],
  ['environment'],
  ['task', 'environment'],
  ['approval'],
]

function knowsOf(tools: readonly Tool[], tracked: readonly string[] | null): Knows {
  const isCalls = tools.every(({ kind }) => kind === 'tool')
  const paths = [
    ...represented,
    ...(isCalls ? [['operation']] : []),
    ...(tracked === null ? [] : [['history', 'tools']]),
  ]
  return (root, path) =>
    root === 'resource' ||
    root === 'action' ||
    (root === 'context' && paths.some((known) => known.every((part, index) => path[index] === part)))
}
