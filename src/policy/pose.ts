import { noUsage, type TaskSnapshot } from '../task/task.ts'
import type { BearingKind } from '../flow/bears.ts'
import { bearingsOf, isDestination, type Flow } from '../flow/flow.ts'
import type { Judged } from '../call/judge.ts'
import type { Origin, Traced } from '../flow/trace.ts'
import type { State } from './abstract.ts'
import type { Tool } from '../registry/tool.ts'

/** What is so of a call besides the state of its task: where its targets come from, and what is new about them. */
export type Choice = {
  readonly origins: readonly (readonly [BearingKind, Origin])[]
  readonly strangers: number
  readonly firstContact: boolean
  readonly firstUse: boolean
}

/** A call that stands for all that are alike in what `policy prove` represents. */
export function posed(of: {
  readonly state: State
  readonly tool: Tool
  readonly choice: Choice
  /** The task's. */
  readonly environment: string
}): Judged {
  const { tool, choice } = of
  return {
    arrival: { wanted: { operation: 'call' } },
    caller,
    bound: boundOf(of.state, of.environment),
    tool,
    arguments: {},
    now: 0,
    fingerprint: '',
    flow: flowOf(tool, choice),
  }
}

const caller = {
  kind: 'agent',
  name: 'agent',
  onBehalfOf: 'owner',
  proven: 'task-token',
  issuer: 'countersign',
  task: 'task',
  tokenId: 'prove',
  expiresAt: Number.MAX_SAFE_INTEGER,
} as const

const flowOf = (tool: Tool, { origins, strangers, firstContact, firstUse }: Choice): Flow => ({
  isKnown: tool.review?.bears !== undefined,
  targets: origins.map(([kind, origin]): Traced => ({
    at: `/${kind}`,
    kind,
    origin,
    mixed: false,
    met: null,
  })),
  hasDestination: bearingsOf(tool.review).some(({ kind }) => isDestination(kind)),
  problem: null,
  overflowed: false,
  strangers,
  isFirstContact: firstContact,
  isFirstUse: firstUse,
  risk: 0,
  fact: {
    at: 0,
    agent: 'agent',
    tasks: ['task'],
    tool: tool.id,
    effects: [],
    keys: {},
    amount: null,
    risk: 0,
  },
  measure: () => 0,
})

function boundOf(state: State, environment: string): TaskSnapshot {
  const { confidentiality, untrusted, called } = state
  return {
    task: {
      id: 'task',
      parent: null,
      agent: 'agent',
      owner: 'owner',
      purpose: { class: 'general', words: '' },
      environment,
      tools: ['*'],
      budget: {},
      openedAt: 0,
      expiresAt: Number.MAX_SAFE_INTEGER,
      idleMs: 0,
      state: 'open',
      closedAt: null,
      closedBecause: null,
      context: {},
    },
    ancestors: [],
    labels: { confidentiality, integrity: untrusted ? 'untrusted' : 'trusted', sources: [] },
    usage: noUsage,
    ancestorUsage: [],
    history: { tools: called, refused: 0, inFlight: 0, unknown: [] },
    lastCallAt: 0,
    labelsRevision: 0,
    historyRevision: 0,
    memoryRevision: 0,
    flow: { task: 0, above: [], person: 0, sinks: 0 },
    heads: { registry: 0, policies: 0, revocations: 0 },
  }
}
