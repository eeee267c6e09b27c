import { done, problem, route, type Route } from './route.ts'
import { nameSchema } from '../../config/schema.ts'
import { z } from 'zod'
import type { OperatorParts } from './parts.ts'

/** The broker's state, and the operators' own passphrases. */
export const selfRoutes = ({
  status,
  gate,
  approvals,
  tasks,
  revocations,
}: OperatorParts): readonly Route[] => [
  route({
    on: 'GET /v1/status',
    needs: 'present',
    answer: async ({ who }) =>
      done({
        ...(await status()),
        you: { name: who.name, level: who.level },
        passphraseSet: await gate.hasPassphrase(),
        openTasks: (await tasks.list({ state: 'open' })).length,
        pendingAsks: (await approvals.pending()).length,
        stopped: revocations.first(['all']) !== null,
      }),
  }),
  route({
    // Whether the first one needs no proof is for the gate to say: it alone knows that there is none.
    on: 'PUT /v1/operators/:name/passphrase',
    needs: 'present',
    act: 'passphrase-set',
    body: z.strictObject({ passphrase: z.string() }),
    answer: async ({ params, body, who }) => {
      const name = nameSchema.safeParse(params['name'])
      if (!name.success)
        return problem('bad-request', "expected an operator's name", 'use a-z, 0-9, `-`, `.` and single `_`')
      const set = await gate.setPassphrase(body.passphrase, name.data, who)
      if (set.ok) return done({ operator: name.data, passphraseSet: true })
      return set.problem === 'unfit'
        ? problem('bad-request', set.detail, 'several words are easy to remember and hard to guess')
        : problem(
            'needs-proof',
            set.detail,
            'give the passphrase that is set, or press p in the terminal that runs the broker',
          )
    },
  }),
]
