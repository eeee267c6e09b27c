import { z } from 'zod'
import { effects } from '../registry/tool.ts'
import { confidentialities } from '../flow/labels.ts'
import { inputKinds } from '../server/answer.ts'
import { levels } from '../observe/fields.ts'
import { databaseProblem, publicUrlProblem } from './url.ts'

/** One schema for every configuration file. Unknown keys are errors. `docs/reference/config.md` is made from it. */

/** Server, agent and secret names. `__` is kept free: it joins server and tool on the combined endpoint. */
export const nameSchema = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9.-]|_(?!_)){0,62}$/,
    'expected 1 to 63 of a-z, 0-9, `-`, `.`, single `_`, starting with a letter or digit',
  )
  .refine((name) => !name.endsWith('_'), 'a name may not end with `_`')

/** `secret:NAME` stands for a value in the sealed store; anything else is taken literally and is not secret. */
const valueSchema = z.string()

const milliseconds = z.number().int().nonnegative()

export const budgetSchema = z.strictObject({
  calls: z.number().int().nonnegative().optional().describe('calls in all'),
  effects: z
    .partialRecord(z.enum(effects), z.number().int().nonnegative())
    .optional()
    .describe('calls by effect'),
})

export const limitsSchema = z.strictObject({
  callMs: milliseconds.default(60_000).describe('longest wait for an answer'),
  connectMs: milliseconds.default(15_000).describe('longest wait for a server to start or to accept'),
  resultBytes: z
    .number()
    .int()
    .positive()
    .default(8 * 1024 * 1024)
    .describe('largest result taken'),
  concurrency: z.number().int().positive().default(32).describe('calls under way at once'),
})

const serverCommon = {
  environment: z.string().default('development').describe('what the server acts on, for policy'),
  profile: z
    .string()
    .min(1)
    .max(4096)
    .optional()
    .describe(
      'what a registry owner says of its tools: a packaged profile by name, or a file such as `./mine.yaml`, relative to this file; it only proposes. See the [guide](../guides/profiles.md)',
    ),
  reviewed: z.string().optional().describe('file with reviewed definitions to import, relative to this file'),
  limits: limitsSchema.prefault({}),
}

export const stdioServerSchema = z.strictObject({
  command: z.string().min(1).describe('program to run; never taken from a request'),
  args: z.array(z.string()).default([]),
  cwd: z.string().optional(),
  env: z
    .record(z.string(), valueSchema)
    .default({})
    .describe('the whole environment but for PATH; `secret:NAME` is lent per task'),
  ...serverCommon,
})

export const httpServerSchema = z.strictObject({
  url: z.url().describe('streamable HTTP endpoint; https unless on loopback'),
  headers: z
    .record(z.string(), valueSchema)
    .default({})
    .describe('`secret:NAME`, or text around `${secret:NAME}`, is lent per call'),
  allowPrivate: z.boolean().default(false).describe('the address may be on a private network'),
  ...serverCommon,
})

export const serverSchema = z.union([stdioServerSchema, httpServerSchema])
export type ServerConfig = z.infer<typeof serverSchema>
export type StdioServerConfig = z.infer<typeof stdioServerSchema>
export type HttpServerConfig = z.infer<typeof httpServerSchema>

export const templateSchema = z.strictObject({
  purpose: z.string().default('general').describe('purpose class that policy can judge'),
  environment: z.string().optional().describe("the broker's own when left out"),
  tools: z.array(z.string()).default(['*']).describe('tool ids, `server/*` or `*`'),
  budget: budgetSchema.prefault({}),
  lifetimeMinutes: z.number().positive().default(480),
  idleMinutes: z.number().nonnegative().default(120),
})
export type TemplateConfig = z.infer<typeof templateSchema>

export const agentSchema = z.strictObject({
  owner: z.string().min(1).optional().describe('the person it works for; the operator when left out'),
  task: templateSchema.prefault({}),
})

