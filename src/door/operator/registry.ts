import { confidentialities } from '../../flow/labels.ts'
import { done, fromPart, notFound, problem, route, type Route } from './route.ts'
import { effects, type Tool } from '../../registry/tool.ts'
import { infer } from '../../registry/effects.ts'
import { inSlices, type Sliced } from '../../lib/slices.ts'
import { nameSchema, serverSchema } from '../../config/schema.ts'
import { z } from 'zod'
import type { JsonObject } from '../../lib/json.ts'
import type { OperatorParts } from './parts.ts'

const pointer = z.string().max(512).optional()
const reviewSchema = z.strictObject({
  digest: z.string().max(80),
  accept: z.boolean(),
  overrides: z
    .strictObject({
      effects: z.array(z.enum(effects)).min(1).optional(),
      environment: z.string().max(100).optional(),
      confidentiality: z.enum(confidentialities).optional(),
      integrity: z.enum(['trusted', 'untrusted']).optional(),
      targets: z
        .strictObject({ path: pointer, url: pointer, recipient: pointer, amount: pointer })
        .optional(),
    })
    .prefault({}),
})
const toolFilter = z.strictObject({
  server: z.string().optional(),
  state: z.enum(['reviewed', 'quarantined', 'removed']).optional(),
})

/** Servers and their tools. A command to start comes from a proven person, never from anyone else (incidents 6, 17). */
export const registryRoutes = ({ registry }: OperatorParts): readonly Route[] => [
  route({
    on: 'GET /v1/servers',
    needs: 'present',
    answer: async () => done({ servers: await registry.servers() }),
  }),
  route({
    on: 'GET /v1/servers/:name',
    needs: 'present',
    answer: async ({ params }) => {
      const server = await registry.server(params['name'] ?? '')
      return server === null ? notFound('such server', 'countersign server list') : done(server)
    },
  }),
  route({
    on: 'GET /v1/servers/:name/reviews',
    needs: 'present',
    answer: async ({ params }) => {
      const reviews = await registry.reviews(params['name'] ?? '')
      return reviews === null ? notFound('such server', 'countersign server list') : done(reviews)
    },
  }),
  route({
    on: 'POST /v1/servers',
    needs: 'proved',
    act: 'server-added',
    body: z.strictObject({ name: nameSchema, config: serverSchema }),
    answer: async ({ body, who }) =>
      fromPart(await registry.addServer({ name: body.name, config: plain(body.config) }, who.actor)),
  }),
  route({
    on: 'POST /v1/servers/:name/refresh',
    needs: 'present',
    act: 'server-refreshed',
    answer: async ({ params, who }) =>
      fromPart(await registry.refreshServer(params['name'] ?? '', who.actor)),
  }),
  route({
    on: 'DELETE /v1/servers/:name',
    needs: 'present',
    act: 'server-removed',
    answer: async ({ params, who }) => fromPart(await registry.removeServer(params['name'] ?? '', who.actor)),
  }),
  route({
    on: 'GET /v1/tools',
    needs: 'present',
    query: toolFilter,
    answer: async ({ query: { server, state } }) => {
      const filter = {
        ...(server === undefined ? {} : { server }),
        ...(state === undefined ? {} : { state }),
      }
      return done({ tools: await toolsShown(await registry.tools(filter)) })
    },
  }),
  route({
    on: 'GET /v1/tools/:id',
    needs: 'present',
    answer: async ({ params }) => {
      const tool = await registry.tool(params['id'] ?? '')
      return tool === null ? notFound('such tool', 'countersign server tools') : done(toolShown(tool))
    },
  }),
  route({
    on: 'GET /v1/tools/:id/diff',
    needs: 'present',
    answer: async ({ params }) => {
      const diff = await registry.diff(params['id'] ?? '')
      return diff === null ? notFound('such tool', 'countersign server tools') : done(diff)
    },
  }),
  route({
    on: 'POST /v1/tools/:id/review',
    needs: 'present',
    act: 'tool-reviewed',
    body: reviewSchema,
    answer: async ({ params, body, who }) => {
      // Rejecting keeps it in quarantine: that takes nothing but authority.
      if (body.accept && who.level === 'present')
        return problem(
          'needs-proof',
          'accepting a tool gives authority, so a person has to be proven',
          'give your passphrase, or do it in the terminal that runs the broker',
        )
      const { digest, accept } = body
      return fromPart(
        await registry.review(
          { tool: params['id'] ?? '', digest, accept, overrides: defined(body.overrides) },
          who.actor,
        ),
      )
    },
  }),
]

/** The whole definition, as a reviewer has to see it, with the effects that a review takes when nobody decides otherwise. */
export const toolShown = (tool: Tool): JsonObject => ({
  ...plain(tool),
  inferred: infer(tool.definition).effects,
})

/** A server may offer 10,000; calls go on while they are put together. */
export const toolsShown = (tools: readonly Tool[]): Promise<readonly JsonObject[]> => inSlices(showing(tools))

function* showing(tools: readonly Tool[]): Sliced<readonly JsonObject[]> {
  const shown: JsonObject[] = []
  for (const tool of tools) {
    yield
    shown.push(toolShown(tool))
  }
  return shown
}

/** A plain copy without undefined members; functions and the like are not in there. */
const plain = (value: object): JsonObject => JSON.parse(JSON.stringify(value))

function defined({
  effects: some,
  environment,
  confidentiality,
  integrity,
  targets,
}: z.infer<typeof reviewSchema>['overrides']) {
  return {
    ...(some === undefined ? {} : { effects: some }),
    ...(environment === undefined ? {} : { environment }),
    ...(confidentiality === undefined ? {} : { confidentiality }),
    ...(integrity === undefined ? {} : { integrity }),
    ...(targets === undefined ? {} : { targets: targetsOf(targets) }),
  }
}

const targetsOf = (targets: {
  readonly [name: string]: string | undefined
}): { readonly [name: string]: string } =>
  Object.fromEntries(Object.entries(targets).flatMap(([name, at]) => (at === undefined ? [] : [[name, at]])))
