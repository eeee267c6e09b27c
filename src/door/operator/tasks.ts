import { budgetSchema, nameSchema } from '../../config/schema.ts'
import { confidentialities } from '../../flow/labels.ts'
import { done, needsProof, notFound, problem, route, type Answer, type ApiCode, type Route } from './route.ts'
import { rfc3339 } from '../../lib/clock.ts'
import { z } from 'zod'
import type { Budget, Task } from '../../task/task.ts'
import type { JsonObject } from '../../lib/json.ts'
import type { OperatorParts } from './parts.ts'
import type { TaskProblem, TaskResult } from '../../task/tasks.ts'

const tools = z.array(z.string().max(512)).max(256)
const seconds = z
  .number()
  .int()
  .positive()
  .max(366 * 86_400)
const openSchema = z.strictObject({
  agent: nameSchema,
  parent: z.string().max(64).optional(),
  purpose: z.string().max(100).optional(),
  words: z.string().max(2000).optional(),
  /** A person attests that the agent remembers nothing of its other tasks (I6). */
  fresh: z.boolean().optional(),
  tools: tools.optional(),
  environment: z.string().max(100).optional(),
  budget: budgetSchema.optional(),
  expiresIn: seconds.optional(),
  idleSeconds: z
    .number()
    .int()
    .nonnegative()
    .max(366 * 86_400)
    .optional(),
})
const narrowSchema = z.strictObject({
  tools: tools.optional(),
  budget: budgetSchema.optional(),
  expiresIn: seconds.optional(),
})
const filterSchema = z.strictObject({
  agent: z.string().optional(),
  state: z.enum(['open', 'closed']).optional(),
})

/** The units of authority. */
export const taskRoutes = ({ tasks, agents }: OperatorParts): readonly Route[] => [
  route({
    on: 'GET /v1/tasks',
    needs: 'present',
    query: filterSchema,
    answer: async ({ query: { agent, state } }) => {
      const filter = { ...(agent === undefined ? {} : { agent }), ...(state === undefined ? {} : { state }) }
      return done({ tasks: (await tasks.list(filter)).slice(0, 1000).map(taskShown) })
    },
  }),
  route({
    on: 'GET /v1/tasks/:id',
    needs: 'present',
    answer: async ({ params }) => {
      const task = await tasks.get(params['id'] ?? '')
      return task === null ? notFound('such task', 'countersign task list') : done(taskShown(task))
    },
  }),
  route({
    on: 'POST /v1/tasks',
    needs: 'present',
    act: 'task-opened',
    body: openSchema,
    answer: async ({ body, who }) => {
      const { agent: name, parent, purpose, words, expiresIn, idleSeconds } = body
      const template = (await agents.get(name))?.template
      // The agent's own purpose is no more than the agent could open by itself; another one may be worth more to policy.
      if (purpose !== undefined && purpose !== template?.purposeClass && who.level === 'present') {
        return needsProof("this purpose is not the agent's own, so a person has to be proven")
      }
      if (body.fresh === true && who.level === 'present')
        return needsProof('only a person can attest that an agent starts afresh')
      // The key is a file that every program of the user can read, an agent with a shell too: its words count as
      // the agent's, or one that was talked into something would name its own targets as the person.
      const opening = {
        by: who.level === 'present' ? 'agent' : 'person',
        agent: name,
        parent,
        purposeClass: purpose,
        words,
        fresh: body.fresh,
        tools: body.tools,
        environment: body.environment,
        budget: body.budget === undefined ? undefined : budgetOf(body.budget),
        lifetimeMs: expiresIn === undefined ? undefined : expiresIn * 1000,
        idleMs: idleSeconds === undefined ? undefined : idleSeconds * 1000,
      } as const
      return shown(await tasks.open(opening, who.actor), 201)
    },
  }),
  route({
    on: 'POST /v1/tasks/:id/narrow',
    needs: 'present',
    act: 'task-narrowed',
    body: narrowSchema,
    answer: async ({ params, body, who }) => {
      const to = {
        tools: body.tools,
        budget: body.budget === undefined ? undefined : budgetOf(body.budget),
        lifetimeMs: body.expiresIn === undefined ? undefined : body.expiresIn * 1000,
      }
      return shown(await tasks.narrow(params['id'] ?? '', to, who.actor))
    },
  }),
  route({
    on: 'POST /v1/tasks/:id/labels',
    needs: 'proved',
    act: 'labels-lowered',
    body: z.strictObject({
      confidentiality: z.enum(confidentialities),
      integrity: z.enum(['trusted', 'untrusted']),
      reason: z.string().min(1).max(1000),
    }),
    answer: async ({ params, body, who }) =>
      shown(await tasks.lowerLabels(params['id'] ?? '', body, who.actor)),
  }),
  route({
    on: 'DELETE /v1/tasks/:id',
    needs: 'present',
    act: 'task-closed',
    body: z.strictObject({ because: z.string().min(1).max(200).default('closed-by-operator') }),
    answer: async ({ params, body, who }) => {
      const id = params['id'] ?? ''
      if ((await tasks.get(id)) === null) return notFound('such task', 'countersign task list')
      return done({ closed: await tasks.close(id, body.because, who.actor) })
    },
  }),
]

/** A budget as parsed, without members that are there but undefined. */
export const budgetOf = (budget: z.infer<typeof budgetSchema>): Budget => ({
  ...(budget.calls === undefined ? {} : { calls: budget.calls }),
  ...(budget.effects === undefined
    ? {}
    : {
        effects: Object.fromEntries(
          Object.entries(budget.effects).filter(([, limit]) => limit !== undefined),
        ),
      }),
})

export const taskShown = (task: Task): JsonObject => ({
  id: task.id,
  parent: task.parent,
  agent: task.agent,
  owner: task.owner,
  purpose: { ...task.purpose },
  environment: task.environment,
  tools: task.tools,
  budget: {
    ...(task.budget.calls === undefined ? {} : { calls: task.budget.calls }),
    ...(task.budget.effects === undefined ? {} : { effects: { ...task.budget.effects } }),
  },
  openedAt: rfc3339(task.openedAt),
  expiresAt: rfc3339(task.expiresAt),
  idleSeconds: Math.round(task.idleMs / 1000),
  state: task.state,
  closedAt: task.closedAt === null ? null : rfc3339(task.closedAt),
  closedBecause: task.closedBecause,
})

const codes: { readonly [P in TaskProblem]: readonly [ApiCode, string] } = {
  'bad-request': ['bad-request', 'correct it and send it again'],
  'unknown-purpose': ['refused', 'register the purpose in the configuration, or use another'],
  'outside-ceiling': ['refused', 'ask for less, or change what the agent may ask for'],
  'unknown-agent': ['not-found', 'countersign agent list'],
  revoked: ['conflict', 'countersign revoke list'],
  'no-parent': ['not-found', 'countersign task list'],
  'no-task': ['not-found', 'countersign task list'],
  'task-ended': ['conflict', 'open a new task'],
  'too-many': ['conflict', 'close tasks that are no longer needed'],
  taken: ['conflict', 'use another operator name'],
}

export function taskProblem({ problem: code, detail }: Extract<TaskResult, { readonly ok: false }>): Answer {
  const [api, hint] = codes[code]
  return problem(api, detail, hint)
}

const shown = (result: TaskResult, status = 200): Answer =>
  result.ok ? done(taskShown(result.task), status) : taskProblem(result)
