import { parse } from 'yaml'
import { z } from 'zod'
import { bearingKinds } from '../flow/bears.ts'
import { confidentialities } from '../flow/labels.ts'
import { effects, type Review, type Tool } from '../registry/tool.ts'
import { resultsSchema } from '../registry/labels.ts'
import { starters } from './starter.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'

/*
 * The files that `policy test` reads: what a policy set has to say to a call, after what a task has done. Everything
 * that a decision can look at can be written down; what is left out has the plainest value. See
 * docs/guides/policy-checks.md.
 */

const decisions = ['allow', 'ask', 'deny'] as const
const name = z.string().min(1).max(200)
const object = z.record(z.string(), z.unknown()).transform((value): JsonObject => plain(value))

const toolSchema = z.strictObject({
  effects: z.array(z.enum(effects)).min(1),
  environment: name.default('development'),
  confidentiality: z.enum(confidentialities).default('internal'),
  integrity: z.enum(['trusted', 'untrusted']).default('untrusted'),
  /** By pointer. Left out: nobody has said which arguments decide where it acts. */
  bears: z.record(z.string(), z.enum(bearingKinds)).optional(),
  targets: z
    .strictObject({ path: z.string(), url: z.string(), recipient: z.string(), amount: z.string() })
    .partial()
    .default({}),
  results: resultsSchema.optional(),
  /** JSON Schema of the arguments; left out, any are taken. */
  input: object.optional(),
})

const taskSchema = z.strictObject({
  purpose: name.default('general'),
  /** The person's, and vouched for unless `vouched` says no. */
  words: z.string().max(20_000).default(''),
  vouched: z.boolean().default(true),
  environment: name.default('development'),
  agent: name.default('agent'),
  owner: name.default('owner'),
  tools: z.array(z.string()).default(['*']),
  budget: z.strictObject({ calls: z.number().int().nonnegative() }).partial().default({}),
  /** What it starts with. */
  labels: z
    .strictObject({
      confidentiality: z.enum(confidentialities).default('public'),
      integrity: z.enum(['trusted', 'untrusted']).default('trusted'),
    })
    .optional(),
})

const stepSchema = z.strictObject({
  call: name,
  arguments: object.default({}),
  /** As text, or JSON that the server gives back as text. */
  result: z.unknown().optional(),
  structured: object.optional(),
  error: z.string().optional(),
  /** `unknown`: sent, and nobody knows whether it happened. */
  outcome: z.enum(['unknown']).optional(),
  /** Without it the call must not be denied, and a person is taken to have approved it. With `deny` it is not made. */
  expect: z.enum(decisions).optional(),
  /** Another agent of the same person, with a task of its own. */
  agent: name.optional(),
  ago: z
    .string()
    .regex(/^\d{1,4}[smhd]$/, 'expected a time such as `20m`, `3h` or `2d`')
    .optional(),
  times: z.number().int().min(1).max(1000).default(1),
})
export type CaseStep = z.infer<typeof stepSchema>

const policySchema = z.union([
  z.enum(starters).transform((starter) => ({ starter })),
  z.strictObject({ starter: z.enum(starters) }),
  z.strictObject({ files: z.array(z.string()).min(1) }),
])
export type PolicyRef = z.infer<typeof policySchema>

const caseSchema = z.strictObject({
  name,
  policy: policySchema.optional(),
  tools: z.record(name, toolSchema).default({}),
  task: taskSchema.partial().default({}),
  history: z.array(stepSchema).max(10_000).default([]),
  call: name,
  arguments: object.default({}),
  at: z.iso.datetime().optional(),
  expect: z.enum(decisions),
  /** Part of a reason that people are told. */
  because: z.string().optional(),
  /** Among those that decided. */
  policies: z.array(z.string()).default([]),
  requirement: z
    .strictObject({
      count: z.number().int(),
      independent: z.boolean(),
      proof: z.enum(['terminal', 'passphrase', 'passkey']),
    })
    .partial()
    .optional(),
})

