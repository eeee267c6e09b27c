import { done, needsProof, notFound, problem, route, type Answer, type Route } from './route.ts'
import { showAsk } from '../../approval/show.ts'
import { z } from 'zod'
import type { AnswerProblem } from '../../approval/approvals.ts'
import type { Ask } from '../../approval/ask.ts'
import type { OperatorParts } from './parts.ts'

const states = ['pending', 'approved', 'refused', 'expired', 'consumed'] as const
const filterSchema = z.strictObject({
  state: z.enum(states).optional(),
  limit: z.coerce.number().int().positive().max(500).default(100),
})
const answerSchema = z.strictObject({
  answer: z.enum(['approve', 'refuse']),
  reason: z.string().max(1000).default(''),
  /** Of the ask that the person saw: what is approved is what was looked at. */
  digest: z.string().max(80),
})

/** Questions to people. Refusing takes authority away, so the key is enough; approving gives it. */
export const askRoutes = ({ approvals, tasks, registry, clock }: OperatorParts): readonly Route[] => {
  const shown = async (ask: Ask) => {
    const [task, tool] = await Promise.all([tasks.get(ask.task), registry.tool(ask.tool)])
    const { lines, json } = showAsk(ask, { task, tool }, clock.now())
    return { ...json, lines }
  }
  return [
    route({
      on: 'GET /v1/asks',
      needs: 'present',
      query: filterSchema,
      answer: async ({ query: { state, limit } }) => {
        const asks =
          state === 'pending'
            ? (await approvals.pending()).slice(0, limit)
            : await approvals.list({ ...(state === undefined ? {} : { state }), limit })
        return done({ asks: await Promise.all(asks.map(shown)) })
      },
    }),
    route({
      on: 'GET /v1/asks/:id',
      needs: 'present',
      answer: async ({ params }) => {
        const ask = await approvals.get(params['id'] ?? '')
        return ask === null ? notFound('such ask', 'countersign approve') : done(await shown(ask))
      },
    }),
    route({
      on: 'POST /v1/asks/:id/answer',
      needs: 'present',
      act: 'ask-answered',
      body: answerSchema,
      answer: async ({ params, body, who }) => {
        const id = params['id'] ?? ''
        if (body.answer === 'approve' && who.level === 'present') return needsProof()
        const ask = await approvals.get(id)
        if (ask === null) return answerProblem('unknown')
        if (ask.digest !== body.digest)
          return problem(
            'conflict',
            'the digest is not that of this ask',
            'look at the ask again, then answer',
          )
        const result = await approvals.answer(id, {
          answer: body.answer,
          reason: body.reason,
          by: who.actor,
          proof: who.proof,
        })
        return result.ok ? done(await shown(result.ask)) : answerProblem(result.problem)
      },
    }),
  ]
}

function answerProblem(code: AnswerProblem): Answer {
  switch (code) {
    case 'unknown':
      return notFound('such ask', 'countersign approve')
    case 'not-pending':
      return problem('conflict', 'this ask was answered or used already', 'nothing more is needed')
    case 'expired':
      return problem('conflict', 'this ask has expired', 'the agent has to call again')
    case 'already-answered':
      return problem('conflict', 'you have answered this ask already', 'another person has to answer, too')
    case 'not-independent':
      return problem(
        'refused',
        'policy wants another person than the one it is done for',
        'have another operator answer',
      )
    case 'proof-too-weak':
      return problem(
        'needs-proof',
        'policy wants a stronger proof of who answers',
        'answer with your passphrase',
      )
  }
}
