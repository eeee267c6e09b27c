import { bearingsSchema, resultsSchema } from '../../registry/labels.ts'
import { confidentialities } from '../../flow/labels.ts'
import { done, fromPart, notFound, problem, route, type Route } from './route.ts'
import { effects, type Tool } from '../../registry/tool.ts'
import { inSlices, type Sliced } from '../../lib/slices.ts'
import { proposalFor, proposed } from '../../registry/propose.ts'
import { nameSchema, serverSchema } from '../../config/schema.ts'
import { z } from 'zod'
import type { JsonObject } from '../../lib/json.ts'
import type { OperatorParts, RegistryPart } from './parts.ts'
import type { Profile } from '../../registry/profile.ts'

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
      bears: bearingsSchema.optional(),
      results: resultsSchema.optional(),
    })
    .prefault({}),
  profile: z.string().max(80).nullable().optional(),
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
    on: 'GET /v1/servers/:name/profile',
    needs: 'present',
    answer: async ({ params }) => {
      const found = await registry.lint(params['name'] ?? '')
      return found === null ? notFound('such server', 'countersign server list') : done(found)
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
      const tools = await registry.tools(filter)
      return done({ tools: await toolsShown(tools, await profilesOf(registry, tools)) })
    },
  }),
  route({
    on: 'GET /v1/tools/:id',
    needs: 'present',
    answer: async ({ params }) => {
      const tool = await registry.tool(params['id'] ?? '')
      if (tool === null) return notFound('such tool', 'countersign server tools')
      return done(toolShown(tool, (await profilesOf(registry, [tool])).get(tool.server) ?? null))
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
      const { digest, accept, profile } = body
      return fromPart(
        await registry.review(
          {
            tool: params['id'] ?? '',
            digest,
            accept,
            overrides: defined(body.overrides),
            ...(profile === undefined ? {} : { profile }),
          },
          who.actor,
        ),
      )
    },
  }),
]

/** The profile of each server by its name; none where the server names none, or one that cannot be read. */
export type Profiles = ReadonlyMap<string, Profile | null>

/**
 * The whole definition, as a reviewer has to see it, with what a review takes when nobody decides otherwise: by the
 * profile of its server when that knows the tool.
 */
export function toolShown(tool: Tool, profile: Profile | null): JsonObject {
  const proposal = profile === null ? null : proposalFor(profile, tool.definition)
  return {
    ...plain(tool),
    proposed: plain(proposed(tool.definition, proposal)),
    proposedBy: proposal === null ? null : (profile?.name ?? null),
    profile: profile?.digest ?? null,
  }
}

/** Each server's profile, read once. One that cannot be read is told by `lint`, and no review is made by it. */
export async function profilesOf(
  registry: Pick<RegistryPart, 'profile'>,
  tools: readonly Tool[],
): Promise<Profiles> {
  const servers = [...new Set(tools.map(({ server }) => server))]
  return new Map(
    await Promise.all(
      servers.map(async (server): Promise<[string, Profile | null]> => {
        const read = await registry.profile(server)
        return [server, read.ok ? read.profile : null]
      }),
    ),
  )
}

/** A server may offer 10,000; calls go on while they are put together. */
export const toolsShown = (tools: readonly Tool[], profiles: Profiles): Promise<readonly JsonObject[]> =>
  inSlices(showing(tools, profiles))

function* showing(tools: readonly Tool[], profiles: Profiles): Sliced<readonly JsonObject[]> {
  const shown: JsonObject[] = []
  for (const tool of tools) {
    yield
    shown.push(toolShown(tool, profiles.get(tool.server) ?? null))
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
  bears,
  results,
}: z.infer<typeof reviewSchema>['overrides']) {
  return {
    ...(some === undefined ? {} : { effects: some }),
    ...(environment === undefined ? {} : { environment }),
    ...(confidentiality === undefined ? {} : { confidentiality }),
    ...(integrity === undefined ? {} : { integrity }),
    ...(targets === undefined ? {} : { targets: targetsOf(targets) }),
    ...(bears === undefined ? {} : { bears }),
    ...(results === undefined ? {} : { results }),
  }
}

const targetsOf = (targets: {
  readonly [name: string]: string | undefined
}): { readonly [name: string]: string } =>
  Object.fromEntries(Object.entries(targets).flatMap(([name, at]) => (at === undefined ? [] : [[name, at]])))