export const issuerSchema = z.strictObject({
  issuer: z.url(),
  audience: z.string().min(1),
  jwks: z.union([z.url(), z.string().min(1)]).describe('https URL or file of the key set'),
  algorithms: z
    .array(z.enum(['ES256', 'ES384', 'EdDSA', 'RS256', 'PS256']))
    .default(['ES256', 'EdDSA', 'RS256', 'PS256']),
  claims: z
    .record(z.string(), z.union([z.string(), z.array(z.string())]))
    .default({})
    .describe('claims that must have these values'),
  agentClaim: z.string().default('sub').describe("the claim that holds the agent's registered name"),
  agents: z.array(nameSchema).min(1).describe('the agents that this issuer may speak for, and no other'),
})

export const storeSchema = z.strictObject({
  postgres: z
    .string()
    .superRefine((url, { addIssue }) => {
      const problem = databaseProblem(url)
      if (problem !== null) addIssue({ code: 'custom', message: problem, input: '' })
    })
    .describe(
      '`postgres://USER@HOST:PORT/DATABASE`; a socket as `postgres://USER@%2Frun%2Fpostgresql/DATABASE`',
    ),
  passwordFile: z
    .string()
    .min(1)
    .optional()
    .describe('file that holds the password in one line, relative to this file; read at each connection'),
  ca: z
    .string()
    .min(1)
    .optional()
    .describe(
      "file of the authorities (PEM) that the database's certificate is checked against; the system's when left out",
    ),
  maxConnections: z.number().int().min(3).max(1000).default(8).describe('most connections of this node'),
  answerMs: z
    .number()
    .int()
    .min(500)
    .max(120_000)
    .default(15_000)
    .describe('longest wait for an answer of the database; then a call is refused as `audit-unavailable`'),
})
export type StoreConfig = z.infer<typeof storeSchema>

/** `secret:NAME` is read from the sealed store at start. */
const otlpSchema = z.strictObject({
  endpoint: z
    .url({ protocol: /^https?$/ })
    .refine((url) => URL.parse(url)?.username === '', 'expected an address without a name and password')
    .optional()
    .describe(
      'base URL of an OTLP/HTTP receiver, for example `http://127.0.0.1:4318`; `OTEL_EXPORTER_OTLP_ENDPOINT` when left out; nothing is exported without either',
    ),
  headers: z
    .record(z.string(), valueSchema)
    .default({})
    .describe('sent with each export; `secret:NAME` is read from the sealed store at start'),
  metricsSeconds: z.number().min(1).max(3600).default(60).describe('how often metrics are sent'),
  timeoutSeconds: z
    .number()
    .min(0.1)
    .max(60)
    .default(5)
    .describe('longest wait for the receiver; calls never wait for it'),
})

export const observeSchema = z.strictObject({
  log: z
    .enum(['auto', 'json', 'text', 'off'])
    .default('auto')
    .describe('lines on stderr: `auto` is `text` on a terminal and `json`, one object a line, elsewhere'),
  level: z.enum(levels).default('info').describe('least level that `json` writes'),
  metrics: z
    .strictObject({
      prometheus: z.boolean().default(true).describe("serve `/metrics` on the operators' listener"),
      tokenFile: z
        .string()
        .min(1)
        .optional()
        .describe(
          'file with the token that a scraper has to send, relative to this file; `scrape.token` below `home` when left out, made at start',
        ),
    })
    .prefault({}),
  otlp: otlpSchema.prefault({}),
  traces: z
    .strictObject({
      ratio: z.number().min(0).max(1).default(1).describe('share of traces that is recorded'),
      incoming: z
        .enum(['link', 'parent', 'ignore'])
        .default('link')
        .describe(
          "what a trace context that an agent sends becomes: a link, the parent (then the agent's trace id reaches servers), or nothing",
        ),
      propagate: z
        .boolean()
        .default(true)
        .describe("tell servers the broker's own trace context, in `_meta` and as a header"),
    })
    .prefault({}),
})
export type ObserveConfig = z.infer<typeof observeSchema>

