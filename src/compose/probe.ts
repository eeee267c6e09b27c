import { createLenders } from '../credential/lender.ts'
import { createServers } from '../server/servers.ts'
import { define, digest, toCatalogue } from '../registry/define.ts'
import { infer } from '../registry/effects.ts'
import { systemClock } from '../lib/clock.ts'
import type { Listed } from '../adopt/apply.ts'
import type { Named } from '../credential/secret.ts'
import type { ServerConfig } from '../config/schema.ts'

/** Starts or reaches a server once, for nobody's task, with secrets that are not stored yet; ends it again. */
export async function listOnce(server: {
  readonly name: string
  readonly config: ServerConfig
  readonly secrets: readonly Named[]
}): Promise<Listed> {
  const { name, config, secrets } = server
  const lenders = createLenders({
    servers: () => config,
    vault: {
      reveal: async (wanted) =>
        secrets.find((secret) => secret.name === wanted)?.value ?? {
          problem: 'missing',
          detail: `there is no secret \`${wanted}\``,
        },
    },
    store: {
      openLease: async () => undefined,
      closeLease: async () => undefined,
      openLeases: async () => [],
    },
    revocations: { first: () => null },
    clock: systemClock,
  })
  const servers = createServers({
    servers: (asked) => (asked === name ? config : null),
    pinning: { define: (raw) => define(raw).definitions, digest },
    onCatalogue: () => undefined,
  })
  const now = systemClock.now()
  try {
    const lease = await lenders.lend({ server: name, task: 'probe', call: 'probe', until: now + 60_000, now })
    if ('problem' in lease) return { ok: false, detail: lease.detail }
    const raw = await servers.catalogue(name, { lease })
    if ('kind' in raw) return { ok: false, detail: `${raw.problem}: ${raw.detail}` }
    const { catalogue } = await toCatalogue(raw)
    const tools = catalogue.definitions.filter(({ kind }) => kind === 'tool')
    return { ok: true, tools: tools.map((tool) => ({ name: tool.name, effects: infer(tool).effects })) }
  } finally {
    await servers.close()
  }
}
