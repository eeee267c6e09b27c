import { classify } from '../../src/flow/classify.ts'
import { clean, join } from '../../src/flow/labels.ts'
import { hundredPolicies } from '../policies.ts'
import { loadPoliciesHere } from '../../src/policy/load.ts'
import { noHeads } from '../../src/testing/samples.ts'
import { noUsage } from '../../src/task/task.ts'
import { percentile, short } from '../stats.ts'
import { readStarter } from '../../src/policy/starter.ts'
import { redactAnswer } from '../../src/flow/redact.ts'
import { secretOf } from '../../src/credential/secret.ts'
import type { Effect, Tool } from '../../src/registry/tool.ts'
import type { LoadedPolicies } from '../../src/policy/snapshot.ts'
import type { Part } from '../part.ts'
import type { Question } from '../../src/policy/judge.ts'
import type { ServerAnswer } from '../../src/server/answer.ts'

export function benchTool(index: number, effects: readonly Effect[]): Tool {
  const name = `tool_${index}`
  const definition = {
    kind: 'tool',
    name,
    inputSchema: {
      type: 'object',
      properties: { path: { type: 'string' }, content: { type: 'string' } },
      required: ['path'],
    },
  } as const
  const review = {
    digest: 'sha256:0',
    effects,
    environment: 'development',
    confidentiality: 'internal',
    integrity: 'untrusted',
    targets: { path: '/path' },
    reviewer: 'operator',
    at: '2026-01-05T10:00:00.000Z',
  } as const
  return {
    id: `up/${name}`,
    server: 'up',
    kind: 'tool',
    name,
    state: 'reviewed',
    digest: 'sha256:0',
    definition,
    pinned: definition,
    review,
    findings: [],
  }
}

const hour = 3_600_000

export function question(of: Tool, path: string): Question {
  const now = Date.now()
  return {
    caller: {
      kind: 'agent',
      name: 'coder',
      onBehalfOf: 'owner',
      proven: 'task-token',
      issuer: 'countersign',
      task: 't',
      tokenId: 'j',
      expiresAt: now + hour,
    },
    bound: {
      task: {
        id: 't',
        parent: null,
        agent: 'coder',
        owner: 'owner',
        purpose: { class: 'general', words: '' },
        environment: 'development',
        tools: ['*'],
        budget: {},
        openedAt: now,
        expiresAt: now + hour,
        idleMs: 0,
        state: 'open',
        closedAt: null,
        closedBecause: null,
        context: {},
      },
      ancestors: [],
      labels: clean,
      usage: noUsage,
      ancestorUsage: [],
      history: { tools: [], refused: 0, inFlight: 0, unknown: [] },
      lastCallAt: now,
      labelsRevision: 1,
      historyRevision: 1,
      memoryRevision: 0,
      flow: { task: 0, above: [], person: 0, sinks: 0 },
      heads: noHeads,
    },
    tool: of,
    arguments: { path, content: 'x'.repeat(2000) },
    operation: 'call',
    fingerprint: 'f',
    labels: clean,
    environment: 'development',
    now,
    approval: null,
  }
}

function load(name: string, text: string, tools: readonly Tool[]): LoadedPolicies {
  const loaded = loadPoliciesHere({ sources: [{ name, text }], tools })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems, null, 2))
  return loaded.snapshot
}

/** Median and 99th percentile of one decision in microseconds, after a warm-up that the engine's compiler needs. */
function measure(
  snapshot: LoadedPolicies,
  of: Tool,
  asked: { rounds: number; path: (round: number) => string },
) {
  for (let round = 0; round < asked.rounds; round++) snapshot.judge(question(of, `/warm/${round}`))
  const questions = Array.from({ length: asked.rounds }, (_, round) => question(of, asked.path(round)))
  const times = questions.map((one) => {
    const from = process.hrtime.bigint()
    snapshot.judge(one)
    return Number(process.hrtime.bigint() - from) / 1000
  })
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) }
}

const words = 'A line of plain text, as tools answer with. '

/** Redaction of one lent secret, the search for secret shapes, the join with what the task has read. */
function labelling(tool: Tool, size: number, rounds: number): number {
  const text = words.repeat(Math.ceil(size / words.length)).slice(0, size)
  const answer: ServerAnswer = {
    kind: 'result',
    result: { content: [{ type: 'text', text }] },
    isError: false,
  }
  const lent = [{ name: 'upstream', value: secretOf('s3cr3t-bench-value-0123456789') }]
  const times = Array.from({ length: rounds }, () => {
    const from = process.hrtime.bigint()
    const { value } = redactAnswer(answer, lent)
    join(clean, classify(value, tool).labels)
    return Number(process.hrtime.bigint() - from) / 1000
  })
  return percentile(times.slice(rounds / 4), 0.5)
}

/**
 * What one decision costs with 100 policies, policy and flow together. `new` decisions carry arguments that nobody has
 * sent before; `known` ones are equal to one asked before, which the engine answers from the same request.
 */
export const decide: Part = async ({ quick }) => {
  const rounds = quick ? 2_000 : 6_000
  const tools = Array.from({ length: 100 }, (_, index) =>
    benchTool(index, index === 1 ? ['write'] : ['read']),
  )
  const [read, write] = tools
  if (read === undefined || write === undefined) throw new Error('expected two tools')
  const hundred = load('hundred', hundredPolicies('up'), tools)
  const [starter] = await readStarter('guarded')
  const guarded = load('guarded', starter?.text ?? '', tools)
  const fresh = (round: number): string => `/srv/data/${round}`
  const allow = measure(hundred, read, { rounds, path: fresh })
  const ask = measure(hundred, write, { rounds, path: fresh })
  const label = labelling(read, 530, rounds)
  return {
    decide_us: short(allow.p50 + label),
    decide_policy_us: short(allow.p50),
    decide_policy_p99_us: short(allow.p99),
    decide_ask_us: short(ask.p50),
    decide_known_us: short(measure(hundred, read, { rounds, path: () => '/srv/data/a' }).p50),
    decide_guarded_read_us: short(measure(guarded, read, { rounds, path: fresh }).p50),
    decide_guarded_write_us: short(measure(guarded, write, { rounds, path: fresh }).p50),
    label_us: short(label),
    label_100k_us: short(labelling(read, 100_000, quick ? 100 : 400)),
  }
}