const fileSchema = z.strictObject({
  policy: policySchema.optional(),
  /** The broker's. */
  environment: name.default('development'),
  clearance: z.enum(confidentialities).default('secret'),
  tools: z.record(name, toolSchema).default({}),
  task: taskSchema.partial().default({}),
  cases: z.array(caseSchema).min(1).max(10_000),
})

export type TaskCase = z.infer<typeof taskSchema>
/** One case with what its file says for all of them. */
export type Case = Omit<z.infer<typeof caseSchema>, 'task' | 'tools' | 'policy'> & {
  readonly environment: string
  readonly clearance: (typeof confidentialities)[number]
  /** Null: the configured one. */
  readonly policy: PolicyRef | null
  readonly tools: readonly Tool[]
  readonly task: TaskCase
}

export type ParsedCases =
  { readonly ok: true; readonly cases: readonly Case[] } | { readonly ok: false; readonly problem: string }

const maxChars = 4 * 1024 * 1024

/** Reads a file of cases. The problem names the member and what was expected. */
export function parseCases(text: string): ParsedCases {
  if (text.length > maxChars) return { ok: false, problem: `expected at most ${maxChars} characters` }
  let value: unknown
  try {
    value = parse(text, { maxAliasCount: 100, logLevel: 'silent', schema: 'core' })
  } catch (problem) {
    return { ok: false, problem: problem instanceof Error ? problem.message.slice(0, 500) : 'expected YAML' }
  }
  const parsed = fileSchema.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    return {
      ok: false,
      problem: `\`/${issue?.path.map(String).join('/') ?? ''}\`: ${issue?.message ?? 'malformed'}`,
    }
  }
  const { cases, environment, clearance, policy, tools, task } = parsed.data
  const odd = [tools, ...cases.map((one) => one.tools)].flatMap(Object.keys).find((id) => !isToolId(id))
  if (odd !== undefined)
    return { ok: false, problem: `\`/tools/${odd}\`: expected \`server/name\`, such as \`mail/send\`` }
  return {
    ok: true,
    cases: cases.map((one) => ({
      ...one,
      environment,
      clearance,
      policy: one.policy ?? policy ?? null,
      tools: Object.entries({ ...tools, ...one.tools }).map(([id, tool]) => toolOf(id, tool)),
      task: taskSchema.parse({ ...task, ...one.task }),
    })),
  }
}

const isToolId = (id: string): boolean => /^[^\s/]+\/\S+$/.test(id)

const digest = `sha256:${'0'.repeat(64)}`
const anyArguments: JsonObject = { type: 'object', additionalProperties: true }

function toolOf(id: string, { input, bears, results, targets, ...labels }: z.infer<typeof toolSchema>): Tool {
  const slash = id.indexOf('/')
  const [server, own] = [id.slice(0, slash), id.slice(slash + 1)]
  const definition = { kind: 'tool', name: own, inputSchema: input ?? anyArguments } as const
  const review: Review = {
    ...labels,
    digest,
    targets: withoutUndefined(targets),
    ...(bears === undefined ? {} : { bears: Object.entries(bears).map(([at, kind]) => ({ at, kind })) }),
    ...(results === undefined ? {} : { results }),
    reviewer: 'case',
    at: '2026-01-01T00:00:00.000Z',
  }
  return {
    id,
    server,
    kind: 'tool',
    name: own,
    state: 'reviewed',
    digest,
    definition,
    pinned: definition,
    review,
    findings: [],
  }
}

const withoutUndefined = ({
  path,
  url,
  recipient,
  amount,
}: z.infer<typeof toolSchema>['targets']): Review['targets'] => ({
  ...(path === undefined ? {} : { path }),
  ...(url === undefined ? {} : { url }),
  ...(recipient === undefined ? {} : { recipient }),
  ...(amount === undefined ? {} : { amount }),
})

function plain(value: unknown): JsonObject {
  const json: Json = JSON.parse(JSON.stringify(value))
  return isJsonObject(json) ? json : {}
}

/** What YAML gave as the JSON that a server would have sent. */
export const asJson = (value: unknown): Json => JSON.parse(JSON.stringify(value ?? null))
