import type { Ask } from '../approval/ask.ts'
import type { Payload } from '../audit/entry.ts'
import { clean } from '../flow/labels.ts'
import type { Labels } from '../flow/labels.ts'
import type { Agent } from '../identity/caller.ts'
import { rfc3339 } from '../lib/clock.ts'
import type { Tool } from '../registry/tool.ts'
import type { Heads, IntendRequest, SettleRequest } from '../store/ports.ts'
import type { Task } from '../task/task.ts'

/** Values that are right in every field, for tests to change in the one that matters. Times are small whole numbers. */

/** As in a store in which no tool, policy or revocation was put yet. */
export const noHeads: Heads = { registry: 0, policies: 0, revocations: 0 }

const encoder = new TextEncoder()
const broker = 'b_0000000000000000000001'

/** Bytes of an entry as the log takes them; the store reads `kind`, `at`, `call`, `task`, `who`, `subject`, `code`, `count`. */
export const entryOf = (entry: object): Uint8Array =>
  encoder.encode(JSON.stringify({ at: rfc3339(1000), broker, v: 1, ...entry }))

export const actEntry = (act: object = {}): Uint8Array =>
  entryOf({
    act: 'test',
    by: 'operator',
    detail: {},
    kind: 'act',
    proof: 'terminal',
    subject: 'test',
    ...act,
  })

export const intentEntry = (intent: object): Uint8Array =>
  entryOf({
    kind: 'intent',
    policy: `sha256:${'0'.repeat(64)}`,
    policies: ['a', 'b'],
    labels: clean,
    approval: null,
    ...intent,
  })

export const outcomeEntry = (outcome: object): Uint8Array =>
  entryOf({
    kind: 'outcome',
    outcome: 'ok',
    detail: '',
    result: null,
    labels: clean,
    lease: null,
    redacted: {},
    durationMs: 1,
    ...outcome,
  })

export const refusedEntry = (refused: object): Uint8Array =>
  entryOf({ kind: 'refused', code: 'denied', stage: 'decide', reason: '', count: 1, ...refused })

export const aPayload = (name: string, kind: Payload['kind'] = 'arguments'): Payload => ({
  commitment: `sha256:${name}`,
  salt: encoder.encode(`salt of ${name}`),
  bytes: encoder.encode(`{"name":"${name}"}`),
  kind,
})

export const aTask = (task: Partial<Task> = {}): Task => ({
  id: 't_1',
  parent: null,
  agent: 'worker',
  owner: 'owner',
  purpose: { class: 'general', words: 'try it', vouched: true },
  environment: 'development',
  tools: ['*'],
  budget: {},
  openedAt: 1000,
  expiresAt: 1_000_000,
  idleMs: 0,
  state: 'open',
  closedAt: null,
  closedBecause: null,
  context: { policy: 'sha256:0' },
  ...task,
})

export const intendRequest = (request: Partial<IntendRequest> = {}): IntendRequest => {
  const { call = 'c_1', task = 't_1' } = request
  return {
    call,
    chain: call,
    task,
    agent: 'worker',
    tool: 'files/read',
    effects: ['read'],
    person: 'operator',
    fact: null,
    spilled: null,
    fingerprint: `f_${call}`,
    broker,
    at: 2000,
    entry: intentEntry({ call, task }),
    payload: aPayload(`arguments of ${call}`),
    expect: { labels: null, history: null, memory: null, person: null, heads: noHeads },
    ask: null,
    leg: false,
    ...request,
  }
}

export const settleRequest = (request: Partial<SettleRequest> = {}): SettleRequest => {
  const { call = 'c_1', task = 't_1', outcome = 'ok' } = request
  return {
    call,
    task,
    outcome,
    at: 3000,
    entry: outcomeEntry({ call, task, outcome }),
    payload: aPayload(`result of ${call}`, 'result'),
    raise: clean,
    taught: null,
    spilled: null,
    lease: null,
    expect: null,
    ...request,
  }
}

export const anAsk = (ask: Partial<Ask> = {}): Ask => ({
  id: 'a_1',
  digest: 'sha256:ask',
  call: 'c_1',
  task: 't_1',
  agent: 'worker',
  owner: 'owner',
  tool: 'files/read',
  toolDigest: 'sha256:tool',
  policy: 'sha256:policy',
  requirement: { count: 1, independent: false, proof: 'terminal' },
  because: ['it writes'],
  arguments: { path: 'notes.txt' },
  askedAt: 2000,
  expiresAt: 10_000,
  state: 'pending',
  answers: [],
  ...ask,
})

export const anAgent = (agent: Partial<Agent> = {}): Agent => ({
  name: 'worker',
  owner: 'owner',
  publicKey: { kty: 'OKP', crv: 'Ed25519', x: 'x' },
  state: 'active',
  createdAt: 1000,
  template: {
    purposeClass: 'general',
    environment: 'development',
    tools: ['*'],
    budget: {},
    lifetimeMs: 60_000,
    idleMs: 0,
  },
  ...agent,
})

export const aTool = (tool: Partial<Tool> = {}): Tool => ({
  id: 'files/read',
  server: 'files',
  kind: 'tool',
  name: 'read',
  state: 'quarantined',
  digest: 'sha256:one',
  definition: { kind: 'tool', name: 'read', description: 'reads a file' },
  pinned: null,
  review: null,
  findings: [],
  ...tool,
})

export const secretLabels = (source: string): Labels => ({
  confidentiality: 'secret',
  integrity: 'untrusted',
  sources: [source],
})
