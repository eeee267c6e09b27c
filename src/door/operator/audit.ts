import { done, fromPart, notFound, problem, route, type Route } from './route.ts'
import { z } from 'zod'
import type { OperatorParts } from './parts.ts'

const recentSchema = z.strictObject({
  limit: z.coerce.number().int().positive().max(500).default(50),
  before: z.coerce.number().int().nonnegative().optional(),
  task: z.string().max(64).optional(),
  agent: z.string().max(64).optional(),
  kind: z.enum(['refused', 'intent', 'outcome', 'act']).optional(),
})

/** Reading the log. */
export const auditRoutes = ({ audit }: OperatorParts): readonly Route[] => [
  route({
    on: 'GET /v1/audit/recent',
    needs: 'present',
    query: recentSchema,
    answer: async ({ query: { limit, before, task, agent, kind } }) => {
      const filter = {
        limit,
        ...(before === undefined ? {} : { before }),
        ...(task === undefined ? {} : { task }),
        ...(agent === undefined ? {} : { agent }),
        ...(kind === undefined ? {} : { kind }),
      }
      return done({ entries: (await audit.recent(filter)).map((one) => ({ ...one })) })
    },
  }),
  route({
    on: 'GET /v1/audit/entries/:index',
    needs: 'present',
    answer: async ({ params }) => {
      const index = indexOf(params['index'])
      const entry = index === null ? null : await audit.entry(index)
      return entry === null ? notFound('such entry', 'countersign audit recent') : done({ ...entry })
    },
  }),
  route({
    on: 'GET /v1/audit/entries/:index/receipt',
    needs: 'present',
    answer: async ({ params }) => {
      const index = indexOf(params['index'])
      const receipt = index === null ? null : await audit.receipt(index)
      return receipt === null
        ? notFound('receipt for it yet', 'wait for the next checkpoint')
        : done({ index, receipt })
    },
  }),
  route({
    on: 'GET /v1/audit/checkpoint',
    needs: 'present',
    answer: async () => {
      const checkpoint = await audit.checkpoint()
      return checkpoint === null ? notFound('checkpoint yet', 'wait a moment') : done({ ...checkpoint })
    },
  }),
  route({
    on: 'POST /v1/audit/erase',
    needs: 'proved',
    act: 'payload-erased',
    body: z.strictObject({
      commitment: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected `sha256:` and 64 hex digits'),
      reason: z.string().min(1).max(1000),
    }),
    answer: async ({ body, who }) => fromPart(await audit.erase(body.commitment, body.reason, who.actor)),
  }),
  route({
    on: 'POST /v1/audit/export',
    needs: 'present',
    // A name, never a path: a request must not choose where the broker writes.
    body: z.strictObject({
      name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'expected a plain name'),
    }),
    answer: async ({ body }) =>
      body.name.includes('..')
        ? problem('bad-request', 'expected a plain name', 'use letters, digits and `-`')
        : fromPart(await audit.export(body.name)),
  }),
]

const indexOf = (text = ''): number | null => (/^\d{1,15}$/.test(text) ? Number(text) : null)
