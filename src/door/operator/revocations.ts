import { done, notFound, problem, route, type Route } from './route.ts'
import { isRevocationKey } from '../../revocation/live.ts'
import { rfc3339 } from '../../lib/clock.ts'
import { z } from 'zod'
import type { JsonObject } from '../../lib/json.ts'
import type { OperatorParts } from './parts.ts'
import type { Revocation } from '../../revocation/revocations.ts'

const reason = z.string().max(1000).default('')

/** Stopping needs the key only, so that it is never slowed down; lifting gives authority back. */
export const revocationRoutes = ({ revocations }: OperatorParts): readonly Route[] => [
  route({
    on: 'GET /v1/revocations',
    needs: 'present',
    answer: async () => done({ epoch: revocations.epoch(), revocations: revocations.list().map(shown) }),
  }),
  route({
    on: 'POST /v1/revocations',
    needs: 'present',
    act: 'revoked',
    body: z.strictObject({ key: z.string().max(512), reason }),
    answer: async ({ body, who }) => {
      if (!isRevocationKey(body.key))
        return problem(
          'bad-request',
          'expected `all`, or `agent:`, `person:`, `task:`, `tool:`, `server:`, `secret:` or `token:` with a name',
          'countersign revoke agent:NAME',
        )
      return done(shown(await revocations.revoke(body, who.actor)), 201)
    },
  }),
  route({
    on: 'DELETE /v1/revocations/:key',
    needs: 'proved',
    act: 'revocation-lifted',
    body: z.strictObject({ reason }),
    answer: async ({ params, body, who }) => {
      const key = params['key'] ?? ''
      const lifted = await revocations.lift({ key, reason: body.reason }, who.actor)
      return lifted ? done({ lifted: key }) : notFound('such revocation', 'countersign revoke list')
    },
  }),
]

const shown = ({ key, by, reason, at }: Revocation): JsonObject => ({ key, by, reason, at: rfc3339(at) })