export const configSchema = z.strictObject({
  $schema: z.string().optional(),
  home: z.string().default('.countersign').describe('folder of store, keys and log, relative to this file'),
  keys: z
    .string()
    .min(1)
    .optional()
    .describe(
      "folder of the broker's own keys and `operator.token`, relative to this file; may be read only, and is the same on every node. `keys` below `home` when left out",
    ),
  store: storeSchema.optional(),
  sealKeyCommand: z
    .array(z.string())
    .min(1)
    .optional()
    .describe(
      'program and arguments that print the sealing key (32 bytes in base64); `keys/seal.key` below `home` when left out',
    ),
  environment: z.string().default('development'),
  operator: nameSchema
    .optional()
    .describe('name of the person at the terminal; the system user when left out'),
  listen: z
    .strictObject({
      agents: z.string().default('127.0.0.1:7316'),
      agentsUrl: z
        .string()
        .superRefine((url, { addIssue }) => {
          const problem = publicUrlProblem(url)
          if (problem !== null) addIssue({ code: 'custom', message: problem, input: '' })
        })
        .optional()
        .describe(
          "the agents' listener as agents know it, behind a load balancer: issuer and audience of every token, the same on every node; the address that it listens on when left out",
        ),
      operators: z.string().default('127.0.0.1:7317'),
      allowedHosts: z.array(z.string()).default([]).describe('Host values accepted beside loopback names'),
      allowedOrigins: z.array(z.string()).default([]),
      drainSeconds: z
        .number()
        .nonnegative()
        .max(300)
        .default(0)
        .describe(
          'after SIGTERM: how long calls are still taken while `/readyz` says no, until no load balancer sends any',
        ),
      graceSeconds: z
        .number()
        .nonnegative()
        .max(600)
        .default(10)
        .describe('at the end: how long calls under way may take before they are cut off'),
    })
    .prefault({}),
  policy: z
    .strictObject({
      starter: z.enum(['observe', 'guarded', 'guarded-one-person', 'strict']).optional(),
      dir: z
        .string()
        .optional()
        .describe('folder of `.cedar` files, relative to this file; replaces the starter'),
      shadow: z
        .string()
        .min(1)
        .optional()
        .describe(
          'a starter set, or a folder like `dir`: judged beside the live set without influence; differences are entries',
        ),
    })
    .prefault({}),
  servers: z.record(nameSchema, serverSchema).default({}),
  agents: z.record(nameSchema, agentSchema).default({}),
  issuers: z.array(issuerSchema).default([]),
  purposes: z.array(z.string()).default(['general']).describe('registered purpose classes'),
  inputs: z
    .array(z.enum(inputKinds))
    .default(['form'])
    .describe(
      'what servers may ask of a client in the middle of a call; `sampling` lets them drive its model, `roots` look around',
    ),
  approvals: z
    .strictObject({
      minutes: z.number().positive().default(15).describe('how long an ask stays open'),
      holdSeconds: z
        .number()
        .nonnegative()
        .max(55)
        .default(45)
        .describe('how long the door holds one leg of a waiting call'),
      legs: z.number().int().positive().max(8).default(4),
      pendingPerAgent: z.number().int().positive().default(20),
    })
    .prefault({}),
  audit: z
    .strictObject({
      origin: z.string().optional().describe('name of the log in checkpoints (C2SP origin)'),
      checkpointMs: milliseconds.default(1000),
      retentionDays: z
        .number()
        .positive()
        .default(200)
        .describe('payloads older than this are erased; entries and their proofs stay'),
    })
    .prefault({}),
  labels: z
    .strictObject({
      memoryHours: z
        .number()
        .nonnegative()
        .default(24)
        .describe("a new task starts from the labels of the agent's tasks this recent"),
      clearance: z
        .enum(confidentialities)
        .default('secret')
        .describe('bodies above this are withheld from agents'),
    })
    .prefault({}),
  load: z
    .strictObject({
      connections: z
        .number()
        .int()
        .min(8)
        .default(2_048)
        .describe("most connections to the agents' listener"),
      perAddress: z
        .number()
        .int()
        .min(8)
        .default(1_536)
        .describe('most of them from one address; behind a proxy that is everybody'),
      requests: z
        .number()
        .int()
        .min(8)
        .default(512)
        .describe('most requests of agents under way at once; beyond, 503'),
      requestsPerAgent: z
        .number()
        .int()
        .positive()
        .default(64)
        .describe('most of them of one agent; beyond, 429'),
    })
    .prefault({}),
  observe: observeSchema.prefault({}),
})
export type Config = z.infer<typeof configSchema>
