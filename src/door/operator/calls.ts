import { sayTargets } from '../../flow/say.ts'
import { done, notFound, route, type Answer, type Route } from './route.ts'
import { isRefused, refusals, type Refused } from '../../call/refusal.ts'
import { newId } from '../../lib/id.ts'
import { rfc3339 } from '../../lib/clock.ts'
import { taskProblem } from './tasks.ts'
import { toolId } from '../../registry/tool.ts'
import { z } from 'zod'
import type { Arrival, Decided, Settled, Wanted } from '../../call/states.ts'
import type { Credential } from '../../identity/caller.ts'
import type { Json, JsonObject } from '../../lib/json.ts'
import type { OperatorParts } from './parts.ts'
import type { Presence } from '../../identity/operator.ts'

const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), z.json())
const wantedSchema = {
  server: z.string().max(63),
  operation: z.enum(['call', 'read', 'get', 'complete']).default('call'),
  name: z.string().min(1).max(4096),
  arguments: jsonObject.default({}),
}
const callSchema = z.strictObject({
  ...wantedSchema,
  /** Of a call that waited for an approval: the approval is for that task. */
  task: z.string().max(64).optional(),
  purpose: z.string().max(100).optional(),
  words: z.string().max(2000).optional(),
})
const explainSchema = z.strictObject({ ...wantedSchema, task: z.string().max(64) })

/** A person's own calls: the same path, the same policies, the same log. The key alone is no person, so it makes none. */
export const callRoutes = (parts: OperatorParts): readonly Route[] => [
  route({
    on: 'POST /v1/calls',
    needs: 'proved',
    body: callSchema,
    answer: async ({ body, who, signal }) => {
      const task =
        body.task === undefined
          ? await ownTask(parts, body, who)
          : await parts.tasks.current(body.task, who.name)
      if (!task.ok) return taskProblem(task)
      const credential: Credential = {
        kind: 'operator',
        name: who.name,
        task: task.task.id,
        sessionId: who.sessionId,
      }
      const arrival = arrivalOf(body, credential, signal)
      const end = await parts.calls.run(arrival)
      const waits = isRefused(end) && end.code === 'approval-required'
      if (!waits && body.task === undefined) await parts.tasks.close(task.task.id, 'completed', who.actor)
      return done({
        call: arrival.call,
        task: task.task.id,
        ...(isRefused(end) ? refusedShown(end) : settledShown(end)),
      })
    },
  }),
  route({
    on: 'POST /v1/explain',
    needs: 'present',
    body: explainSchema,
    answer: async ({ body, who, signal }) => {
      const task = await parts.tasks.get(body.task)
      if (task === null || task.state === 'closed') return notFound('such open task', 'countersign task list')
      const credential = await credentialFor(parts, task, who)
      const end = await parts.calls.explain(arrivalOf(body, credential, signal))
      const determining = isRefused(end) ? (end.known.policies ?? []) : end.judgement.policies
      const shown = isRefused(end) ? refusedShown(end) : decidedShown(end)
      return done({ task: task.id, ...shown, determining: parts.policy.where(determining) })
    },
  }),
  route({
    on: 'GET /v1/calls/:id',
    needs: 'present',
    answer: async ({ params }): Promise<Answer> => {
      const entries = await parts.audit.call(params['id'] ?? '')
      return entries.length === 0
        ? notFound('such call', 'countersign audit recent')
        : done({ entries: entries.map((one) => ({ ...one })) })
    },
  }),
]

type Called = Wanted & { readonly arguments: JsonObject }

const arrivalOf = (called: Called, credential: Credential, signal: AbortSignal): Arrival => {
  const call = newId('c')
  const { server, operation, name } = called
  return {
    call,
    chain: call,
    door: 'operator',
    credential,
    wanted: { server, operation, name },
    arguments: called.arguments,
    leg: null,
    signal,
    progress: () => undefined,
  }
}

/** One task for one call, as narrow as can be said beforehand. */
const ownTask = ({ tasks }: OperatorParts, body: z.infer<typeof callSchema>, who: Presence) =>
  tasks.openForPerson(
    who.name,
    {
      purposeClass: body.purpose,
      words: body.words,
      tools: [body.operation === 'call' ? toolId(body.server, 'tool', body.name) : `${body.server}/*`],
    },
    who.actor,
  )

/** To say what would happen to an agent's call, the call has to be that agent's; its token never leaves this function's caller. */
async function credentialFor(
  parts: OperatorParts,
  task: { readonly id: string; readonly agent: string; readonly owner: string },
  who: Presence,
): Promise<Credential> {
  if (task.agent === who.name)
    return { kind: 'operator', name: who.name, task: task.id, sessionId: who.sessionId }
  const { token } = await parts.tokens.mint({
    agent: task.agent,
    owner: task.owner,
    task: task.id,
    now: parts.clock.now(),
  })
  return { kind: 'bearer', token }
}

/** Operators see the private reason, too. */
const refusedShown = (refused: Refused): JsonObject => ({
  end: refused.code === 'approval-required' ? 'waiting' : 'refused',
  refusal: {
    code: refused.code,
    family: refusals[refused.code].family,
    stage: refused.stage,
    reason: refused.reason,
    tell: refusals[refused.code].tell,
    hint: refused.hint,
    ask: refused.ask === null ? null : { id: refused.ask.id, expiresAt: rfc3339(refused.ask.expiresAt) },
  },
})

function settledShown({ outcome, tool, answer }: Settled): JsonObject {
  const shown: Json = JSON.parse(JSON.stringify(answer))
  return { end: 'settled', outcome, tool: tool.id, answer: shown }
}

const decidedShown = ({ tool, judgement, policy, bound, flow }: Decided): JsonObject => ({
  end: judgement.decision,
  tool: tool.id,
  policy: policy.version,
  policies: judgement.policies,
  because: judgement.because,
  targets: sayTargets(flow),
  risk: flow.risk,
  errors: judgement.errors,
  requirement: judgement.requirement === null ? null : { ...judgement.requirement },
  labels: { ...bound.labels },
})
