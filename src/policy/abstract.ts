import { confidentialities, rank, type Confidentiality } from '../flow/labels.ts'
import type { Review, Tool } from '../registry/tool.ts'

/**
 * What `policy prove` tells apart of a task. Everything that a decision can look at and that calls can move is here, or
 * is resolved in favour of the call (`doubt.ts`).
 */
export type State = {
  readonly confidentiality: Confidentiality
  readonly untrusted: boolean
  /** The task has met a directory's values, or those of a trusted field. */
  readonly directory: boolean
  readonly trusted: boolean
  /** It has met data of the source. */
  readonly carried: boolean
  /** Servers with a directory to which it has written while nothing made that count as tainted. */
  readonly written: readonly string[]
  /** A directory may hold what the model wrote there itself. */
  readonly planted: boolean
  /** Of the tools that policies name in texts, those called; `…` when others were. Sorted. */
  readonly called: readonly string[]
}

export const startState: State = {
  confidentiality: 'public',
  untrusted: false,
  directory: false,
  trusted: false,
  carried: false,
  written: [],
  planted: false,
  called: [],
}

export const stateKey = (state: State): string =>
  [
    rank(state.confidentiality),
    [state.untrusted, state.directory, state.trusted, state.carried, state.planted].map(Number).join(''),
    state.written.join(),
    state.called.join(),
  ].join(' ')

/** Whether a value with this label in a result of this tool is data of the source. */
export type Carries = (tool: Tool, confidentiality: Confidentiality) => boolean

export type Abstraction = {
  readonly carries: Carries
  readonly clearance: Confidentiality
  readonly tracked: readonly string[]
  readonly tools: readonly Tool[]
}

/** A kind of value that a tool's results can hold. */
type Value = {
  readonly confidentiality: Confidentiality
  readonly untrusted: boolean
  readonly directory: boolean
}

const mostKinds = 6

/** Every state that a call of the tool can lead to: its result may hold any of the kinds of values that its review names. */
export function* outcomesOf(state: State, tool: Tool, abstraction: Abstraction): Generator<State> {
  const { review } = tool
  if (review === null) return
  const made = called(state, tool, abstraction)
  const kinds = valuesOf(review)
  // Nothing but an acknowledgement, or an error: it carries the tool's own labels all the same.
  yield raised(made, ownOf(review))
  for (const values of subsets(kinds)) yield met(made, tool, { values, abstraction })
}

const ownOf = ({ confidentiality, integrity }: Review): Value => ({
  confidentiality,
  untrusted: integrity === 'untrusted',
  directory: false,
})

function valuesOf(review: Review): readonly Value[] {
  const own = ownOf(review)
  const fields = (review.results?.fields ?? []).map(({ confidentiality, integrity, directory }): Value => {
    const worth = integrity ?? (directory === true ? 'trusted' : review.integrity)
    return {
      confidentiality: confidentiality ?? own.confidentiality,
      untrusted: worth === 'untrusted',
      directory: directory === true,
    }
  })
  return [...new Map([own, ...fields].map((one) => [JSON.stringify(one), one])).values()]
}

/** All of them that are not empty; of too many kinds, each alone, any two, and all. */
function* subsets(kinds: readonly Value[]): Generator<readonly Value[]> {
  if (kinds.length <= mostKinds) {
    for (let n = 1; n < 2 ** kinds.length; n += 1) yield kinds.filter((_, index) => (n >> index) % 2 === 1)
    return
  }
  for (const one of kinds) for (const other of kinds) yield one === other ? [one] : [one, other]
  yield kinds
}

function called(state: State, tool: Tool, { tracked, tools }: Abstraction): State {
  const writes = tool.review?.effects.some((effect) => effect === 'write' || effect === 'execute') ?? true
  // As `spillOf` has it: what such a task writes is remembered, and is no directory's to whoever reads it.
  const isTainted = state.untrusted || rank(state.confidentiality) >= rank('confidential')
  const vouches = tools.some(
    ({ server, review }) =>
      server === tool.server &&
      review !== null &&
      (review.integrity === 'trusted' || valuesOf(review).some(({ untrusted }) => !untrusted)),
  )
  const name = tracked.includes(tool.id) ? tool.id : '…'
  const plants = writes && !isTainted && vouches && !state.written.includes(tool.server)
  return {
    ...state,
    // Without tracked tools nobody asks, and states need not differ by it.
    called:
      tracked.length === 0 || state.called.includes(name) ? state.called : [...state.called, name].sort(),
    written: plants ? [...state.written, tool.server].sort() : state.written,
  }
}

const raised = (state: State, { confidentiality, untrusted }: Value): State => ({
  ...state,
  confidentiality:
    confidentialities[Math.max(rank(state.confidentiality), rank(confidentiality))] ?? confidentiality,
  untrusted: state.untrusted || untrusted,
})

function met(
  state: State,
  tool: Tool,
  { values, abstraction }: { readonly values: readonly Value[]; readonly abstraction: Abstraction },
): State {
  const { carries, clearance } = abstraction
  const after = values.reduce(raised, state)
  const highest = Math.max(...values.map(({ confidentiality }) => rank(confidentiality)))
  // Withheld: the labels rise, and the task has met nothing of it.
  if (highest > rank(clearance)) return after
  const directory = values.some((value) => value.directory)
  const trusted = values.some((value) => !value.untrusted && !value.directory)
  return {
    ...after,
    directory: after.directory || directory,
    trusted: after.trusted || trusted,
    carried: after.carried || values.some(({ confidentiality }) => carries(tool, confidentiality)),
    planted: after.planted || (directory && state.written.includes(tool.server)),
  }
}
