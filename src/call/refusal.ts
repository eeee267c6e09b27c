/** Every way in which a call can be refused, as data: `door/wire.ts` maps each to the wire, the documentation lists each. */
export const refusals = {
  unauthenticated: {
    family: 'identity',
    stage: 'authenticate',
    tell: 'The token was not accepted. Get a new one and call again.',
  },
  revoked: {
    family: 'identity',
    stage: 'any',
    tell: 'This access was revoked. Ask the person you work for before going on.',
  },
  'no-task': {
    family: 'task',
    stage: 'bind',
    tell: 'The token names no task that exists. Open a task and use its token.',
  },
  'task-closed': {
    family: 'task',
    stage: 'bind',
    tell: 'This task has ended. Open a new task if the work is not done.',
  },
  'context-changed': {
    family: 'task',
    stage: 'bind',
    tell: 'What this task was bound to has changed, so it has ended. Open a new task.',
  },
  'budget-spent': {
    family: 'task',
    stage: 'bind',
    tell: 'This task has used up its budget. Finish with what you have, or ask for a new task.',
  },
  'unknown-tool': {
    family: 'request',
    stage: 'resolve',
    tell: 'There is no such tool for this task. List the tools again and use one of those.',
  },
  quarantined: {
    family: 'request',
    stage: 'resolve',
    tell: 'This tool is waiting for a review by an operator. Do without it for now.',
  },
  'bad-arguments': {
    family: 'request',
    stage: 'resolve',
    tell: 'The arguments do not fit the tool. Correct them and call again.',
  },
  denied: {
    family: 'denied',
    stage: 'decide',
    tell: 'Policy does not allow this call. Do not try to reach the same end another way; tell the person.',
  },
  'flow-forbidden': {
    family: 'denied',
    stage: 'decide',
    tell: 'What this task has read may not go there. Do not try another way; tell the person.',
  },
  'approval-required': {
    family: 'waiting',
    stage: 'approve',
    tell: 'A person has to approve this call. It is kept; run `countersign_resume` with its id later.',
  },
  'approval-refused': {
    family: 'denied',
    stage: 'approve',
    tell: 'A person refused this call. Do not repeat it; ask what to do instead.',
  },
  'approval-expired': {
    family: 'denied',
    stage: 'approve',
    tell: 'Nobody approved this call in time. Call again if it is still needed.',
  },
  'too-many-asks': {
    family: 'busy',
    stage: 'approve',
    tell: 'Too many calls of this agent wait for approval. Wait until some are answered.',
  },
  'audit-unavailable': {
    family: 'broken',
    stage: 'intend',
    tell: 'The call cannot be recorded now, so it was not made. Try again later.',
  },
  'too-much-movement': {
    family: 'busy',
    stage: 'intend',
    tell: 'Other calls of this task changed what the decision depends on. Call again.',
  },
  'already-made': {
    family: 'request',
    stage: 'intend',
    tell: 'This call was made already; what it gave was handed over then. Make a new call if it is needed again.',
  },
  'no-credential': {
    family: 'broken',
    stage: 'lend',
    tell: 'The credential for this tool is missing. An operator has to set it.',
  },
  fault: {
    family: 'broken',
    stage: 'any',
    tell: 'Something failed in the broker, so the call was not made. Try again; tell the operator if it stays.',
  },
} as const satisfies {
  readonly [code: string]: { readonly family: Family; readonly stage: string; readonly tell: string }
}

/** `denied` is an answer; `broken` is a fault: different families, so that nobody mistakes one for the other. */
export type Family = 'identity' | 'task' | 'request' | 'denied' | 'waiting' | 'busy' | 'broken'

export type RefusalCode = keyof typeof refusals

/** A refusal is a value. `reason` is private, for operators and the log; the public face is made from `code`, `hint` and `ask` alone. */
export type Refused = {
  readonly refused: true
  readonly code: RefusalCode
  readonly stage: string
  readonly reason: string
  /** Said to the agent besides the code's own words; holds nothing that the agent did not send or may not know. */
  readonly hint: string | null
  /** The ask that it waits for. */
  readonly ask: { readonly id: string; readonly expiresAt: number } | null
  /** What was known when it was refused, for the entry. */
  readonly known: Known
}

/** Filled as stages pass. */
export type Known = {
  readonly caller?: import('../identity/caller.ts').Caller
  readonly task?: string
  readonly tool?: import('../registry/tool.ts').Tool
  readonly operation?: string
  readonly arguments?: import('../lib/json.ts').JsonObject
  readonly policy?: string
  readonly policies?: readonly string[]
}

export function refuse(
  code: RefusalCode,
  stage: string,
  reason: string,
  more: { readonly hint?: string; readonly ask?: Refused['ask']; readonly known?: Known } = {},
): Refused {
  return {
    refused: true,
    code,
    stage,
    reason,
    hint: more.hint ?? null,
    ask: more.ask ?? null,
    known: more.known ?? {},
  }
}

export const isRefused = (product: object): product is Refused =>
  'refused' in product && product.refused === true
