import { noHeads } from '../src/testing/samples.ts'
import { clean } from '../src/flow/labels.ts'
import type { Question } from '../src/policy/judge.ts'
import { loadPoliciesHere } from '../src/policy/load.ts'
import type { LoadedPolicies } from '../src/policy/snapshot.ts'
import { readStarter } from '../src/policy/starter.ts'
import type { Effect, Tool } from '../src/registry/tool.ts'
import { noUsage } from '../src/task/task.ts'

/**
 * What one decision costs (goal: under 120 µs, then 20 µs, with 100 policies). `new` decisions carry arguments never
 * seen before and reach the engine; `known` ones repeat and are answered from exactly equal requests before.
 */

const rounds = Number(process.argv[2] ?? 4000)

function tool(name: string, effects: readonly Effect[]): Tool {
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
    id: `files/${name}`,
    server: 'files',
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

function question(of: Tool, path: string): Question {
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
      expiresAt: now + 60_000,
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
        expiresAt: now + 60_000,
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

const tools = [
  tool('read_file', ['read']),
  tool('write_file', ['write']),
  ...Array.from({ length: 98 }, (_, i) => tool(`tool_${i}`, ['read'])),
]

/** 100 policies: one for each tool with a rule on its own arguments, one general permit and one general ask. */
const hundred = [
  '@id("reads") permit (principal, action in Action::"effect:read", resource) when { resource.environment == context.task.environment };',
  '@id("writes") permit (principal, action in Action::"effect:write", resource) when { context has approval && resource.environment == context.task.environment };',
  ...tools
    .slice(0, 98)
    .map(
      ({ id, name }) =>
        `@id("${name}") forbid (principal, action == Action::"${id}", resource) when { context.input.path like "/etc/*" || context.labels.confidentiality > 2 };`,
    ),
].join('\n')

async function load(name: string, text: string | null): Promise<LoadedPolicies> {
  const sources = text === null ? await readStarter('guarded') : [{ name, text }]
  const started = performance.now()
  const loaded = loadPoliciesHere({ sources, tools })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems, null, 2))
  console.log(
    `${name}: ${loaded.snapshot.policies.length} policies, loaded in ${(performance.now() - started).toFixed(0)} ms`,
  )
  return loaded.snapshot
}

function measure(label: string, snapshot: LoadedPolicies, of: Tool, path: (round: number) => string): void {
  const questions = Array.from({ length: rounds }, (_, round) => question(of, path(round)))
  for (const one of questions.slice(0, 200))
    snapshot.judge({ ...one, arguments: { ...one.arguments, path: `${String(one.arguments['path'])}w` } })
  const times = questions.map((one) => {
    const from = process.hrtime.bigint()
    snapshot.judge(one)
    return Number(process.hrtime.bigint() - from) / 1000
  })
  times.sort((a, b) => a - b)
  const at = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(1)
  const first = snapshot.judge(question(of, path(0)))
  console.log(
    `  ${label.padEnd(34)} ${first.decision.padEnd(5)} p50 ${at(0.5).padStart(6)} µs   p99 ${at(0.99).padStart(7)} µs`,
  )
}

for (const [name, text] of [
  ['100 policies', hundred],
  ['guarded', null],
] as const) {
  const snapshot = await load(name, text)
  const [read, write] = tools
  if (read === undefined || write === undefined) throw new Error('expected two tools')
  measure('read, new arguments', snapshot, read, (round) => `/srv/data/${round}`)
  measure('read, known', snapshot, read, () => '/srv/data/a')
  measure('write, new arguments', snapshot, write, (round) => `/srv/data/${round}`)
  measure('write, known', snapshot, write, () => '/srv/data/a')
}
