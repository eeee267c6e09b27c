import { done, fromPart, problem, route, type Route } from './route.ts'
import { nameSchema } from '../../config/schema.ts'
import { rfc3339 } from '../../lib/clock.ts'
import { z } from 'zod'
import type { OperatorParts } from './parts.ts'

/** Values go in and never come out: no route reads one. */
export const secretRoutes = ({ secrets }: OperatorParts): readonly Route[] => [
  route({
    on: 'GET /v1/secrets',
    needs: 'present',
    answer: async () =>
      done({ secrets: (await secrets.list()).map(({ name, at }) => ({ name, setAt: rfc3339(at) })) }),
  }),
  route({
    on: 'PUT /v1/secrets/:name',
    needs: 'proved',
    act: 'secret-set',
    body: z.strictObject({
      value: z
        .string()
        .min(1)
        .max(64 * 1024),
    }),
    answer: async ({ params, body, who }) => {
      const name = nameSchema.safeParse(params['name'])
      if (!name.success)
        return problem('bad-request', "expected a secret's name", 'use a-z, 0-9, `-`, `.` and single `_`')
      return fromPart(await secrets.set({ name: name.data, value: body.value }, who.actor))
    },
  }),
  route({
    on: 'DELETE /v1/secrets/:name',
    needs: 'present',
    act: 'secret-removed',
    answer: async ({ params, who }) => fromPart(await secrets.remove(params['name'] ?? '', who.actor)),
  }),
]
