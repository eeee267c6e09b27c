import { agentSchema, nameSchema, type TemplateConfig } from '../../config/schema.ts'
import { done, notFound, problem, route, type Answer, type ApiCode, type Route } from './route.ts'
import { rfc3339 } from '../../lib/clock.ts'
import { thumbprint } from '../../identity/key.ts'
import { z } from 'zod'
import type { Agent, TaskTemplate } from '../../identity/caller.ts'
import type { AgentProblem, AgentResult } from '../../identity/agents.ts'
import type { JsonObject } from '../../lib/json.ts'
import type { OperatorParts } from './parts.ts'

const keySchema = z.record(z.string().max(16), z.string().max(128))
const reasonSchema = z.string().max(1000).default('')

/** Workload identities. Only public keys come in: the private one is made where the agent runs. */
export const agentRoutes = ({ agents, tasks, defaults }: OperatorParts): readonly Route[] => [
  route({
    on: 'GET /v1/agents',
    needs: 'present',
    answer: async () => done({ agents: (await agents.list()).map(agentShown) }),
  }),
  route({
    on: 'GET /v1/agents/:name',
    needs: 'present',
    answer: async ({ params }) => {
      const agent = await agents.get(params['name'] ?? '')
      if (agent === null) return notFound('such agent', 'countersign agent list')
      const open = await tasks.list({ agent: agent.name, state: 'open' })
      return done({ ...agentShown(agent), openTasks: open.map(({ id }) => id) })
    },
  }),
  route({
    on: 'POST /v1/agents',
    needs: 'proved',
    act: 'agent-added',
    body: agentSchema.extend({ name: nameSchema, publicKey: keySchema }),
    answer: async ({ body, who }) => {
      const { name, publicKey } = body
      const template = templateOf(body.task, defaults.template)
      return shown(
        await agents.add({ name, owner: body.owner ?? defaults.owner, publicKey, template }, who.actor),
        201,
      )
    },
  }),
  route({
    on: 'PUT /v1/agents/:name/key',
    needs: 'proved',
    act: 'agent-key-rotated',
    body: z.strictObject({ publicKey: keySchema }),
    answer: async ({ params, body, who }) =>
      shown(await agents.rotate(params['name'] ?? '', body.publicKey, who.actor)),
  }),
  route({
    on: 'DELETE /v1/agents/:name',
    needs: 'present',
    act: 'agent-revoked',
    body: z.strictObject({ reason: reasonSchema }),
    answer: async ({ params, body, who }) =>
      shown(await agents.revoke(params['name'] ?? '', body.reason, who.actor)),
  }),
]

/** What a configuration says of an agent's tasks, in the form that tasks are opened with. */
export const templateOf = (
  config: TemplateConfig,
  defaults: Pick<TaskTemplate, 'environment'>,
): TaskTemplate => ({
  purposeClass: config.purpose,
  environment: config.environment ?? defaults.environment,
  tools: config.tools,
  budget: {
    ...(config.budget.calls === undefined ? {} : { calls: config.budget.calls }),
    ...(config.budget.effects === undefined ? {} : { effects: present(config.budget.effects) }),
  },
  lifetimeMs: Math.round(config.lifetimeMinutes * 60_000),
  idleMs: Math.round(config.idleMinutes * 60_000),
})

const present = (limits: {
  readonly [name: string]: number | undefined
}): { readonly [name: string]: number } =>
  Object.fromEntries(
    Object.entries(limits).flatMap(([name, limit]) => (limit === undefined ? [] : [[name, limit]])),
  )

const agentShown = (agent: Agent): JsonObject => ({
  name: agent.name,
  owner: agent.owner,
  state: agent.state,
  key: thumbprint(agent.publicKey),
  createdAt: rfc3339(agent.createdAt),
  template: {
    ...agent.template,
    budget: { ...agent.template.budget, effects: { ...agent.template.budget.effects } },
  },
})

const codes: { readonly [P in AgentProblem]: readonly [ApiCode, string] } = {
  exists: ['conflict', 'use another name, or rotate its key'],
  taken: ['conflict', 'use another name'],
  unknown: ['not-found', 'countersign agent list'],
  'bad-key': ['bad-request', 'make one: countersign agent add NAME'],
  revoked: ['conflict', 'add an agent of another name'],
}

function shown(result: AgentResult, status = 200): Answer {
  if (result.ok) return done(agentShown(result.agent), status)
  const [code, hint] = codes[result.problem]
  return problem(code, result.detail, hint)
}
