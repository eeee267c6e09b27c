import { done, fromPart, route, type Route } from './route.ts'
import { z } from 'zod'
import type { OperatorParts } from './parts.ts'

const filesSchema = z.strictObject({
  files: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[A-Za-z0-9._-]{1,100}\.cedar$/, 'expected a name that ends with `.cedar`'),
        text: z.string().max(1024 * 1024),
      }),
    )
    .min(1)
    .max(200),
})

/** Policies are swapped whole; a bad set leaves the live one as it is. */
export const policyRoutes = ({ policy }: OperatorParts): readonly Route[] => [
  route({ on: 'GET /v1/policy', needs: 'present', answer: async () => done(await policy.show()) }),
  route({
    on: 'GET /v1/policy/suggestion',
    needs: 'present',
    answer: async () => done(await policy.suggestion()),
  }),
  route({
    on: 'POST /v1/policy/check',
    needs: 'present',
    body: filesSchema,
    answer: async ({ body }) => done(await policy.check(body.files)),
  }),
  route({
    on: 'PUT /v1/policy',
    needs: 'proved',
    act: 'policy-swapped',
    body: filesSchema,
    answer: async ({ body, who }) => fromPart(await policy.swap(body.files, who.actor)),
  }),
]
